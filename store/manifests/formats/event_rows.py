"""LLP and LFAV: one row an event, cells between tabs. What is heard and what is seen are two files.

https://github.com/YapengTian/AVVP-ECCV20, `data/AVVP_eval_audio.csv` (the name of a clip has its
start and end in the source video; times are relative to the clip):

filename	onset	offset	event_labels
EWG-FzjkTr4_40_50	0	10	Frying_(food)

https://github.com/GeWu-Lab/LFAV, `LFAV_dataset/test/test_audio.csv`:

XAkAbPVdH8A	320	324	car_alarm

Rows of one video need not stand together. Labels have `_` for a space, and get it back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from earshot.errors import InputError
from earshot.store.manifests.faults import Fault, fault_of
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import Row, entry_row
from earshot.store.manifests.source import Source

COLUMNS = ["filename", "onset", "offset", "event_labels"]


def _sniff(source: Source) -> bool:
    named = source.suffix in (".csv", ".tsv", ".txt")
    return named and source.header.strip().split("\t") == COLUMNS


def _read(source: Source) -> Iterator[Row | Fault]:
    lines = io.StringIO(source.text, newline="")
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    if [name.strip() for name in header] != COLUMNS:
        raise InputError(
            f"columns of {source.uri!r}: found {', '.join(header)}; expected "
            f"{', '.join(COLUMNS)}, with tabs between them: give another file or another kind"
        )
    videos: dict[str, list[dict[str, object]]] = {}
    first: dict[str, int] = {}
    for cells in reader:
        line = reader.line_num
        if len(cells) == len(COLUMNS) and cells[0]:
            videos.setdefault(cells[0], []).append(_event(*cells[1:]))
            first.setdefault(cells[0], line)
        elif cells:
            message = f"line {line}: expected {', '.join(COLUMNS)}; mend the row"
            yield fault_of(line, cells[0], message, "\t".join(cells))
    for video_id, events in videos.items():
        fields = {"video_id": video_id, "uri": video_id + source.media_suffix, "events": events}
        place = f"line {first[video_id]} ({len(events)} rows)"
        yield entry_row(first[video_id], place, fields)


def _event(onset: str, offset: str, label: str) -> dict[str, object]:
    interval = {"start_s": onset, "end_s": offset}
    return {"label": label.replace("_", " ").strip(), "segments": [interval]}


FORMAT = VideoFormat("event-rows", "LLP and LFAV: one tab-separated row an event", _sniff, _read)
