"""What people's work came to: done, corrected, minutes, agreement, and how often they are right.

Takes inspections and opinions with the tubes that they name and the tasks that were pushed; gives
numbers. Each event counts once, by its latest inspection; what was carried over is nobody's new
work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, TypeVar

import pyarrow as pa

from earshot.geometry.intervals import interval_iou
from earshot.geometry.tubes import at, tube_iou
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record, to_pairs
from earshot.schemas.inspection import (
    ADJUDICATION,
    Inspection,
    Opinion,
    OpinionKind,
    QuestionInspection,
)
from earshot.schemas.inspection_report import (
    Agreement,
    AnnotatorWork,
    InspectionReport,
    QuestionWork,
)
from earshot.schemas.tube import OpinionTube, RevisedTube, ShownTube, Tube
from earshot.store.agreement import Likeness, compare, first_decision, kappa, saw_the_same
from earshot.store.snapshot import Snapshot

R = TypeVar("R", bound=Record)

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


@dataclass(frozen=True)
class PeopleWork:
    """All that people did.

    Attributes:
        inspections, opinions, questions: all rows there are.
        tubes: those that inspections and opinions name, by digest.
        min_iou: from which on two people mean the same (`label_studio.agree_iou`).
    """

    inspections: Sequence[Inspection]
    tubes: Mapping[str, Tube]
    opinions: Sequence[Opinion] = ()
    questions: Sequence[QuestionInspection] = ()
    min_iou: float = 0.7


def people_work(snapshot: Snapshot, min_iou: float = 0.7) -> PeopleWork:
    """Return all that people did about a build's videos."""

    def rows(kind: type[R]) -> list[R]:
        return from_table(kind, snapshot.table(kind))

    inspections, opinions = rows(Inspection), rows(Opinion)
    questions = rows(QuestionInspection)
    return PeopleWork(inspections, known_tubes(snapshot), opinions, questions, min_iou)


def known_tubes(snapshot: Snapshot, videos: Sequence[str] | None = None) -> dict[str, Tube]:
    """Return every tube that people's decisions name, by digest."""
    shown: list[ShownTube] = [
        *from_table(ShownTube, snapshot.table(ShownTube, videos)),
        *from_table(OpinionTube, snapshot.table(OpinionTube, videos)),
    ]
    revised = from_table(RevisedTube, snapshot.table(RevisedTube, videos))
    return {tube.digest: tube for tube in (*(each.tube() for each in shown), *revised)}


@dataclass(frozen=True)
class _Pair:
    """A decision held against another one, or against the truth."""

    mine: Inspection
    other: Inspection
    likeness: Likeness
    agrees: bool


def report(pushed: Iterable[str], work: PeopleWork) -> InspectionReport:
    """Return what people's work came to.

    Args:
        pushed: ids of the events that were ever pushed.
        work: what they did.
    """
    standing = _standing(work.inspections)
    by_people = _by_people(work.inspections)
    done = [each for each in standing.values() if not each.is_open_dispute]
    ever = set(pushed) | standing.keys()
    second, gold = _pairs(work, "second", standing), _pairs(work, "gold", standing)
    opinions = list(_latest_opinions(work.opinions).values())
    tasks = [*by_people, *opinions]
    reasons = Counter(reason for each in done for reason in _reasons(each))
    causes: Counter[str] = Counter()
    for reason, times in reasons.items():
        causes[CAUSES.get(reason, "other")] += times
    minutes = [each.seconds / 60 for each in tasks if each.seconds]
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
        iou_of_fixed=_mean([iou for each in done for iou in _ious(each, work.tubes)]),
        spans_moved=len(moved),
        tiou_of_moved=_mean(
            [interval_iou(to_pairs(e.shown_segments), to_pairs(e.segments)) for e in moved]
        ),
        minutes_per_task=_mean(minutes),
        median_minutes=None if middle is None else round(middle, 3),
        hours_left=None if middle is None else round(waiting * middle / 60, 2),
        agreement=_agreement(second, standing),
        gold=len(gold),
        gold_accuracy=_share([pair.agrees for pair in gold]),
        questions=_questions(work.questions),
        annotators=tuple(
            _work(who, tasks, second, gold) for who in sorted({each.annotator for each in tasks})
        ),
    )


def _standing(inspections: Sequence[Inspection]) -> dict[str, Inspection]:
    """Return the latest word on each event; what was taken back is none."""
    latest: dict[str, Inspection] = {}
    for each in sorted(inspections, key=lambda row: row.at):
        if each.takes_back:
            latest.pop(each.event_id, None)
        elif each.is_original_work:
            latest[each.event_id] = each
    return latest


def _by_people(inspections: Sequence[Inspection]) -> list[Inspection]:
    """Return each person's latest word on each event."""
    latest: dict[str, dict[str, Inspection]] = {}
    for each in sorted(inspections, key=lambda row: row.at):
        if each.takes_back:
            latest.pop(each.event_id, None)
        elif each.is_original_work and each.annotator != ADJUDICATION:
            latest.setdefault(each.event_id, {})[each.annotator] = each
    return [each for of_event in latest.values() for each in of_event.values()]


