"""What stands after inspection: the one view that questions, scorer and export read (CONTRACTS 2).

Takes records and gives records: events as they were inspected, tubes as people left them, rejected
ones gone. Pure functions; never reads or writes the workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np

from earshot.errors import ItemError
from earshot.geometry.grid import question_grid
from earshot.geometry.intervals import intersect
from earshot.geometry.tubes import agree, at
from earshot.schemas.base import Interval, digest_of, to_intervals, to_pairs
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import inspection_id
from earshot.schemas.inspection import InspectedBy, InspectedTube, Inspection, Verdict
from earshot.schemas.tube import ShownTube, Tube

SAME_TIME_S = 0.1
"""Segments that differ by no more are the same to a person (CONTRACTS 2)."""

_FLOAT_S = 1e-6

Rank = tuple[bool, datetime, str]


@dataclass(frozen=True)
class ReviewedEvent:
    """An event that stands, with its segments as they were left, and who says so."""

    event: Event
    inspection_id: str
    verdict: Verdict
    inspected_by: InspectedBy


@dataclass(frozen=True)
class Reviewed:
    """One video after inspection.

    Attributes:
        events: those that an inspection calls ok, sorted by id.
        tubes: those that an event's inspection accepted, sorted by id; a person's revision stands
            in the place of the tube that it corrects.
        parts: what each object does in these events, with `sounding` fitted to their segments.
        unsettled: events that nobody settled: without an inspection that applies, unsure, or
            rejected by rules alone. What happens in them is not known. (An event that a person
            rejected is settled: it didn't happen.)
    """

    events: tuple[ReviewedEvent, ...]
    tubes: tuple[Tube, ...]
    parts: tuple[EventObject, ...]
    unsettled: tuple[Event, ...]


def reviewed(
    events: Sequence[Event],
    parts: Sequence[EventObject],
    tubes: Sequence[Tube],
    revised: Sequence[Tube],
    inspections: Sequence[Inspection],
    earlier: Sequence[Tube] = (),
) -> Reviewed:
    """Return what stands of a video.

    For each event the latest inspection that applies decides; one by a person goes before all
    automatic ones, whatever the time. One that takes back what people said (`--reopen`) leaves the
    rules alone to decide, until a person looks again. An inspection applies if the event's tubes
    are exactly those that it was shown (by digest), or if it carries over to them. Where the
    inspections of several events judge one tube, the highest ranking of them decides (`decisive`).

    Args:
        events: the video's events as computed or given.
        parts: what each object does in each event.
        tubes: the current tubes.
        revised: tubes as people left them, found by their digest.
        inspections: all that were ever made of these events; others are ignored.
        earlier: tubes that inspections were shown and that are no longer current.

    Raises:
        ItemError: `wrong_results`, if an inspection names a revised tube that is not there.
    """
    latest = {
        event.event_id: _latest(event, tubes_of(event, parts, tubes), inspections, earlier)
        for event in events
    }
    standing = [event for event in events if _verdict(latest[event.event_id]) == "ok"]
    deciding = [found for event in standing if (found := latest[event.event_id])]
    return Reviewed(
        events=tuple(
            _as_inspected(event, latest[event.event_id])
            for event in sorted(standing, key=lambda event: event.event_id)
        ),
        tubes=_accepted(deciding, tubes, {each.digest: each for each in (*earlier, *revised)}),
        parts=_fitted(standing, latest, parts),
        unsettled=tuple(e for e in events if not _is_settled(latest[e.event_id])),
    )


def tubes_of(event: Event, parts: Sequence[EventObject], tubes: Sequence[Tube]) -> list[Tube]:
    """Return an event's tubes: those of its objects whose window overlaps its segments."""
    objects = {part.object_id for part in parts if part.event_id == event.event_id}
    segments = to_pairs(event.segments)
    return [
        tube
        for tube in tubes
        if tube.object_id in objects and intersect(segments, [tube.window.pair])
    ]


def carries_over(
    inspection: Inspection,
    event_now: Event,
    tubes_now: Sequence[Tube],
    tubes_then: Sequence[Tube],
    event_then: Event | None = None,
) -> bool:
    """Say whether a verdict survives a recomputation (CONTRACTS 2).

    It does if the event's segments are equal within 0.1 s, the same objects have tubes, and the
    tubes agree one to one with those that the person saw, or with what the person made of them.

    Args:
        inspection: the decision.
        event_now: the event as computed now.
        tubes_now: its tubes as computed now.
        tubes_then: the tubes that the inspection knows: as shown and, where given, as revised.
        event_then: the event as it was shown; without it, `shown_segments` of the inspection or
            else the segments as the person left them are what `event_now` is compared with.
    """
    return _carried(inspection, event_now, tubes_now, tubes_then, event_then) is not None


def _carried(
    inspection: Inspection,
    event_now: Event,
    tubes_now: Sequence[Tube],
    tubes_then: Sequence[Tube],
    event_then: Event | None = None,
) -> Inspection | None:
    """Return the inspection with the ids and digests of the tubes as they are now, or None."""
    before = inspection.shown_segments or inspection.segments
    if event_then is not None:
        before = event_then.segments
    if not _same_times(before, event_now.segments):
        return None
    by_digest = {tube.digest: tube for tube in tubes_then}
    shown = [tube for tube in inspection.tubes if tube.before_digest is not None]
    if len(shown) != len(tubes_now) or any(t.before_digest not in by_digest for t in shown):
        return None
    grid = question_grid(to_pairs(event_now.segments)).times_s
    fits = np.array(
        [[_agrees(old, new, by_digest, grid) for new in tubes_now] for old in shown], dtype=bool
    ).reshape(len(shown), len(tubes_now))
    # scipy.optimize takes most of a second to import, which `status` and `plan` would pay.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(fits, maximize=True)
    if not fits[rows, columns].all():
        return None
    renewed = [
        _renewed(shown[row], tubes_now[column])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    added = [tube for tube in inspection.tubes if tube.before_digest is None]
    return inspection.model_copy(update={"tubes": (*renewed, *added)})


def _agrees(
    old: InspectedTube, new: Tube, by_digest: Mapping[str, Tube], grid: Sequence[float]
) -> bool:
    """Tell whether a tube agrees with one that was inspected, as it was shown or as it was left."""
    known = (by_digest.get(digest or "") for digest in (old.before_digest, old.after_digest))
    then = [tube for tube in known if tube is not None]
    return any(
        tube.object_id == new.object_id
        and tube.box_space == new.box_space
        and agree(*at(*tube.arrays(), grid), *at(*new.arrays(), grid))
        for tube in then
    )


def _renewed(old: InspectedTube, new: Tube) -> InspectedTube:
    kept = new.digest if old.verdict == "ok" else old.after_digest
    return old.model_copy(
        update={"tube_id": new.tube_id, "before_digest": new.digest, "after_digest": kept}
    )


def _same_times(then: Sequence[Interval], now: Sequence[Interval]) -> bool:
    if len(then) != len(now):
        return False
    ends = np.array(to_pairs(tuple(then))) - np.array(to_pairs(tuple(now)))
    return bool(np.all(np.abs(ends) <= SAME_TIME_S + _FLOAT_S))


def _latest(
    event: Event, shown: Sequence[Tube], inspections: Sequence[Inspection], earlier: Sequence[Tube]
) -> Inspection | None:
    """Return the highest ranking inspection that applies, with its tubes as they are now."""
    for inspection in in_force(event, inspections):
        if _is_about(inspection, event, shown):
            return inspection
        if earlier and (carried := _carried(inspection, event, shown, earlier)):
            return carried
    return None


def people_verdict(
    event: Event, shown: Sequence[Tube], inspections: Sequence[Inspection], known: Sequence[Tube]
) -> Inspection | None:
    """Return what people say of an event as it is now: found as it is, or carried over.

    A carried one is a new row: with an id of its own, `carried_from`, and the ids and digests of
    the tubes as they are now. Only what a person really saw is carried, so many small changes never
    add up to a large one.

    Args:
        event: the event as computed now.
        shown: its tubes as computed now.
        inspections: all that were ever made.
        known: the tubes that inspections name, as they were then.
    """
    for inspection in in_force(event, inspections):
        if inspection.inspected_by != "human":
            continue
        if _is_about(inspection, event, shown):
            return inspection
        carried = None
        if inspection.is_original_work:
            carried = _carried(inspection, event, shown, known)
        if carried is not None:
            source = inspection.inspection_id
            digests = {tube.digest for tube in shown}
            id_now = inspection_id(event.event_id, "carried", source, digest_of(sorted(digests)))
            changes = {"inspection_id": id_now, "carried_from": source, "seconds": 0.0}
            return carried.model_copy(update=changes)
    return None


def tubes_named(inspection: Inspection, known: Mapping[str, Tube]) -> tuple[ShownTube, ...]:
    """Return the rows that keep the tubes which an inspection names, among `known` by digest.

    Whoever stores a person's inspection stores these beside it, so that the verdict can be carried
    over whatever becomes of the tubes.
    """
    digests = {d for tube in inspection.tubes for d in (tube.before_digest, tube.after_digest) if d}
    return tuple(ShownTube.of(known[digest]) for digest in sorted(digests & known.keys()))


def _is_about(inspection: Inspection, event: Event, shown: Sequence[Tube]) -> bool:
    """Tell whether an inspection was made of the event's tubes and times as they are now."""
    digests = {tube.before_digest for tube in inspection.tubes} - {None}
    if digests != {tube.digest for tube in shown}:
        return False
    before = inspection.shown_segments
    return not before or _same_times(before, event.segments)


def in_force(event: Event, inspections: Sequence[Inspection]) -> list[Inspection]:
    """Return an event's inspections, highest rank first, without what people have taken back."""
    about = [each for each in inspections if each.event_id == event.event_id]
    taken_back = max((each.at for each in about if each.takes_back), default=None)
    if taken_back is not None:
        about = [e for e in about if e.inspected_by != "human" or e.at > taken_back]
    return sorted(about, key=_rank, reverse=True)


def _rank(inspection: Inspection) -> Rank:
    return (inspection.inspected_by == "human", inspection.at, inspection.inspection_id)


def _verdict(inspection: Inspection | None) -> Verdict:
    return "unsure" if inspection is None else inspection.verdict


def _is_settled(inspection: Inspection | None) -> bool:
    verdict = _verdict(inspection)
    by_person = inspection is not None and inspection.inspected_by == "human"
    return verdict == "ok" or (verdict == "reject" and by_person)


def _as_inspected(event: Event, inspection: Inspection | None) -> ReviewedEvent:
    assert inspection is not None
    left = event
    if inspection.segments != event.segments:
        changes = {"segments": inspection.segments, "time_source": "annotator"}
        left = event.model_copy(update=changes)
    return ReviewedEvent(
        left, inspection.inspection_id, inspection.verdict, inspection.inspected_by
    )


def _accepted(
    deciding: Sequence[Inspection], tubes: Sequence[Tube], revisions: Mapping[str, Tube]
) -> tuple[Tube, ...]:
    """Return the tubes that the deciding inspections accept, revisions in place of originals."""
    current = {tube.tube_id: tube for tube in tubes}
    accepted = []
    for tube_id, last in decisive(deciding).items():
        if last.verdict == "ok":
            accepted.append(current[tube_id])
        elif last.verdict != "rejected":
            accepted.append(_revision(last, revisions))
    return tuple(sorted(accepted, key=lambda tube: tube.tube_id))


def decisive(inspections: Iterable[Inspection]) -> dict[str, InspectedTube]:
    """Return by tube id what decides of it, where the inspections of several events judge it.

    The highest ranking does. But who calls a tube `ok` was shown it as it was computed, so an `ok`
    never speaks of the boxes that a person of another event left, and never undoes them.

    Args:
        inspections: one an event.
    """
    verdicts = sorted(
        (
            (tube.tube_id, _rank(inspection), tube)
            for inspection in inspections
            for tube in inspection.tubes
        ),
        key=lambda entry: entry[:2],
    )
    found = {}
    for tube_id, entries in groupby(verdicts, key=lambda entry: entry[0]):
        said = [tube for _, _, tube in entries]
        is_fixed = any(tube.verdict == "fixed" for tube in said)
        found[tube_id] = [t for t in said if not (is_fixed and t.verdict == "ok")][-1]
    return found


def _revision(inspected: InspectedTube, revisions: Mapping[str, Tube]) -> Tube:
    found = revisions.get(inspected.after_digest or "")
    if found is None:
        raise ItemError(
            "wrong_results",
            f"tube {inspected.tube_id}: an inspection calls it {inspected.verdict} with content "
            f"{inspected.after_digest}, which no revised tube has; collect the inspections again",
            value=inspected.after_digest,
        )
    return found


def _fitted(
    standing: Sequence[Event],
    latest: Mapping[str, Inspection | None],
    parts: Sequence[EventObject],
) -> tuple[EventObject, ...]:
    """Return the parts of the standing events, `sounding` inside the segments as they were left."""
    given = {event.event_id: event.segments for event in standing}
    return tuple(
        part.model_copy(update={"sounding": _fit(part.sounding, given[part.event_id], inspection)})
        for part in parts
        if part.event_id in given and (inspection := latest[part.event_id])
    )


def _fit(
    sounding: tuple[Interval, ...], before: tuple[Interval, ...], inspection: Inspection
) -> tuple[Interval, ...]:
    """Return what of `sounding` holds after a person moved the segments.

    What sounded through the whole event does so still; what sounded in a part of it is cut.
    """
    if sounding and _same_times(sounding, before):
        return inspection.segments
    return to_intervals(intersect(to_pairs(sounding), to_pairs(inspection.segments)))
