"""UnAV-100: audio-visual events of untrimmed videos, without captions.

https://github.com/ttgeng233/UnAV, `unav100_annotations.json`, perhaps under a key `database`:

{"-Rjmgv0O_p0": {"duration": 46, "annotations": [{"segment": [0, 45.67432], "label":
"playing base guitar", "label_id": 37}, {"segment": [32.715, 43.07432], "label": "female singing",
"label_id": 11}], "subset": "train"}}

Each annotation is an event with one segment; its subset goes into `source`, since releases for
training must leave the test videos out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from earshot.store.manifests.faults import Fault
from earshot.store.manifests.format import VideoFormat
from earshot.store.manifests.rows import Row, interval_fields, keyed_rows, list_field
from earshot.store.manifests.source import Repeating, Source


def _sniff(source: Source) -> bool:
    return source.some_annotation_has("annotations")


def _read(source: Source) -> Iterator[Row | Fault]:
    return keyed_rows(source, _fields)


def _fields(found: Mapping[str, object]) -> Mapping[str, object]:
    subset = found.get("subset")
    told = f"UnAV-100 {subset}" if isinstance(subset, str) else "UnAV-100"
    return {"source": told, "events": [_event(one) for one in list_field(found, "annotations")]}


def _event(one: object) -> object:
    """Return the fields of a `RawEvent`, or what can't be one as it is, for the stage to report."""
    if not isinstance(one, dict) or isinstance(one, Repeating):
        return one
    return {"label": one.get("label"), "segments": [interval_fields(one.get("segment"))]}


FORMAT = VideoFormat("unav100", "UnAV-100 JSON: labelled events by video", _sniff, _read)
