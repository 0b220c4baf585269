"""Manifests in columns, as CSV and Parquet have them: one row a caption, or one row a video.

Takes rows as mappings from column to value, gives manifest rows. An empty cell is no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from earshot.errors import InputError
from earshot.store.manifests.faults import Fault, fault_of
from earshot.store.manifests.rows import NESTED, Row, entry_row, without_repeats
from earshot.store.manifests.source import load_json

NEEDED = ("video_id", "uri")
SHARED = ("uri", "sha256", "licence", "source", "split_group")
FLAT = ("start_s", "end_s", "text")
# A table of the workspace has a digest column, and may be used as a manifest.
_UNUSED = ("digest",)
_KNOWN = (*NEEDED, *SHARED[1:], *FLAT, *NESTED, *_UNUSED)
_EXPECTED = (
    f"expected {', '.join(NEEDED)} and either {', '.join(FLAT)} (one row a caption) or "
    f"{', '.join(NESTED)} (one row a video); also known: {', '.join(SHARED[1:])}"
)


@dataclass(frozen=True)
class Cells:
    """A row of a table: its place in figures and in words, and its values by column."""

    line: int
    place: str
    values: Mapping[str, object]


@dataclass
class _Video:
    """A video whose captions stand in rows of their own."""

    first: Cells
    captions: list[Mapping[str, object]] = field(default_factory=list)


def check_columns(uri: str, names: Sequence[str]) -> bool:
    """Return whether a table has one row a caption (True) or one row a video (False).

    Raises:
        InputError: for missing, unknown or repeated columns, saying what was expected and found.
    """
    unknown = [name for name in names if name not in _KNOWN]
    missing = [name for name in NEEDED if name not in names]
    flat = [name for name in FLAT if name in names]
    if flat:
        missing += [name for name in FLAT if name not in names]
    problems = [
        f"{what} {', '.join(map(repr, which))}"
        for what, which in (
            ("unknown", unknown),
            ("missing", missing),
            ("twice", sorted({name for name in names if names.count(name) > 1})),
            ("beside start_s:", [n for n in NESTED if n in names] if flat else []),
        )
        if which
    ]
    if problems:
        found = ", ".join(names) or "none"
        raise InputError(
            f"columns of {uri!r}: {'; '.join(problems)}. Found {found}; {_EXPECTED}. Rename or "
            "leave out columns"
        )
    return bool(flat)


def table_rows(rows: Iterable[Cells | Fault], *, flat: bool) -> Iterator[Row | Fault]:
    """Yield the manifest rows of a table's rows; faults go through."""
    if flat:
        yield from _grouped(rows)
        return
    for row in rows:
        yield row if isinstance(row, Fault) else _nested(row)


def _nested(row: Cells) -> Row | Fault:
    fields = {name: value for name, value in row.values.items() if _is_told(name, value)}
    for name in NESTED:
        cell = fields.get(name)
        if isinstance(cell, str):
            try:
                fields[name] = without_repeats(load_json(cell))
            except ValueError as error:
                message = f"{row.place}: {name} is no JSON: {error}; write a JSON list"
                return fault_of(row.line, fields.get("video_id"), message, cell)
    return entry_row(row.line, row.place, fields)


def _grouped(rows: Iterable[Cells | Fault]) -> Iterator[Row | Fault]:
    videos: dict[object, _Video] = {}
    for row in rows:
        fault = row if isinstance(row, Fault) else _add(videos, row)
        if fault is not None:
            yield fault
    for video in videos.values():
        told = video.first.values
        fields = {name: told[name] for name in (*NEEDED, *SHARED) if _is_told(name, told.get(name))}
        yield entry_row(video.first.line, video.first.place, {**fields, "captions": video.captions})


def _add(videos: dict[object, _Video], row: Cells) -> Fault | None:
    """Add a caption to its video, or return why the row can't be one of that video's."""
    video_id = row.values.get("video_id")
    if not isinstance(video_id, str) or not video_id:
        message = f"{row.place}: video_id: expected a text, found {video_id!r}; give the video's id"
        return fault_of(row.line, video_id, message, video_id)
    video = videos.setdefault(video_id, _Video(row))
    for name in SHARED:
        cell, before = row.values.get(name), video.first.values.get(name)
        if cell not in (None, "") and cell != before:
            message = (
                f"{row.place}: video {video_id!r} has {name} {cell!r} here and {before!r} on "
                f"{video.first.place}, which is used; write one of them, or rename the video"
            )
            return fault_of(row.line, video_id, message, cell, "duplicate_id")
    caption = {name: row.values.get(name) for name in FLAT}
    if any(cell not in (None, "") for cell in caption.values()):
        video.captions.append(caption)
    return None


def _is_told(name: str, value: object) -> bool:
    return name not in _UNUSED and value is not None and (value != "" or name in NEEDED)
