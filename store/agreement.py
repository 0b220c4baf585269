"""How far two people's decisions about one event agree, and what follows where they do not.

Takes decisions and the tubes that they name; pure. Two that agree change nothing: the first one
stands. A sure one goes before an unsure one. Whatever else differs is open until a third person has
looked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import mean

from earshot.geometry.intervals import interval_iou
from earshot.geometry.tubes import at, tube_iou
from earshot.schemas.base import to_pairs
from earshot.schemas.ids import inspection_id
from earshot.schemas.inspection import ADJUDICATION, Inspection, Verdict
from earshot.schemas.tube import Tube


@dataclass(frozen=True)
class Likeness:
    """How alike two decisions are.

    Attributes:
        verdicts: what either said.
        tube_iou: mean vIoU of the tubes that either left, one that only one of them left counts 0;
            None unless both say ok and a tube is left.
        span_tiou: IoU of the segments as they left them; None unless both say ok.
    """

    verdicts: tuple[Verdict, Verdict]
    tube_iou: float | None = None
    span_tiou: float | None = None

    def agrees(self, min_iou: float) -> bool:
        """Whether both mean the same: one verdict, and where it is ok, tubes and times alike."""
        ious = [iou for iou in (self.tube_iou, self.span_tiou) if iou is not None]
        return self.verdicts[0] == self.verdicts[1] and all(iou >= min_iou for iou in ious)


def compare(one: Inspection, other: Inspection, tubes: Mapping[str, Tube]) -> Likeness:
    """Return how alike two decisions about one event are.

    Args:
        one, other: the decisions.
        tubes: those that they name, by digest; of a missing one nothing is known: IoU 0.
    """
    verdicts = (one.verdict, other.verdict)
    if verdicts != ("ok", "ok"):
        return Likeness(verdicts)
    shown = {tube.tube_id for each in (one, other) for tube in each.tubes if tube.before_digest}
    mine, theirs = (_left(each) for each in (one, other))
    ious = [
        _iou(tubes.get(mine.get(name, "")), tubes.get(theirs.get(name, "")))
        for name in sorted(shown)
        if name in mine or name in theirs
    ]
    drawn = [
        [tubes.get(digest) for name, digest in left.items() if name not in shown]
        for left in (mine, theirs)
    ]
    ious += _best(*drawn)
    spans = interval_iou(to_pairs(one.segments), to_pairs(other.segments))
    return Likeness(verdicts, mean(ious) if ious else None, spans)


def _left(decision: Inspection) -> dict[str, str]:
    """Return the digests of the tubes that stand, by id."""
    return {tube.tube_id: tube.after_digest for tube in decision.tubes if tube.after_digest}


def _iou(one: Tube | None, other: Tube | None) -> float:
    if one is None or other is None:
        return 0.0
    if (one.object_id, one.box_space) != (other.object_id, other.box_space):
        return 0.0
    times_s = sorted({*one.times_s, *other.times_s})
    return tube_iou(*at(*one.arrays(), times_s), *at(*other.arrays(), times_s))


def _best(mine: Sequence[Tube | None], theirs: Sequence[Tube | None]) -> list[float]:
    """Return the IoUs of drawn tubes, the most alike paired first; one left over counts 0."""
    pairs = sorted(
        ((_iou(a, b), i, k) for i, a in enumerate(mine) for k, b in enumerate(theirs)),
        key=lambda pair: (-pair[0], *pair[1:]),
    )
    found: list[float] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for iou, i, k in pairs:
        if iou > 0 and i not in used[0] and k not in used[1]:
            found.append(iou)
            used[0].add(i)
            used[1].add(k)
    return found + [0.0] * (max(len(mine), len(theirs)) - len(found))


def kappa(pairs: Sequence[tuple[Verdict, Verdict]]) -> float | None:
    """Return Cohen's kappa of verdicts; None without pairs, or where chance alone explains all."""
    if not pairs:
        return None
    n = len(pairs)
    first, second = (Counter(pair[which] for pair in pairs) for which in (0, 1))
    expected = sum(first[name] * second[name] for name in first) / n**2
    observed = sum(a == b for a, b in pairs) / n
    return None if expected == 1 else (observed - expected) / (1 - expected)


def first_decision(inspections: Sequence[Inspection]) -> Inspection | None:
    """Return the latest decision about one event that a person made first; None if none stands."""
    found: Inspection | None = None
    for each in sorted(inspections, key=lambda row: row.at):
        if each.takes_back:
            found = None
        elif each.is_original_work and each.resolved_from is None:
            found = each
    return found


def saw_the_same(one: Inspection, other: Inspection) -> bool:
    """Whether two decisions are about the same tubes and segments."""
    digests = [
        sorted(tube.before_digest for tube in each.tubes if tube.before_digest)
        for each in (one, other)
    ]
    return digests[0] == digests[1] and one.shown_segments == other.shown_segments


def settle(
    first: Inspection, second: Inspection, tubes: Mapping[str, Tube], min_iou: float
) -> Inspection | None:
    """Return what follows from two people's decisions about one event; None: the first stands.

    Nothing follows where one person made both, or they saw different things.

    Args:
        first, second: the decisions.
        tubes: those that they name, by digest.
        min_iou: from which on two people mean the same.
    """
    if first.annotator == second.annotator or not saw_the_same(first, second):
        return None
    likeness = compare(first, second, tubes)
    if likeness.agrees(min_iou):
        return None
    sure = [each for each in (first, second) if each.verdict != "unsure"]
    stands = sure[0] if len(sure) == 1 else first
    ids = (first.inspection_id, second.inspection_id)
    values = {name: getattr(stands, name) for name in Inspection.model_fields}
    if len(sure) == 2:
        values |= {"verdict": "unsure", "reasons": (_said(first, second, likeness),)}
        # What was shown, and nobody's change of it.
        kept = [tube for tube in first.tubes if tube.before_digest]
        as_shown = {"verdict": "ok", "reason": None}
        values["tubes"] = tuple(
            tube.model_copy(update={**as_shown, "after_digest": tube.before_digest})
            for tube in kept
        )
        values["segments"] = first.shown_segments or first.segments
    return Inspection(
        **{
            **values,
            "inspection_id": inspection_id(first.event_id, ADJUDICATION, *ids),
            "annotator": ADJUDICATION,
            "at": max(first.at, second.at) + timedelta(microseconds=1),
            "seconds": 0.0,
            "raw": None,
            "resolved_from": " ".join(ids),
        }
    )


def _said(first: Inspection, second: Inspection, likeness: Likeness) -> str:
    """Return in words how two people differ."""
    words = [
        f"{each.annotator} says {each.verdict}"
        + (f" ({', '.join(each.reasons)})" if each.reasons else "")
        for each in (first, second)
    ]
    numbers = {"tube IoU": likeness.tube_iou, "segments' IoU": likeness.span_tiou}
    words += [f"{name} {iou:.2f}" for name, iou in numbers.items() if iou is not None]
    return f"two people differ: {', '.join(words)}"
