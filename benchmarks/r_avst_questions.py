"""How many of R-AVST's questions pack `r-avst` writes, from UnAV-100's events and R-AVST's boxes.

    python -m benchmarks.r_avst_questions RAVST.json UNAV.json

Takes both annotation files, gives for every question whose inputs are there whether its text and
its `<when>` come out the same, and for every other one what is missing or why it was refused. Once
with the limits of the stage off, which is what R-AVST did, and once as they are by default.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earshot.rewards.grammar import parse
from earshot.schemas.base import Interval, Record
from earshot.schemas.config import QuestionsConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import inspection_id
from earshot.schemas.imported import AnnotatedVideo, RAvstRow
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.annotations import Tables
from earshot.store.annotations.r_avst import read
from earshot.store.manifests import read_manifest
from earshot.store.rows import only_declared
from earshot.store.stage import Done, StageContext, StageInput
from earshot.tasks.write_questions import WriteQuestions

SAME_S = 0.06
"""R-AVST's intervals are UnAV-100's segments within this (`research/data.md` 2)."""

OFF = QuestionsConfig(
    max_event_cover=1, min_visible_share=0, max_answer_tokens=10**9, test_share=0,
    validation_share=0,
)  # fmt: skip
AS_THEY_ARE = QuestionsConfig(test_share=0, validation_share=0)

Key = tuple[str, str, str | None, str]
"""Event, task, branch, object (or "" where the question names none)."""


@dataclass(frozen=True)
class Outcome:
    """What became of R-AVST's questions.

    Attributes:
        reproduced: with equal text and equal `<when>`.
        missed: why not -> questions; among those whose inputs are there.
        lacking: what is not there -> questions.
        differ: (text of R-AVST, text of ours) where both exist and differ.
    """

    reproduced: int
    missed: Counter[str]
    lacking: Counter[str]
    differ: tuple[tuple[str, str], ...]

    @property
    def with_inputs(self) -> int:
        """Questions that could be written."""
        return self.reproduced + sum(self.missed.values()) + len(self.differ)


def reproduce(ravst: Path, unav: Path, config: QuestionsConfig) -> Outcome:
    """Write R-AVST's questions again; see the module."""
    tables, _ = read(str(ravst))
    segments = _unav_segments(unav)
    asked = _texts(ravst)
    stage = WriteQuestions(config, StageContext("/nowhere", Path("/nowhere")))
    of = _by_video(tables)
    reproduced, missed, lacking = 0, Counter[str](), Counter[str]()
    differ: list[tuple[str, str]] = []
    for video in tables.of(AnnotatedVideo):
        rows = [row for row in of[video.video_id] if isinstance(row, RAvstRow)]
        world = _world(video, of[video.video_id], segments.get(video.video_id, []))
        (outcome,) = stage.run([_given(world, video.video_id)])
        assert isinstance(outcome, Done), outcome
        made = {_key_of(row): row for row in outcome.records if isinstance(row, Question)}
        refused = {item.item_id: item.reason_code or "" for item in outcome.items}
        for same in _questions(rows):
            text, answer = asked[video.video_id, same[0].event_position, same[0].question_position]
            if lack := _lack(same, world):
                lacking[lack] += 1
                continue
            row = made.get(_key(same))
            if row is None:
                missed[_why(same, refused, stage, world)] += 1
            elif row.question == text and _same_when(row, answer):
                reproduced += 1
            else:
                differ.append((text, row.question))
    return Outcome(reproduced, missed, lacking, tuple(differ))


def _unav_segments(unav: Path) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for video_id, entry in read_manifest(str(unav)).entries.items():
        pairs = [each for event in entry.events for each in event.segments]
        found[video_id] = [(float(one.start_s), float(one.end_s)) for one in pairs]
    return found


def _texts(ravst: Path) -> dict[tuple[str, int, int], tuple[str, str]]:
    """Return question and answer as R-AVST has them, by video, annotation and place in it."""
    import json

    found = {}
    for video in json.loads(ravst.read_text("utf-8")):
        for position, told in enumerate(video["annotation"]):
            nth = 0
            for key in told:
                for one in told[key] if key != "event_num" else ():
                    found[video["video_name"], position, nth] = (one["Q"], one["A"])
                    nth += 1
    return found


def _by_video(tables: Tables) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    kinds: tuple[type[Record], ...] = (Event, Object, EventObject, Tube, RAvstRow)
    for kind in kinds:
        for row in tables.of(kind):
            video_id = getattr(row, "video_id", None) or row.record_id.split("/")[0]
            found[video_id].append(row)
    return found


def _world(
    video: AnnotatedVideo, rows: Sequence[Any], segments: Iterable[tuple[float, float]]
) -> dict[type[Record], list[Any]]:
    """Return the tables that the stage reads: UnAV-100's times, R-AVST's names and boxes."""
    known = list(segments)
    events = [
        each.model_copy(update={"segments": (Interval(start_s=near[0], end_s=near[1]),)})
        for each in rows
        if isinstance(each, Event) and (near := _near(each, known))
    ]
    at = {each.event_id: each.segments for each in events}
    tubes = [each for each in rows if isinstance(each, Tube)]
    parts = [
        each.model_copy(update={"sounding": at[each.event_id] if each.sounding else ()})
        for each in rows
        if isinstance(each, EventObject) and each.event_id in at
    ]
    # R-AVST writes names as its captions do, article and all.
    objects = [
        each.model_copy(update={"name": each.surfaces[0]})
        for each in rows
        if isinstance(each, Object)
    ]
    edges = [box.xyxy for tube in tubes for box in tube.boxes if box is not None]
    width = max((edge[2] for edge in edges), default=1.0)
    height = max((edge[3] for edge in edges), default=1.0)
    return {
        Video: [_video(video, int(width) + 1, int(height) + 1)],
        Event: events,
        Object: objects,
        EventObject: parts,
        Tube: tubes,
        Inspection: [_passed(event, parts, tubes) for event in events],
    }


