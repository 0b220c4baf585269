"""VGG-SS: boxes of the sounding object in the middle frame of a ten-second clip.

https://github.com/hche11/Localizing-Visual-Sounds-the-Hard-Way, `metadata/vggss.json`; boxes are
shares of width and height, the clip's name ends in its start in whole seconds:

[{"file": "zpWuikVorYg_000032", "class": "elk bugling", "bbox": [[0.403125, 0.253125, 0.6, 0.75]]}]

These are boxes without events, so the file is no manifest; `read_boxes` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from earshot.errors import InputError, ItemError
from earshot.schemas.manifest import as_written
from earshot.schemas.tube import Box
from earshot.store.manifests.boxes import FrameBoxes, norm_box
from earshot.store.manifests.faults import Fault, fault_of
from earshot.store.manifests.format import BoxFormat
from earshot.store.manifests.rows import as_object, list_field
from earshot.store.manifests.source import Source


def _sniff(source: Source) -> bool:
    if source.suffix != ".json" or not isinstance(source.json, list):
        return False
    return any(isinstance(row, dict) and {"file", "bbox"} <= row.keys() for row in source.json)


def _read(source: Source) -> Iterator[FrameBoxes | Fault]:
    if not isinstance(source.json, list):
        raise InputError(f"{source.uri!r}: expected a JSON list of clips; give another file")
    clips: set[str] = set()
    for line, found in enumerate(source.json, start=1):
        try:
            row = as_object(found)
            clip_id, label = _clip_id(row, clips), _text(row, "class")
            boxes = list_field(row, "bbox")
        except ItemError as error:
            clip = found.get("file") if isinstance(found, dict) else None
            yield fault_of(line, clip, f"entry {line}: {error}", error.value, error.code)
            continue
        yield from _frame(line, clip_id, label, boxes)


def _clip_id(row: Mapping[str, object], clips: set[str]) -> str:
    clip_id = _text(row, "file")
    if clip_id in clips:
        message = f"{clip_id!r} stands in an earlier entry too; rename one of them"
        raise ItemError("duplicate_id", message, clip_id)
    clips.add(clip_id)
    return clip_id


def _frame(
    line: int, clip_id: str, label: str, found: list[object]
) -> Iterator[FrameBoxes | Fault]:
    boxes: list[Box] = []
    for number, value in enumerate(found, start=1):
        try:
            boxes.append(norm_box(value))
        except ItemError as error:
            message = f"entry {line} ({clip_id}), box {number}: {error}"
            yield fault_of(line, clip_id, message, error.value, error.code)
    if not found:
        message = f"entry {line} ({clip_id}) has no box; draw one or leave it out"
        yield fault_of(line, clip_id, message, found, "bad_box")
    if boxes:
        yield FrameBoxes(line, clip_id, label, tuple(boxes), len(found) - len(boxes))


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        told = as_written(value)
        raise ItemError("bad_entry", f"{name}: expected a text, found {told}; mend it", told)
    return value


FORMAT = BoxFormat(
    "vggss", "VGG-SS JSON: boxes of what sounds in a clip's middle frame", _sniff, _read
)
