"""R-AVST's released JSON into tables and back, each question and answer byte for byte.

https://github.com/zhlllau/R-AVST, `Annotations/xml_test_QA.json` (MIT):

[{"video_name": "zLfhRM6G0OU", "duration": 45.1, "annotation": [{"event_num": 1,
"AV Temporal Reasoning": [{"Q": "When is the moment trombone makes sound and is visible?", "A":
"<answer>\\n<object>trombone</object>\\n<when>[0.0, 44.4]</when>\\n</answer>"}], ...}]}]

A video that would not come back as it was is a fault: nothing is mended and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from earshot.errors import InputError, ItemError
from earshot.geometry.rounding import half_up_units
from earshot.prompts.packs import Template, load_pack
from earshot.rewards.grammar import Answer, Block, Line, make_interval, render_r_avst
from earshot.rewards.r_avst import TASKS
from earshot.schemas.base import Record
from earshot.schemas.event import Event
from earshot.schemas.imported import AnnotatedVideo, RAvstRow, UnlinkedBoxes
from earshot.schemas.manifest import as_written
from earshot.schemas.tube import Box, Tube
from earshot.store.annotations.r_avst_video import read_video
from earshot.store.annotations.tables import Tables
from earshot.store.manifests.faults import Fault, duplicate, fault_of
from earshot.store.manifests.source import open_source
from earshot.store.workspace import write_atomic

_KEYS = {task: key for key, task in TASKS.items()}


def read(uri: str) -> tuple[Tables, list[Fault]]:
    """Return the tables of a file at a path or fsspec URL, and a fault for each bad video.

    Raises:
        InputError: if it is not there, no JSON, or no list.
    """
    found = open_source(uri).json
    if not isinstance(found, list):
        raise InputError(
            f"{uri!r} holds a JSON {type(found).__name__}; expected R-AVST's list of videos"
        )
    tables, faults, seen = Tables(), list[Fault](), set[str]()
    for position, video in enumerate(found):
        name = video.get("video_name") if isinstance(video, dict) else None
        if isinstance(name, str) and name in seen:
            faults.append(duplicate(position + 1, f"video {position + 1}", name))
            continue
        try:
            records = read_video(position, video)
            _check_same(position, _made_of(records), video)
        except ItemError as error:
            faults.append(fault_of(position + 1, name, str(error), error.value, error.code))
            continue
        seen.add(str(name))
        tables.add(records)
    return tables, faults


def write(tables: Tables, out: Path) -> list[Fault]:
    """Write the file, whole or not at all; return a fault for each video that it can't hold.

    Raises:
        InputError: if it can hold none.
    """
    videos, faults = list[dict[str, object]](), list[Fault]()
    for made in _videos(tables):
        if isinstance(made, Fault):
            faults.append(made)
        else:
            videos.append(made)
    if not videos:
        told = "".join(f"\n  {fault.message}" for fault in faults[:20])
        raise InputError(f"no video of the tables can be written as R-AVST{told}")
    text = json.dumps(videos, ensure_ascii=False, separators=(",", ":"))
    write_atomic(out, text.encode())
    return faults


def _made_of(records: list[Record]) -> dict[str, object]:
    """Return the video that the records of one are written as; raises ItemError if none is."""
    tables = Tables.holding(records)
    (video,) = tables.of(AnnotatedVideo)
    try:
        return _Writer(tables).video(video, tables.of(RAvstRow))
    except ValueError as error:
        place = f"video {video.position + 1} ({video.video_id})"
        raise ItemError("bad_entry", f"{place}: {error}") from error


def _videos(tables: Tables) -> Iterator[dict[str, object] | Fault]:
    """Yield each video as the file has it, in the file's order."""
    writer = _Writer(tables)
    rows: dict[str, list[RAvstRow]] = {}
    for row in tables.of(RAvstRow):
        rows.setdefault(row.video_id, []).append(row)
    for video in sorted(tables.of(AnnotatedVideo), key=lambda each: each.position):
        try:
            yield writer.video(video, rows.get(video.video_id, []))
        except ValueError as error:
            message = f"video {video.video_id}: {error}"
            yield fault_of(video.position + 1, video.video_id, message, str(error))


@cache
def _templates() -> dict[tuple[str, str | None], Template]:
    return {(each.task, each.branch): each for each in load_pack("r-avst").templates}


