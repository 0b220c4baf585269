"""Scores a completion against its truth, mode `strict` (CONTRACTS 7).

Takes texts, gives a `Score` and what the metrics of CONTRACTS 8 need beside it. Never raises on any
completion, and a truth that can't be scored against is a status.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from earshot.geometry.intervals import interval_iou
from earshot.names import norm
from earshot.rewards.grammar import Block, Parsed, Task, parse
from earshot.rewards.matching import Edge, maximum_matching
from earshot.rewards.result import BAD_TRUTH, WEIGHTS, Score, Status, make_score
from earshot.rewards.truth import Truth, TruthError, read_truth
from earshot.rewards.tubes import Pair, compare_tubes, heaviest

_norm = lru_cache(maxsize=4096)(norm)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score and what stands behind it.

    Attributes:
        n_blocks: predicted blocks, P.
        n_matched: size m of the maximum matching of names; 0 outside `spatial`.
        n_visible: for each truth tube at how many grid times it is visible.
        pairs: tube and block pairs that may be paired and have s above 0.
    """

    score: Score
    n_blocks: int = 0
    n_matched: int = 0
    n_visible: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] = ()


def score(task: Task, completion: object, truth_json: object) -> Score:
    """Return the score of a completion (CONTRACTS 7; R-AVST's reward, arXiv 2511.16901).

    Raises:
        ValueError: the task is unknown; never because of the completion or the truth.
    """
    return judge(task, completion, truth_json).score


def judge(task: Task, completion: object, truth_json: object) -> Judgement:
    """Return the score with its pairs and counts, for metrics; raises as `score`."""
    parsed = parse(completion, task)
    try:
        truth = read_truth(truth_json, task)
    except TruthError:
        return Judgement(BAD_TRUTH)
    if parsed.status != "ok":
        return Judgement(
            _nothing(truth, parsed.status), n_visible=tuple(tube.n_visible for tube in truth.tubes)
        )
    n_matched, pairs = _compare(truth, parsed)
    return Judgement(
        make_score(
            task, float(parsed.format_ok), _dimensions(truth, parsed, n_matched, pairs), "ok"
        ),
        len(parsed.answer.blocks),
        n_matched,
        tuple(tube.n_visible for tube in truth.tubes),
        pairs,
    )


def _compare(truth: Truth, parsed: Parsed) -> tuple[int, tuple[Pair, ...]]:
    """Return the size of the matching of names, and the pairs of tubes; nothing above a cap."""
    if truth.task == "temporal" or parsed.has_too_many_blocks:
        return 0, ()
    blocks = parsed.answer.blocks
    edges = _may_pair(truth, blocks)
    n_matched = _count_matched(edges, len(truth.tubes)) if truth.task == "spatial" else 0
    return n_matched, () if parsed.has_too_many_lines else compare_tubes(truth, blocks, edges)


def _dimensions(
    truth: Truth, parsed: Parsed, n_matched: int, pairs: Sequence[Pair]
) -> dict[str, float | None]:
    """Return the dimensions that the task has."""
    dimensions: dict[str, float | None] = {}
    if truth.task == "spatial":
        dimensions["object"] = _object(truth, parsed, n_matched)
    else:
        dimensions["temporal"] = _temporal(truth, parsed)
    if truth.task != "temporal":
        dimensions["spatial"] = _spatial(truth, len(parsed.answer.blocks), pairs)
    return dimensions


def _nothing(truth: Truth, status: Status) -> Score:
    """Return 0 in every dimension that applies: nothing was answered."""
    dimensions = {name: 0.0 for name in WEIGHTS[truth.task] if not _is_none(truth, name)}
    return make_score(truth.task, 0.0, dimensions, status)


def _is_none(truth: Truth, dimension: str) -> bool:
    """Tell whether a dimension has nothing to be compared with: boxes where the truth is none."""
    return dimension == "spatial" and not truth.tubes


def _may_pair(truth: Truth, blocks: Sequence[Block]) -> list[Edge]:
    """Return the (tube, block) pairs whose names match; all pairs in `spatio_temporal`."""
    tubes = range(len(truth.tubes))
    if truth.task == "spatio_temporal":
        return [(tube, block) for tube in tubes for block in range(len(blocks))]
    names = [_norm(block.name) if block.is_named else None for block in blocks]
    return [
        (tube, block)
        for tube in tubes
        for block, name in enumerate(names)
        if name is not None and name in truth.tubes[tube].accept
    ]


def _count_matched(edges: Sequence[Edge], n_tubes: int) -> int:
    """Return the size of a maximum matching of truth tubes and predicted blocks."""
    neighbours: list[list[int]] = [[] for _ in range(n_tubes)]
    for tube, block in edges:
        neighbours[tube].append(block)
    return maximum_matching(neighbours)


def _object(truth: Truth, parsed: Parsed, n_matched: int) -> float:
    """Return 2m / (P + G); for `silent`, whose truth can't be complete, the tempered recall."""
    n_blocks, n_tubes = len(parsed.answer.blocks), len(truth.tubes)
    if not n_tubes:
        return float(parsed.is_none)
    if not n_matched:
        return 0.0
    if truth.branch == "silent":
        return n_matched / n_tubes * _temper(n_tubes, n_blocks)
    return 2 * n_matched / (n_blocks + n_tubes)


def _temporal(truth: Truth, parsed: Parsed) -> float:
    """Return the IoU of the two interval sets in seconds."""
    if parsed.has_too_many_intervals:
        return 0.0
    return interval_iou(parsed.answer.intervals_micro, truth.intervals_micro)


def _spatial(truth: Truth, n_blocks: int, pairs: Sequence[Pair]) -> float | None:
    """Return the largest sum of s over one-to-one pairs, by the larger count; vIoU for one tube."""
    if _is_none(truth, "spatial"):
        return None
    if not pairs:
        return 0.0
    n_tubes = len(truth.tubes)
    s_sum = math.fsum(pair.s for pair in heaviest(pairs))
    if truth.branch == "silent":
        return s_sum / n_tubes * _temper(n_tubes, n_blocks)
    return s_sum / max(n_tubes, n_blocks)


def _temper(n_tubes: int, n_blocks: int) -> float:
    """Return what is left for naming more than two things too many."""
    return min(1.0, (n_tubes + 2) / n_blocks)
