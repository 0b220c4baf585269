"""Small reviewed worlds for tests: tubes sampled at 5 fps, verdicts of rules and of people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from earshot.geometry.intervals import contains
from earshot.schemas import ids
from earshot.schemas.base import Interval, Record, to_intervals
from earshot.schemas.config import InspectConfig, QuestionsConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.object import Object
from earshot.schemas.tube import Box, RevisedTube, ShownTube, Tube
from earshot.schemas.video import Video
from earshot.store.rows import only_declared
from earshot.store.stage import Done, Stage, StageContext, StageInput
from earshot.tasks.inspect_tubes import InspectTubes
from earshot.tasks.write_questions import WriteQuestions
from tests.factories import NOW, make_event, make_event_object, make_inspection, make_tube

BoxAt = Callable[[float], tuple[float, float, float, float]]
CONTEXT = StageContext("/nowhere", Path("/nowhere"))


def still(left: float) -> BoxAt:
    """A box that stands still, 0.2 wide."""
    return lambda _: (left, 0.3, left + 0.2, 0.7)


LEFT = still(0.2)


def tube_of(
    thing: Object,
    window: tuple[float, float],
    box_at: BoxAt = LEFT,
    *,
    visible: Iterable[tuple[float, float]] | None = None,
    ordinal: int = 0,
    kind: type[Tube] = Tube,
    **changes: Any,
) -> Tube:
    """A tube at 5 fps, visible in the given stretches (default: throughout), else absent."""
    start_s, end_s = window
    times_s = tuple(start_s + index / 5 for index in range(max(2, round((end_s - start_s) * 5))))
    seen = contains([window] if visible is None else list(visible), times_s).tolist()
    boxes = [
        Box(**dict(zip(("x1", "y1", "x2", "y2"), box_at(time_s), strict=True))) if is_seen else None
        for time_s, is_seen in zip(times_s, seen, strict=True)
    ]
    values: dict[str, Any] = {
        "tube_id": ids.tube_id(thing.object_id, window, ordinal),
        "times_s": times_s,
        "boxes": tuple(boxes),
        "state": tuple("visible" if box else "absent" for box in boxes),
        "score": tuple(0.9 if box else None for box in boxes),
        **changes,
    }
    return kind(**make_tube(thing, window, **values).model_dump())


def revision_of(tube: Tube, box_at: BoxAt) -> RevisedTube:
    """The tube with other boxes, as a person left it."""
    boxes = tuple(
        Box(**dict(zip(("x1", "y1", "x2", "y2"), box_at(time_s), strict=True))) if box else None
        for time_s, box in zip(tube.times_s, tube.boxes, strict=True)
    )
    values = {**tube.model_dump(), "source": "human", "parent_digest": tube.digest}
    return RevisedTube(**{**values, "boxes": boxes})


def judged(tube: Tube, verdict: str = "ok", after: Tube | None = None) -> InspectedTube:
    """A verdict on a tube that was shown."""
    left = {"ok": tube.digest, "rejected": None}.get(verdict, after.digest if after else None)
    return InspectedTube(
        tube_id=tube.tube_id, verdict=verdict, before_digest=tube.digest, after_digest=left
    )


def by_person(
    event: Event, tubes: Iterable[InspectedTube], minute: int = 0, **changes: Any
) -> Inspection:
    """A person's inspection, so many minutes after the others."""
    values: dict[str, Any] = {
        "inspection_id": ids.inspection_id(event.event_id, "p1", event.event_id, str(minute)),
        "tubes": tuple(tubes),
        "at": NOW + timedelta(minutes=minute),
        "seconds": 30.0,
        "annotator": "ann",
        "inspected_by": "human",
        **changes,
    }
    return make_inspection(event).model_copy(update=values)


def by_rules(event: Event, tubes: Iterable[InspectedTube], **changes: Any) -> Inspection:
    """An automatic inspection."""
    return make_inspection(event).model_copy(update={"tubes": tuple(tubes), **changes})


@dataclass(frozen=True)
class World:
    """The rows of one video, with what the inspector made of them."""

    video: Video
    events: Sequence[Event]
    objects: Sequence[Object]
    parts: Sequence[EventObject]
    tubes: Sequence[Tube]
    inspections: Sequence[Inspection] = ()
    revised: Sequence[RevisedTube] = field(default=())
    shown: Sequence[ShownTube] = ()

    def given(self, stage: type[Stage[Any]]) -> StageInput:
        """What a stage gets: its tables, cut down to the fields that it declares, as in a run."""
        tables: dict[type[Record], Sequence[Record]] = {
            Video: [self.video],
            Event: self.events,
            Object: self.objects,
            EventObject: self.parts,
            Tube: self.tubes,
            RevisedTube: self.revised,
            ShownTube: self.shown,
            Inspection: self.inspections,
        }
        rows = {
            reads.kind: [only_declared(row, reads) for row in tables[reads.kind]]
            for reads in stage.reads
        }
        return StageInput(self.video.video_id, rows)

    def inspected(self, config: InspectConfig | None = None) -> World:
        """The same with the automatic inspector's verdicts."""
        (outcome,) = InspectTubes(config or InspectConfig(), CONTEXT).run(
            [self.given(InspectTubes)]
        )
        return replace(self, inspections=(*self.inspections, *outcome.records))

    def passed(self) -> World:
        """The same with a person's ok for every event and every tube that overlaps it."""
        inspections = []
        for event in self.events:
            mine = {part.object_id for part in self.parts if part.event_id == event.event_id}
            shown = [
                judged(tube)
                for tube in self.tubes
                if tube.object_id in mine
                and any(
                    tube.window.start_s < segment.end_s and segment.start_s < tube.window.end_s
                    for segment in event.segments
                )
            ]
            inspections.append(by_person(event, shown))
        return replace(self, inspections=tuple(inspections))

    def ask(self, **config: Any) -> Done:
        """What the questions stage makes of it, all in train unless told otherwise."""
        values = {"test_share": 0.0, "validation_share": 0.0, **config}
        (outcome,) = WriteQuestions(QuestionsConfig(**values), CONTEXT).run(
            [self.given(WriteQuestions)]
        )
        assert isinstance(outcome, Done), outcome
        return outcome


def sounding(event: Event, thing: Object, *pairs: tuple[float, float]) -> EventObject:
    """The object is seen and heard: in the given stretches, or through the whole event."""
    stretches = to_intervals(pairs) if pairs else event.segments
    return make_event_object(event, thing, sounding=stretches)


def silent(event: Event, thing: Object) -> EventObject:
    """The object is seen and not heard."""
    return make_event_object(event, thing, audibility="visible_only", sounding=())


def event_of(label: str, *segments: tuple[float, float], **changes: Any) -> Event:
    """An event of video v1."""
    return make_event("v1", segments or ((2.0, 6.0),), label, **changes)


def interval(start_s: float, end_s: float) -> Interval:
    """Shorthand."""
    return Interval(start_s=start_s, end_s=end_s)
