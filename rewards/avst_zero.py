"""Gives the numbers of R-AVST's released reward code, defects included (`research/seeds.md` 1.4).

Takes a completion and a truth, gives a `Score`. Written anew from the code's behaviour
(zhlllau/R-AVST, `AVST-Zero/src/open_r1/grpo.py`, f317107), with linear scans instead of its regular
expressions; where the original raises or gives NaN, the task dimensions are 0 and the status tells.

The defects are the point: the truth itself has format 0, one right box is a full track, `[2, nan]`
is a perfect interval. For training use mode `strict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from earshot.rewards._avst_text import (
    NameMapper,
    Said,
    Seen,
    has_released_format,
    normalise_name,
    read_prediction,
    read_solution,
    solution_from_json,
)
from earshot.rewards.grammar import Task
from earshot.rewards.result import BAD_TRUTH, WEIGHTS, Score, Status, make_score
from earshot.rewards.truth import TruthError

Box = Sequence[float]
Segment = tuple[float, float]
Floats = npt.NDArray[np.float64]

_MANY = 60
"""Pairs of boxes of one name in one second; below it NumPy's calls cost more than they save."""
_CHUNK = 4096
_SAFE_EDGE = 1e100


def score(
    task: Task, completion: object, truth_json: object, map_name: NameMapper | None = None
) -> Score:
    """Return the released code's numbers for a completion and a truth of CONTRACTS 7.

    The truth is read as R-AVST would have written it: an absent time is a zero box. It may hold
    what `strict` refuses: tubes that are never visible, repeated times.

    Raises:
        ValueError: the task is unknown.
    """
    if task not in WEIGHTS:
        raise ValueError(f"task is {task!r}; expected one of {sorted(WEIGHTS)}")
    try:
        solution = solution_from_json(truth_json, task)
    except TruthError:
        return BAD_TRUTH
    return _score(task, completion, lambda: solution, map_name)


def score_text(
    task: Task, completion: object, solution: str, map_name: NameMapper | None = None
) -> Score:
    """Return the same for a truth in R-AVST's own form, the `A` of its JSON."""
    return _score(task, completion, lambda: read_solution(solution), map_name)


def _score(
    task: Task,
    completion: object,
    get_solution: Callable[[], Said],
    map_name: NameMapper | None,
) -> Score:
    """Score one completion; only here the original's exceptions become a status."""
    zeros: dict[str, float | None] = dict.fromkeys(WEIGHTS[task], 0.0)
    if not isinstance(completion, str):
        return make_score(task, 0.0, zeros, "original_raised")
    format_score = float(has_released_format(completion))
    status: Status = "ok"
    try:
        dimensions = _dimensions(task, read_prediction(completion, map_name), get_solution())
    except (ValueError, OverflowError, IndexError):
        # ValueError holds the UnicodeError of a lone backslash or surrogate.
        dimensions, status = zeros, "original_raised"
    if any(value is not None and not math.isfinite(value) for value in dimensions.values()):
        dimensions, status = zeros, "original_nan"
    return make_score(task, format_score, dimensions, status)


def _dimensions(task: Task, said: Said, truth: Said) -> dict[str, float | None]:
    """Return the task's dimensions: the released task reward is their weighted sum."""
    if task == "temporal":
        return {"temporal": _temporal(said.segments, truth.segments)}
    spatial = _spatial(said.seen, truth.seen)
    if task == "spatial":
        return {"object": _object(said.seen, truth.seen), "spatial": spatial}
    return {"temporal": _temporal(said.segments, truth.segments), "spatial": spatial}


def _object(said: Iterable[Seen], truth: Iterable[Seen]) -> float:
    """Return the recall of names that have a box; true names are normalised twice there."""
    true_names = {normalise_name(seen.name) for seen in truth}
    if not true_names:
        return 0.0
    return len({seen.name for seen in said} & true_names) / len(true_names)


def _spatial(said: Iterable[Seen], truth: Iterable[Seen]) -> float:
    """Return the mean over the (second, name) keys that both have; 0 where there is none."""
    theirs, ours = _by_key(said), _by_key(truth)
    scores = [_best_overlap(boxes, theirs[key]) for key, boxes in ours.items() if key in theirs]
    return math.fsum(scores) / len(scores) if scores else 0.0


def _by_key(seen: Iterable[Seen]) -> Mapping[tuple[int, str], list[Box]]:
    boxes: dict[tuple[int, str], list[Box]] = {}
    for each in seen:
        boxes.setdefault((each.second, each.name), []).append(each.box)
    return boxes


def _best_overlap(true_boxes: Sequence[Box], boxes: Sequence[Box]) -> float:
    """Return the mean over true boxes of the best IoU with any predicted one."""
    if len(true_boxes) * len(boxes) >= _MANY:
        theirs, ours = np.array([box[:4] for box in true_boxes]), np.array(boxes)
        if _is_tame(theirs) and _is_tame(ours):
            return _best_overlap_at_once(theirs, ours)
    best = [max(_iou(true_box, box) for box in boxes) for true_box in true_boxes]
    return math.fsum(best) / len(best)


def _is_tame(boxes: Floats) -> bool:
    """Tell whether no area overflows and no comparison meets a NaN, whose order would matter."""
    return bool((np.abs(boxes) < _SAFE_EDGE).all())


def _best_overlap_at_once(true_boxes: Floats, boxes: Floats) -> float:
    """Return the same number as `_best_overlap`, a few thousand pairs at a time."""
    x1, y1, x2, y2 = boxes.T
    area = (x2 - x1) * (y2 - y1)
    best: list[float] = []
    step = max(1, _CHUNK // len(boxes))
    for first in range(0, len(true_boxes), step):
        t1, u1, t2, u2 = true_boxes[first : first + step].T[..., None]
        shared = np.maximum(0, np.minimum(t2, x2) - np.maximum(t1, x1))
        shared *= np.maximum(0, np.minimum(u2, y2) - np.maximum(u1, y1))
        whole = (t2 - t1) * (u2 - u1) + area
        whole -= shared
        iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
        best += iou.max(axis=1).tolist()
    return math.fsum(best) / len(best)


def _iou(true_box: Box, box: Box) -> float:
    """Return the IoU in floats; the order of arguments decides what a NaN does, so it is kept."""
    width = max(0, min(true_box[2], box[2]) - max(true_box[0], box[0]))
    height = max(0, min(true_box[3], box[3]) - max(true_box[1], box[1]))
    shared = width * height
    whole = _area(true_box) + _area(box) - shared
    return shared / whole if whole > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _temporal(said: Sequence[Segment], truth: Sequence[Segment]) -> float:
    """Return the IoU of both merged sets; a reversed segment has a negative length there."""
    if not truth or not said:
        return 0.0
    own, theirs = _merge(truth), _merge(said)
    shared = sum(max(0, min(e, e2) - max(s, s2)) for s, e in own for s2, e2 in theirs)
    whole = sum(end - start for start, end in _merge([*own, *theirs]))
    return shared / whole if whole > 0 else 0.0


def _merge(segments: Iterable[Segment]) -> list[Segment]:
    """Return the segments by start, touching ones joined; reversed ones and NaN are kept."""
    merged: list[Segment] = []
    for start, end in sorted(segments, key=lambda segment: segment[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