def _latest_opinions(opinions: Sequence[Opinion]) -> dict[tuple[str, ...], Opinion]:
    """Return each person's latest opinion of each kind on each event."""
    return {
        (each.kind, each.event_id, each.annotator): each
        for each in sorted(opinions, key=lambda row: row.at)
    }


def _pairs(
    work: PeopleWork,
    kind: OpinionKind,
    standing: Mapping[str, Inspection],
) -> list[_Pair]:
    """Hold second opinions against the first decision, gold answers against what stands."""
    about: dict[str, list[Inspection]] = {}
    for row in work.inspections:
        about.setdefault(row.event_id, []).append(row)
    found = []
    for each in _latest_opinions(work.opinions).values():
        other = standing.get(each.event_id)
        if kind == "second":
            other = first_decision(about.get(each.event_id, ()))
        if each.kind != kind or other is None or not saw_the_same(each, other):
            continue
        if kind == "second" and each.annotator == other.annotator:
            continue
        likeness = compare(other, each, work.tubes)
        found.append(_Pair(each, other, likeness, likeness.agrees(work.min_iou)))
    return found


def _agreement(pairs: Sequence[_Pair], standing: Mapping[str, Inspection]) -> Agreement:
    verdicts = [pair.likeness.verdicts for pair in pairs]
    chance_free = kappa(verdicts)
    last = [standing[pair.mine.event_id] for pair in pairs if pair.mine.event_id in standing]
    differ = [each for each in last if each.resolved_from]
    return Agreement(
        pairs=len(pairs),
        agreed=sum(pair.agrees for pair in pairs),
        verdict_agreement=_share([first == second for first, second in verdicts]),
        verdict_kappa=None if chance_free is None else round(chance_free, 4),
        tube_iou=_mean([p.likeness.tube_iou for p in pairs if p.likeness.tube_iou is not None]),
        span_tiou=_mean([p.likeness.span_tiou for p in pairs if p.likeness.span_tiou is not None]),
        settled=sum(not each.is_open_dispute for each in differ),
        open=sum(each.is_open_dispute for each in differ),
    )


def _questions(inspections: Sequence[QuestionInspection]) -> QuestionWork:
    latest = list(latest_of_questions(inspections).values())
    rejected = [each for each in latest if each.verdict == "reject"]
    said = Counter(r for e in rejected for r in e.reasons if not r.startswith("comment: "))
    return QuestionWork(
        inspected=len(latest),
        verdicts=dict(Counter(each.verdict for each in latest)),
        reasons=dict(said.most_common()),
    )


def latest_of_questions(
    inspections: Iterable[QuestionInspection],
) -> dict[tuple[str, str], QuestionInspection]:
    """Return the latest word on each question, by its id and digest."""
    return {
        (each.question_id, each.question_digest): each
        for each in sorted(inspections, key=lambda row: row.at)
    }


def rejected_questions(
    questions: pa.Table, inspections: Iterable[QuestionInspection]
) -> dict[str, QuestionInspection]:
    """Return, by question id, the verdicts of those questions of a table that people rejected.

    A verdict is about a question as it was shown: one that changed since is another question.
    """
    latest = latest_of_questions(inspections)
    found = [
        latest.get(pair)
        for batch in (questions.to_batches(max_chunksize=4096) if latest else ())
        for pair in zip(batch["question_id"].to_pylist(), batch["digest"].to_pylist(), strict=True)
    ]
    return {each.question_id: each for each in found if each and each.verdict == "reject"}


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


def _work(
    annotator: str, tasks: Sequence[Inspection], second: Sequence[_Pair], gold: Sequence[_Pair]
) -> AnnotatorWork:
    mine = [each for each in tasks if each.annotator == annotator]
    pairs = [p for p in second if annotator in (p.mine.annotator, p.other.annotator)]
    known = [pair for pair in gold if pair.mine.annotator == annotator]
    return AnnotatorWork(
        annotator=annotator,
        events=len(mine),
        median_minutes=round(median(each.seconds / 60 for each in mine), 3),
        corrected_share=_corrected(mine),
        pairs=len(pairs),
        agreed_share=_share([pair.agrees for pair in pairs]),
        gold=len(known),
        gold_accuracy=_share([pair.agrees for pair in known]),
    )


def _share(held: Sequence[bool]) -> float | None:
    return round(sum(held) / len(held), 4) if held else None


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

    pairs, asked = told.agreement, told.questions
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
        (
            "second opinions",
            f"{pairs.pairs}, {pairs.agreed} agree, {pairs.settled} settled, {pairs.open} open",
        ),
        (
            "agreement",
            f"verdicts {share(pairs.verdict_agreement)}, kappa {number(pairs.verdict_kappa)}, "
            f"tube IoU {number(pairs.tube_iou)}, tIoU {number(pairs.span_tiou)}",
        ),
        ("gold", f"{told.gold} answers, {share(told.gold_accuracy)} right"),
        ("questions", f"{asked.inspected} inspected: {counts(asked.verdicts)}"),
        ("their reasons", counts(asked.reasons)),
    ]
    return rows + [
        (
            each.annotator,
            f"{each.events} events, median {each.median_minutes:.2f} min, "
            f"{share(each.corrected_share)} corrected, {share(each.agreed_share)} of {each.pairs} "
            f"agree, {share(each.gold_accuracy)} of {each.gold} gold",
        )
        for each in told.annotators
    ]
