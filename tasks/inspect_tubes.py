"""Inspects events and their tubes: what people decided counts, rules stand in where nobody looked.

Takes events, objects and tubes, gives one inspection an event, flagged `automatic`: every row that
rests on it says that nobody looked. With backend `label_studio` rules decide nothing, and what no
person has inspected waits. Never changes a box or a time. What people decided is carried over to
tubes that were computed again where CONTRACTS 2 allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np

from earshot.geometry.boxes import area
from earshot.geometry.tubes import VISIBLE
from earshot.geometry.visible import visible_share
from earshot.schemas.base import Record
from earshot.schemas.config import InspectConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import inspection_id
from earshot.schemas.inspection import InspectedTube, Inspection, Opinion, QuestionInspection
from earshot.schemas.ledger import REASONS, ItemKind
from earshot.schemas.tube import OpinionTube, RevisedTube, ShownTube, Tube
from earshot.schemas.video import Video
from earshot.store.reviewed import people_verdict, tubes_named, tubes_of
from earshot.store.stage import (
    Done,
    Item,
    Outcome,
    Reads,
    Rejected,
    Stage,
    StageInput,
    Waiting,
)

INSPECTOR = "automatic"
AMBIGUOUS = "ambiguous_identity"

AT = datetime(1970, 1, 1, tzinfo=UTC)
"""When an automatic inspection was made: always this instant. `at` is part of a record's content,
and equal input has to give equal content; the ledger knows when the rules really ran."""

OWN: tuple[type[Record], ...] = (Inspection, RevisedTube, ShownTube)
OPINIONS: tuple[type[Record], ...] = (Opinion, OpinionTube, QuestionInspection)
"""Collected beside them; they decide nothing here."""


class InspectTubes(Stage[InspectConfig]):
    """The inspector (CONTRACTS 9, Inspector)."""

    name: ClassVar[str] = "inspect"
    version: ClassVar[str] = "3"
    section: ClassVar[str] = "inspect"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(Video, ("width", "height")),
        Reads(Event, ("event_id", "segments")),
        Reads(EventObject, ("event_id", "object_id", "audibility", "sounding")),
        Reads(Tube, ("digest",)),
        # Its own tables are in no key: what people decide makes nothing stale.
        *(Reads(own, (), beside=tuple(own.model_fields)) for own in OWN),
    )
    # It never revises a tube itself; the table belongs to this stage, whichever backend inspects.
    writes: ClassVar[tuple[type[Record], ...]] = (*OWN, *OPINIONS)
    item_kind: ClassVar[ItemKind | None] = "event"

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Every event of the video."""
        return tuple(event.event_id for event in given.all(Event))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` with one inspection an event, or `Rejected` where no event is left."""
        for given in batch:
            yield self._inspect(given)

    def _inspect(self, given: StageInput) -> Outcome:
        parts, tubes = given.all(EventObject), given.all(Tube)
        faults = {tube.tube_id: self._fault(tube, given.one(Video)) for tube in tubes}
        by_rules = [
            _inspection(event, parts, tubes_of(event, parts, tubes), faults)
            for event in given.all(Event)
        ]
        if not by_rules:
            return Done(given.video_id, reason_code="empty")
        by_people, kept = _people(given)
        if self.config.backend == "label_studio":
            return _by_people(given, by_people, kept)
        deciding = [by_people.get(each.event_id, each) for each in by_rules]
        items = tuple(_item(inspection) for inspection in deciding)
        if all(inspection.verdict == "reject" for inspection in deciding):
            return Rejected(
                given.video_id,
                items,
                reason_code=_common(items),
                message=f"{deciding[0].event_id}: {'; '.join(deciding[0].reasons)}",
            )
        carried = [each for each in by_people.values() if each.carried_from]
        return Done(given.video_id, items, rows=(*by_rules, *carried, *kept))

    def _fault(self, tube: Tube, video: Video) -> str | None:
        """Return what is wrong with a tube by the rules, or None."""
        if AMBIGUOUS in tube.flags:
            return f"{AMBIGUOUS}: {REASONS[AMBIGUOUS].sentence}"
        times_s, boxes, states = tube.arrays()
        share = visible_share(times_s, states, tube.window.pair)
        if share == 0 or share < self.config.min_visible_share:
            return (
                f"visible for {share:.2f} of its window, expected at least "
                f"{self.config.min_visible_share} (inspect.min_visible_share)"
            )
        frame = 1.0 if tube.box_space == "norm" else float(video.width * video.height)
        covered = float(np.median(area(boxes[states == VISIBLE]))) / frame
        if covered > self.config.max_box_share:
            return (
                f"its median box covers {covered:.2f} of the frame, expected at most "
                f"{self.config.max_box_share} (inspect.max_box_share)"
            )
        return None


def _by_people(
    given: StageInput, by_people: dict[str, Inspection], kept: Sequence[ShownTube]
) -> Outcome:
    """Return what people alone made of the video; what they have not seen waits."""
    items = tuple(
        _item(by_people[event.event_id])
        if event.event_id in by_people
        else Item(event.event_id, "waiting", "for_people")
        for event in given.all(Event)
    )
    carried = [each for each in by_people.values() if each.carried_from]
    rows = (*carried, *kept)
    if any(item.status == "done" for item in items):
        return Done(given.video_id, items, rows=rows)
    waiting = sum(item.status == "waiting" for item in items)
    if waiting:
        return Waiting(
            given.video_id,
            items,
            reason_code="for_people",
            message=f"{waiting} of {len(items)} events",
            rows=rows,
        )
    return Rejected(given.video_id, items, reason_code=_common(items), message=_said(by_people))


def _said(by_people: dict[str, Inspection]) -> str:
    return "; ".join(
        f"{each.event_id}: {', '.join(each.reasons) or each.verdict}" for each in by_people.values()
    )


def _people(given: StageInput) -> tuple[dict[str, Inspection], list[ShownTube]]:
    """Return what people say of each event, and rows that keep tubes which are not kept yet."""
    inspections = [each for each in given.all(Inspection) if each.inspected_by == "human"]
    if not inspections:
        return {}, []
    parts, tubes, shown = given.all(EventObject), given.all(Tube), given.all(ShownTube)
    there = [*tubes, *given.all(RevisedTube), *(each.tube() for each in shown)]
    found = {
        event.event_id: people_verdict(event, tubes_of(event, parts, tubes), inspections, there)
        for event in given.all(Event)
    }
    known, kept = {tube.digest: tube for tube in there}, {each.shown_digest for each in shown}
    new = {
        each.shown_digest: each
        for inspection in inspections
        if inspection.is_original_work
        for each in tubes_named(inspection, known)
        if each.shown_digest not in kept
    }
    return {event_id: each for event_id, each in found.items() if each}, list(new.values())


def _inspection(
    event: Event, parts: Sequence[EventObject], tubes: Sequence[Tube], faults: dict[str, str | None]
) -> Inspection:
    sounding = {
        part.object_id
        for part in parts
        if part.event_id == event.event_id and part.audibility != "visible_only" and part.sounding
    }
    is_heard_and_seen = any(
        tube.object_id in sounding and faults[tube.tube_id] is None for tube in tubes
    )
    reason = "no sounding object has an accepted tube"
    return Inspection(
        inspection_id=inspection_id(event.event_id, INSPECTOR, event.event_id, "rules"),
        event_id=event.event_id,
        verdict="ok" if is_heard_and_seen else "reject",
        reasons=() if is_heard_and_seen else (reason,),
        segments=event.segments,
        tubes=tuple(_judged(tube, faults[tube.tube_id]) for tube in tubes),
        annotator=INSPECTOR,
        at=AT,
        seconds=0,
        inspected_by="automatic",
    )


def _judged(tube: Tube, fault: str | None) -> InspectedTube:
    return InspectedTube(
        tube_id=tube.tube_id,
        verdict="ok" if fault is None else "rejected",
        reason=fault,
        before_digest=tube.digest,
        after_digest=tube.digest if fault is None else None,
    )


def _item(inspection: Inspection) -> Item:
    if inspection.verdict == "ok":
        return Item(inspection.event_id)
    if inspection.inspected_by == "human":
        code = "unsure" if inspection.verdict == "unsure" else "inspector_rejected"
        said = "; ".join(inspection.reasons) or f"{inspection.annotator} gave no reason"
        return Item(inspection.event_id, "rejected", code, said)
    tubes = [f"{tube.tube_id} {tube.reason}" for tube in inspection.tubes if tube.reason]
    return Item(
        inspection.event_id,
        "rejected",
        _code(inspection),
        "; ".join((*inspection.reasons, *tubes)),
    )


def _code(inspection: Inspection) -> str:
    """Return why an event is rejected: for want of a name alone, or for some rule."""
    reasons = [tube.reason or "" for tube in inspection.tubes]
    is_nameless = bool(reasons) and all(reason.startswith(AMBIGUOUS) for reason in reasons)
    return AMBIGUOUS if is_nameless else "rule_rejected"


def _common(items: Sequence[Item]) -> str:
    codes = {str(item.reason_code) for item in items}
    return codes.pop() if len(codes) == 1 else "rule_rejected"
