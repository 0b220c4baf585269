"""Measures completions as papers report them (CONTRACTS 8): per question, then mean per task.

Takes texts or measured questions, gives numbers by metric name. Never gives one name to two
formulas; a missing or malformed prediction is 0 and counted.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earshot.rewards.grammar import Task
from earshot.rewards.matching import best_assignment
from earshot.rewards.result import Status
from earshot.rewards.strict import Judgement, judge
from earshot.rewards.tubes import Pair

R1_THRESHOLDS = (0.3, 0.5, 0.7)
TUBE_THRESHOLDS = (0.3, 0.5)
_FLOOR = 1e-6
_S_UNITS = 2**52
_GAIN_UNITS = 2**8
"""Sums of s that differ by less than 2**-44 a gained frame are one sum: floats can't tell them."""

_DRAWN_AT_ONCE = 1_000_000
"""Counts of videos that are drawn for the bootstrap at a time: 8 MB."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of one question; None = does not apply (then it is left out of the mean)."""

    task: Task
    status: Status
    values: Values


@dataclass(frozen=True, slots=True)
class Summary:
    """The metrics of a task's questions: means, and how many there were of each status."""

    n_questions: int
    statuses: Mapping[str, int]
    means: Values


def measure(task: Task, completion: object, truth_json: object) -> Measured:
    """Return a question's metrics by name (CONTRACTS 8).

    `format`; where the task asks when `m_tIoU` and `R1@0.3|0.5|0.7` (>=); where it asks where
    `m_vIoU`, `tube_recall@0.3|0.5` (>, vIoU@ of HC-STVG) and `frame_ap@0.3|0.5` (>=, AP@ of
    V-STaR); in `spatial` also `object_f1` and `object_exact`. A name keeps its `m_` here, so that
    question and mean have one name. All None with status `bad_truth`.

    Raises:
        ValueError: the task is unknown.
    """
    judged = judge(task, completion, truth_json)
    score = judged.score
    values: dict[str, float | None] = {"format": score.format}
    if task != "spatial":
        values["m_tIoU"] = score.temporal
        for theta in R1_THRESHOLDS:
            values[f"R1@{theta}"] = recall_at(score.temporal, theta)
    if task != "temporal":
        values["m_vIoU"] = score.spatial
        for theta in TUBE_THRESHOLDS:
            values[f"tube_recall@{theta}"] = tube_recall(judged, theta)
            values[f"frame_ap@{theta}"] = frame_ap(judged, theta)
    if task == "spatial":
        values["object_f1"] = object_f1(judged)
        values["object_exact"] = object_exact(judged)
    return Measured(task, score.status, values)


def recall_at(temporal: float | None, theta: float) -> float | None:
    """Return 1 where the temporal IoU reaches theta, else 0 (R1@theta)."""
    return None if temporal is None else float(temporal >= theta)


def tube_recall(judged: Judgement, theta: float) -> float | None:
    """Return the share of truth tubes whose assigned block has s > theta."""
    if judged.score.spatial is None:
        return None
    return _best_gain(judged.pairs, lambda pair: int(pair.s > theta)) / len(judged.n_visible)


def frame_ap(judged: Judgement, theta: float) -> float | None:
    """Return the share of visible truth times whose assigned block has a box of IoU >= theta."""
    if judged.score.spatial is None:
        return None
    gain = _best_gain(judged.pairs, lambda pair: sum(iou >= theta for iou in pair.ious))
    return gain / sum(judged.n_visible)


def object_f1(judged: Judgement) -> float | None:
    """Return 2m / (P + G) in both branches; the object score where the truth is none."""
    if judged.score.object is None or not judged.n_visible:
        return judged.score.object
    return 2 * judged.n_matched / (judged.n_blocks + len(judged.n_visible))


def object_exact(judged: Judgement) -> float | None:
    """Return 1 iff m = P = G; the object score where the truth is none."""
    if judged.score.object is None or not judged.n_visible:
        return judged.score.object
    return float(judged.n_matched == judged.n_blocks == len(judged.n_visible))


def _best_gain(pairs: Sequence[Pair], gain_of: Callable[[Pair], int]) -> int:
    """Return the largest total gain among the one-to-one pairings with the largest sum of s."""
    gains = {(pair.tube, pair.block): gain_of(pair) for pair in pairs}
    weights = {
        (pair.tube, pair.block): round(pair.s * _S_UNITS)
        + _GAIN_UNITS * gains[pair.tube, pair.block]
        for pair in pairs
    }
    return sum(gains[edge] for edge in best_assignment(weights))