class _Writer:
    """Puts rows into R-AVST's words and numbers."""

    def __init__(self, tables: Tables) -> None:
        self.events = {event.event_id: event for event in tables.of(Event)}
        self.boxes: dict[str, Tube | UnlinkedBoxes] = {
            **{tube.tube_id: tube for tube in tables.of(Tube)},
            **{each.unlinked_id: each for each in tables.of(UnlinkedBoxes)},
        }

    def video(self, video: AnnotatedVideo, rows: list[RAvstRow]) -> dict[str, object]:
        """Return a video with its annotations."""
        ordered = sorted(
            rows, key=lambda r: (r.event_position, r.question_position, r.object_position)
        )
        annotations = [
            self._annotation(list(same))
            for _, same in groupby(ordered, key=lambda row: row.event_position)
        ]
        return {
            "video_name": video.video_id,
            "duration": video.duration_s,
            "annotation": annotations,
        }

    def _annotation(self, rows: list[RAvstRow]) -> dict[str, object]:
        told: dict[str, object] = {"event_num": rows[0].event_num}
        questions: dict[str, list[dict[str, str]]] = {}
        for _, same in groupby(rows, key=lambda row: row.question_position):
            answer = list(same)
            questions.setdefault(_KEYS[answer[0].task], []).append(self._question(answer))
        return told | questions

    def _question(self, rows: list[RAvstRow]) -> dict[str, str]:
        first = rows[0]
        event = self.events.get(first.event_id)
        if event is None or len(event.segments) != 1:
            found = "none" if event is None else str(len(event.segments))
            raise ValueError(
                f"event {first.event_id} has {found} segments; R-AVST has one an event: mend the "
                "table events"
            )
        start_s, end_s = event.segments[0].pair
        template = _templates()[(first.task, first.branch)]
        asked = template.fill(name=first.surface, start=str(start_s), end=str(end_s))
        blocks = tuple(Block(row.surface, self._lines(row)) for row in rows)
        answer = Answer(blocks, (make_interval(start_s, end_s),))
        return {"Q": asked, "A": render_r_avst(answer, first.task)}

    def _lines(self, row: RAvstRow) -> tuple[Line, ...]:
        if row.task == "temporal":
            return ()
        key = row.tube_id or row.unlinked_id or ""
        boxes = self.boxes.get(key)
        if boxes is None:
            raise ValueError(f"boxes {key} stand in neither tubes nor unlinked_boxes; add them")
        if boxes.box_space != "native_px":
            raise ValueError(f"boxes {key} are in {boxes.box_space}; R-AVST has native_px")
        return tuple(map(_line, boxes.times_s, boxes.boxes))


def _line(time_s: float, box: Box | None) -> Line:
    if box is None:
        return Line(half_up_units(time_s, 6), None)
    x1, y1, x2, y2 = (half_up_units(edge, 6) for edge in box.xyxy)
    return Line(half_up_units(time_s, 6), (x1, y1, x2, y2))


def _check_same(position: int, made: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ItemError, with the first difference, unless a video comes back as it was."""
    if made == found:
        return
    video = f"video {position + 1} ({found['video_name']})"
    for place, was, became in _texts(found, made):
        if was == became:
            continue
        pairs = enumerate(zip(f"{was}\0", f"{became}\0", strict=False))
        at = next(n for n, (old, new) in pairs if old != new)
        near = slice(max(0, at - 30), at + 30)
        message = (
            f"{video}: {place}, character {at + 1}: {was[near]!r}; expected {became[near]!r}, as "
            "R-AVST writes what this answer says: mend it"
        )
        raise ItemError("bad_entry", message, was[near])
    message = (
        f"{video}: its annotations would come back in another order, or fewer; expected no task "
        "without a question: leave it out"
    )
    raise ItemError("bad_entry", message, as_written(found["annotation"]))


def _texts(found: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (place, text of the file, text made) of every question and answer."""
    annotations = zip(found["annotation"], made["annotation"], strict=False)
    for number, (was, became) in enumerate(annotations, start=1):
        for key in TASKS:
            pairs = zip(was.get(key, []), became.get(key, []), strict=False)
            for nth, (old, new) in enumerate(pairs, start=1):
                for part in ("Q", "A"):
                    yield f"annotation {number}, {key} {nth}, {part}", old[part], new[part]
