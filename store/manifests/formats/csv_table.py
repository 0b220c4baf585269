"""CSV manifests, commas, semicolons or tabs between cells: one row a caption

video_id,uri,start_s,end_s,text
yard-01,videos/yard-01.mp4,0,4.2,A brown dog barks at the gate.

or one row a video, with JSON in the cells `captions` and `events`. Leading zeros of an id stay.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from earshot.store.manifests.columns import Cells, check_columns, table_rows
from earshot.store.manifests.faults import Fault, fault_of
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import Row
from earshot.store.manifests.source import Source

_DELIMITERS = ",;\t"
# The module's own limit, 128 KiB a cell, is less than the captions of a long video.
_CELL_LIMIT = 2**31 - 1


# Its line, counted from 1; its cells, or what is wrong with it; in that case the line's text.
_Record = tuple[int, list[str] | str, str]


def _sniff(source: Source) -> bool:
    named = source.suffix in (".csv", ".tsv", ".txt")
    return named and "video_id" in [name.strip(' "') for name in _split(source.header)]


def _split(header: str) -> list[str]:
    return header.split(_delimiter(header))


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _read(source: Source) -> Iterator[Row | Fault]:
    header, *rows = _records(source.text, _delimiter(source.header))
    names = [name.strip() for name in header[1]]
    flat = check_columns(source.uri, names)
    yield from table_rows((_cells(names, *row) for row in rows), flat=flat)


def _cells(names: Sequence[str], line: int, cells: list[str] | str, text: str) -> Cells | Fault:
    place = f"line {line}"
    if isinstance(cells, str):
        return fault_of(line, None, f"{place}: {cells}; mend the quotes", text)
    if len(cells) != len(names):
        message = f"{place}: {len(cells)} cells, expected {len(names)}; mend the row"
        return fault_of(line, cells[0], message, cells)
    return Cells(line, place, dict(zip(names, cells, strict=True)))


def _records(text: str, delimiter: str) -> list[_Record]:
    """Return the row that begins on each line, or what is wrong with its quotes.

    A quote that is never closed would swallow the rows behind it: after such a row reading begins
    again on the next line.
    """
    lines = list(io.StringIO(text, newline=""))
    found: list[_Record] = []
    limit = csv.field_size_limit(_CELL_LIMIT)
    try:
        at = 0
        while at < len(lines):
            at = _read_on(lines, at, delimiter, found)
    finally:
        csv.field_size_limit(limit)
    return found


def _read_on(lines: Sequence[str], first: int, delimiter: str, found: list[_Record]) -> int:
    """Read rows up to the end or the first bad one, and return the line to go on with."""
    rest = (lines[at] for at in range(first, len(lines)))
    reader = csv.reader(rest, delimiter=delimiter, strict=True)
    begun = first
    try:
        for cells in reader:
            ended = first + reader.line_num
            if found and ended > begun + 1 and len(cells) != len(found[0][1]):
                found.append((begun + 1, "a quoted cell has no end", lines[begun]))
                return begun + 1
            if cells:
                found.append((begun + 1, cells, ""))
            begun = ended
    except csv.Error as error:
        found.append((begun + 1, str(error), lines[begun]))
        return begun + 1
    return begun


FORMAT = VideoFormat(
    "csv", "one row a caption, or a video with JSON cells; video_id, uri, ...", _sniff, _read
)
