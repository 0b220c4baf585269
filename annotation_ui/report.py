"""What people's work came to: how much is done, how much they corrected, how long it took.

Takes inspections with the tubes that they name and the tasks that were pushed; gives numbers. Each
event counts once, by its latest inspection; what was carried over is nobody's new work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

from pydantic import Field

from earshot.geometry.intervals import interval_iou
from earshot.geometry.tubes import at, tube_iou
from earshot.schemas.base import Frozen, to_pairs
from earshot.schemas.inspection import Inspection
from earshot.schemas.tube import Tube

CAUSES = {
    "no such sound": "analyse",
    "source not visible": "analyse",
    "sounding object not in the list": "objects",
    "caption wrong": "captions",
    "bad media": "probe",
    "another thing": "track",
    "jumps to another thing": "track",
    "off target": "track",
    "not there": "track",
    "deleted": "track",
}
"""The stage that a reason speaks of."""


class AnnotatorWork(Frozen):
    """One person's work."""

    annotator: str = Field(description="an id, no name")
    events: int
    median_minutes: float
    corrected_share: float | None = Field(description="of the tubes that they were shown")


class InspectionReport(Frozen):
    """Numbers of all events that were ever pushed."""

    pushed: int = Field(description="events")
    done: int = Field(description="events that a person has inspected")
    waiting: int
    verdicts: dict[str, int]
    reasons: dict[str, int] = Field(description="of events and of boxes")
    causes: dict[str, int] = Field(description="the same by the stage that they speak of")
    tubes: dict[str, int] = Field(description="ok, fixed, rejected, and added")
    corrected_share: float | None = Field(description="fixed or rejected, of the tubes shown")
    iou_of_fixed: float | None = Field(description="mean vIoU of fixed tubes, before and after")
    spans_moved: int = Field(description="events whose segments a person changed")
    tiou_of_moved: float | None = Field(description="mean IoU of those segments, before and after")
    minutes_per_task: float | None = Field(description="mean")
    median_minutes: float | None
    hours_left: float | None = Field(description="waiting events times the median")
    annotators: tuple[AnnotatorWork, ...]


def report(
    pushed: Iterable[str], inspections: Sequence[Inspection], tubes: Mapping[str, Tube]
) -> InspectionReport:
    """Return what people's work came to.

    Args:
        pushed: ids of the events that were ever pushed.
        inspections: all there are.
        tubes: those that inspections name, by digest.
    """
    latest: dict[str, Inspection] = {}
    for each in sorted(inspections, key=lambda row: row.at):
        if each.takes_back:
            latest.pop(each.event_id, None)
        elif each.is_original_work:
            latest[each.event_id] = each
    done = list(latest.values())
    ever = set(pushed) | latest.keys()
    reasons = Counter(reason for each in done for reason in _reasons(each))
    causes: Counter[str] = Counter()
    for reason, times in reasons.items():
        causes[CAUSES.get(reason, "other")] += times
    minutes = [each.seconds / 60 for each in done if each.seconds]
    moved = [each for each in done if each.shown_segments and each.segments != each.shown_segments]
    middle = median(minutes) if minutes else None
    waiting = len(ever) - len(done)
    return InspectionReport(
        pushed=len(ever),
        done=len(done),
        waiting=waiting,
        verdicts=dict(Counter(each.verdict for each in done)),
        reasons=dict(reasons.most_common()),
        causes=dict(causes.most_common()),
        tubes=dict(Counter(tube.verdict for each in done for tube in each.tubes)),
        corrected_share=_corrected(done),
        iou_of_fixed=_mean([iou for each in done for iou in _ious(each, tubes)]),
        spans_moved=len(moved),
        tiou_of_moved=_mean(
            [interval_iou(to_pairs(e.shown_segments), to_pairs(e.segments)) for e in moved]
        ),
        minutes_per_task=_mean(minutes),
        median_minutes=None if middle is None else round(middle, 3),
        hours_left=None if middle is None else round(waiting * middle / 60, 2),
        annotators=tuple(_work(who, done) for who in sorted({each.annotator for each in done})),
    )


def _reasons(inspection: Inspection) -> list[str]:
    said = [each for each in inspection.reasons if not each.startswith("comment: ")]
    return [*said, *(tube.reason for tube in inspection.tubes if tube.reason)]


def _corrected(done: Sequence[Inspection]) -> float | None:
    shown = [tube.verdict for each in done for tube in each.tubes if tube.before_digest]
    return round(sum(v != "ok" for v in shown) / len(shown), 4) if shown else None


def _ious(inspection: Inspection, tubes: Mapping[str, Tube]) -> list[float]:
    found = []
    for each in inspection.tubes:
        before, after = (tubes.get(d or "") for d in (each.before_digest, each.after_digest))
        if each.verdict == "fixed" and before and after:
            times_s, boxes, states = after.arrays()
            found.append(tube_iou(*at(*before.arrays(), times_s), boxes, states))
    return found


def _work(annotator: str, done: Sequence[Inspection]) -> AnnotatorWork:
    mine = [each for each in done if each.annotator == annotator]
    return AnnotatorWork(
        annotator=annotator,
        events=len(mine),
        median_minutes=round(median(each.seconds / 60 for each in mine), 3),
        corrected_share=_corrected(mine),
    )


def _mean(values: Sequence[float]) -> float | None:
    return round(mean(values), 4) if values else None


def rows_of(told: InspectionReport) -> list[tuple[str, str]]:
    """Return the report as (what, how much) for people."""

    def counts(found: Mapping[str, Any]) -> str:
        return ", ".join(f"{number} {name}" for name, number in found.items()) or "·"

    def share(value: float | None) -> str:
        return "·" if value is None else f"{100 * value:.0f} %"

    def number(value: float | None, unit: str = "") -> str:
        return "·" if value is None else f"{value:.2f}{unit}"

    rows = [
        ("events", f"{told.done} done, {told.waiting} waiting, of {told.pushed}"),
        ("verdicts", counts(told.verdicts)),
        ("reasons", counts(told.reasons)),
        ("by stage", counts(told.causes)),
        ("tubes", counts(told.tubes)),
        ("corrected", f"{share(told.corrected_share)} of the tubes shown"),
        ("IoU of fixed tubes", f"{number(told.iou_of_fixed)} before against after"),
        ("spans moved", f"{told.spans_moved}, tIoU {number(told.tiou_of_moved)}"),
        (
            "time a task",
            f"{number(told.minutes_per_task)} min, median {number(told.median_minutes)}",
        ),
        ("time left", number(told.hours_left, " h")),
    ]
    return rows + [
        (
            each.annotator,
            f"{each.events} events, median {each.median_minutes:.2f} min, "
            f"{share(each.corrected_share)} corrected",
        )
        for each in told.annotators
    ]
