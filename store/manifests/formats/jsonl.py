"""JSON lines, the manifest's own form: one video a line (CONTRACTS 3).

{"video_id": "yard-01", "uri": "videos/yard-01.mp4", "captions": [{"start_s": 0, "end_s": 4.2,
"text": "A brown dog barks at the gate."}], "licence": "CC BY 4.0"}
"""

from __future__ import annotations

from collections.abc import Iterator

from earshot.errors import ItemError
from earshot.store.manifests.faults import Fault, fault_of
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import NESTED, Row, as_object, entry_row, without_repeats
from earshot.store.manifests.source import Source, load_json


def _sniff(source: Source) -> bool:
    return source.suffix in (".jsonl", ".ndjson")


def _read(source: Source) -> Iterator[Row | Fault]:
    for number, line in source.lines():
        if line.strip():
            yield _row(number, line)


def _row(number: int, line: str) -> Row | Fault:
    place = f"line {number}"
    try:
        found = load_json(line)
    except ValueError as error:
        return fault_of(number, None, f"{place} is no JSON: {error}; mend the line", line)
    try:
        fields = dict(as_object(found))
    except ItemError as error:
        message = f"{place}: {error}. A line is an object with video_id and uri"
        return fault_of(number, None, message, line)
    for name in NESTED:
        if name in fields:
            fields[name] = without_repeats(fields[name])
    return entry_row(number, place, fields)


FORMAT = VideoFormat("jsonl", "one JSON object a line: videos, captions, events", _sniff, _read)