def _near(event: Event, segments: list[tuple[float, float]]) -> tuple[float, float] | None:
    start_s, end_s = event.segments[0].pair
    fits = [s for s in segments if max(abs(s[0] - start_s), abs(s[1] - end_s)) <= SAME_S]
    return min(fits, key=lambda s: abs(s[0] - start_s) + abs(s[1] - end_s), default=None)


def _video(video: AnnotatedVideo, width: int, height: int) -> Video:
    return Video(
        video_id=video.video_id, uri=video.video_id, sha256="0" * 64, bytes=1,
        duration_s=video.duration_s, fps=1, n_frames=1, width=width, height=height,
        rotation_deg=0, is_vfr=False, video_codec="unknown", audio_codec=None, has_audio=True,
        is_silent=False,
    )  # fmt: skip


def _passed(event: Event, parts: list[EventObject], tubes: list[Tube]) -> Inspection:
    """R-AVST's authors looked at every event: all boxes of it are right."""
    mine = {part.object_id for part in parts if part.event_id == event.event_id}
    (segment,) = event.segments
    shown = [
        tube
        for tube in tubes
        if tube.object_id in mine
        and tube.window.start_s < segment.end_s
        and segment.start_s < tube.window.end_s
    ]
    return Inspection(
        inspection_id=inspection_id(event.event_id, "r-avst", event.event_id, "1"),
        event_id=event.event_id, verdict="ok", reasons=(), segments=event.segments,
        tubes=tuple(
            InspectedTube(tube_id=t.tube_id, verdict="ok", before_digest=t.digest,
                          after_digest=t.digest)
            for t in shown
        ),
        annotator="r-avst", at=datetime(2025, 11, 17, tzinfo=UTC), seconds=0,
        inspected_by="human",
    )  # fmt: skip


def _given(world: dict[type[Record], list[Any]], video_id: str) -> StageInput:
    rows = {
        reads.kind: [only_declared(row, reads) for row in world.get(reads.kind, [])]
        for reads in WriteQuestions.reads
    }
    return StageInput(video_id, rows)


def _questions(rows: Sequence[RAvstRow]) -> Iterator[list[RAvstRow]]:
    found: dict[tuple[int, int], list[RAvstRow]] = defaultdict(list)
    for row in rows:
        found[row.event_position, row.question_position].append(row)
    yield from found.values()


def _key(rows: Sequence[RAvstRow]) -> Key:
    first = rows[0]
    named = "" if first.task == "spatial" else first.object_id
    return (first.event_id, first.task, first.branch, named)


def _key_of(row: Question) -> Key:
    return (row.event_ids[0], row.task, row.branch, row.asked_object_id or "")


def _lack(rows: Sequence[RAvstRow], world: dict[type[Record], list[Any]]) -> str | None:
    """Return what a question lacks, or None where its inputs are all there."""
    first = rows[0]
    if all(event.event_id != first.event_id for event in world[Event]):
        return "no such segment in the UnAV-100 file"
    (window,) = {
        event.segments[0].pair for event in world[Event] if event.event_id == first.event_id
    }
    here = {
        tube.object_id
        for tube in world[Tube]
        if tube.window.start_s < window[1] and window[0] < tube.window.end_s
    }
    if any(row.unlinked_id is not None for row in rows):
        return "boxes without identity: no tube"
    if any(row.object_id not in here for row in rows):
        return "no boxes of the object in this event"
    return None


def _why(
    rows: Sequence[RAvstRow],
    refused: dict[str, str],
    stage: WriteQuestions,
    world: dict[type[Record], list[Any]],
) -> str:
    from earshot.tasks.questions.candidates import candidates
    from earshot.tasks.write_questions import _scene

    scene = _scene(_given(world, rows[0].video_id))
    for each in candidates(scene, stage.pack):
        named = each.asked.object_id if each.asked else ""
        key = (each.event_ids[0], each.template.task, each.template.branch, named)
        if key == _key(rows):
            return refused[each.question_id]
    return "no candidate"


def _same_when(row: Question, answer: str) -> bool:
    if row.task == "spatial":
        return True
    ours, theirs = (parse(text, row.task).answer.intervals_micro for text in (row.answer, answer))
    return ours == theirs


def main() -> None:
    """Print both runs."""
    ravst, unav = (Path(arg) for arg in sys.argv[1:3])
    for name, config in (("limits off", OFF), ("limits as by default", AS_THEY_ARE)):
        found = reproduce(ravst, unav, config)
        print(f"{name}: {found.reproduced} of {found.with_inputs} questions with inputs reproduced")
        for what, counts in (("missed", found.missed), ("inputs lacking", found.lacking)):
            for why, count in counts.most_common():
                print(f"  {what}: {count} {why}")
        for text, ours in found.differ[:20]:
            print(f"  differs: {text!r} / {ours!r}")


if __name__ == "__main__":
    main()