def summarise(measured: Iterable[Measured]) -> dict[Task, Summary]:
    """Return the summary of each task that has questions, by task."""
    by_task: dict[Task, list[Measured]] = {}
    for each in measured:
        by_task.setdefault(each.task, []).append(each)
    return {
        task: Summary(
            len(rows), Counter(row.status for row in rows), mean_values(row.values for row in rows)
        )
        for task, rows in sorted(by_task.items())
    }


def mean_values(values: Iterable[Values]) -> dict[str, float | None]:
    """Return the mean of every metric over the questions where it applies; None without any."""
    means = Means()
    for row in values:
        means.add(row)
    return means.values()


class Means:
    """The mean of every metric over questions that come one by one."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}

    def add(self, row: Values) -> None:
        """Take in the metrics of a question; None = does not apply."""
        for name, value in row.items():
            self._columns.setdefault(name, array("d")).extend(() if value is None else (value,))

    def values(self) -> dict[str, float | None]:
        """Return the means so far; None where a metric never applied."""
        return {
            name: math.fsum(column) / len(column) if column else None
            for name, column in self._columns.items()
        }


def am_and_lgm(summaries: Mapping[Task, Summary]) -> dict[str, float | None]:
    """Return `AM` and `LGM` of V-STaR over what, when and where; None where one of them is missing.

    What = object_exact of `spatial`; when and where = m_tIoU and m_vIoU of `spatio_temporal`.
    """
    spatial, both = summaries.get("spatial"), summaries.get("spatio_temporal")
    parts = [
        spatial.means.get("object_exact") if spatial else None,
        both.means.get("m_tIoU") if both else None,
        both.means.get("m_vIoU") if both else None,
    ]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return {"AM": None, "LGM": None}
    return {"AM": arithmetic_mean(known), "LGM": log_geometric_mean(known)}


def arithmetic_mean(parts: Sequence[float]) -> float:
    """Return the mean of what, when and where (AM of V-STaR, arXiv 2503.11495)."""
    return math.fsum(parts) / len(parts)


def log_geometric_mean(parts: Sequence[float]) -> float:
    """Return -mean(ln(1 - x)) (LGM of V-STaR), with 1 - x at least 1e-6, so that 1 has a value."""
    return -math.fsum(math.log(max(1 - part, _FLOOR)) for part in parts) / len(parts)


def bootstrap(
    by_video: Mapping[str, Sequence[Values]],
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float] | None]:
    """Return an interval for every metric's mean, drawing *videos* with replacement.

    Questions of one video stand or fall together, so drawing questions would promise too much.
    Give the questions of one task. A metric without a value has None.

    Raises:
        ValueError: `n_draws` is not positive or `level` is not between 0 and 1.
    """
    if n_draws < 1 or not 0 < level < 1:
        raise ValueError(
            f"n_draws is {n_draws} and level {level}; expected 1 or more draws and a level "
            "between 0 and 1, such as 1000 and 0.95"
        )
    if not by_video:
        return {}
    videos = [by_video[video] for video in sorted(by_video)]
    names = sorted({name for rows in videos for row in rows for name in row})
    table = np.array(
        [[_sum_and_count(rows, name) for name in names] for rows in videos], dtype=np.float64
    ).reshape(len(videos), len(names), 2)
    random = np.random.default_rng(seed)
    share = np.full(len(videos), 1 / len(videos))
    totals = np.concatenate(
        [
            # A hundred thousand videos drawn a thousand times at once would take a gigabyte.
            np.einsum("dv,vmk->dmk", random.multinomial(len(videos), share, number), table)
            for number in _parts(n_draws, max(1, _DRAWN_AT_ONCE // len(videos)))
        ]
    )
    tail = 50 * (1 - level)
    intervals: dict[str, tuple[float, float] | None] = {}
    for position, name in enumerate(names):
        sums, counts = totals[:, position, 0], totals[:, position, 1]
        means = sums[counts > 0] / counts[counts > 0]
        low_high = np.percentile(means, [tail, 100 - tail]) if means.size else None
        intervals[name] = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    return intervals


def _parts(total: int, most: int) -> Iterator[int]:
    """Yield numbers up to `most` that sum to `total`."""
    for at in range(0, total, most):
        yield min(most, total - at)


def _sum_and_count(rows: Iterable[Values], name: str) -> tuple[float, int]:
    known = [value for row in rows if (value := row.get(name)) is not None]
    return math.fsum(known), len(known)
