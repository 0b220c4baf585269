"""Trivial answers that look at nothing, scored on the test split (CONTRACTS 8).

Takes facts, gives m_tIoU of "the whole video" and of the best constant relative interval, which is
searched on train; `tasks.score_answers.baselines` adds those that name objects and boxes. A model
that is not above them has not looked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot.geometry.intervals import interval_iou, normalise
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Task
from earshot.tasks.publish_release.facts import Fact

STEPS = 20
"""Starts and lengths are searched in steps of 1/20 of the duration."""

Metric = Literal["m_tIoU", "m_vIoU", "object_f1"]
TimedTask = Literal["temporal", "spatio_temporal"]
TIMED_TASKS: tuple[TimedTask, ...] = ("temporal", "spatio_temporal")

Candidate = tuple[float, float]
CANDIDATES: tuple[Candidate, ...] = tuple(
    (first / STEPS, last / STEPS) for first in range(STEPS) for last in range(first + 1, STEPS + 1)
)
"""Relative (start, end), by start, then by end."""


@dataclass(frozen=True)
class Baseline:
    """One blind answer to the questions of a task.

    Attributes:
        answer: in words.
        metric: of CONTRACTS 8.
        score: on test; None where it can't be had.
        n_scored: test questions.
        n_searched: train questions that it was searched on; 0 where nothing is searched.
    """

    task: Task
    name: str
    answer: str
    score: float | None
    n_scored: int
    n_searched: int
    metric: Metric = "m_tIoU"


@dataclass(frozen=True)
class Baselines:
    """The blind answers to each task, one row a metric."""

    rows: tuple[Baseline, ...]

    def constant(self, task: TimedTask) -> Baseline:
        """Return the best constant interval of a task."""
        (row,) = (r for r in self.rows if (r.task, r.name) == (task, "best constant interval"))
        return row


def over_limit(
    baselines: Baselines, config: ReleaseConfig
) -> Iterator[tuple[Baseline, float, str]]:
    """Yield (blind answer, its limit, the limit's setting) where the score is above the limit."""
    for row in baselines.rows:
        setting = {
            "m_vIoU": "max_blind_box_m_viou",
            "object_f1": "max_common_object_f1",
            "m_tIoU": "max_whole_video_m_tiou"
            if row.name.startswith("whole video")
            else "max_best_constant_m_tiou",
        }[row.metric]
        limit = getattr(config, setting)
        if row.score is not None and row.score > limit:
            yield row, limit, setting


def measure(facts: Sequence[Fact]) -> Baselines:
    """Score the blind answers; questions without an interval (other tasks) are left out."""
    rows: list[Baseline] = []
    for task in TIMED_TASKS:
        of_task = [
            fact for fact in facts if fact.task == task and fact.intervals and not fact.faults
        ]
        test = [fact for fact in of_task if fact.split == "test"]
        train = [fact for fact in of_task if fact.split == "train"]
        rows += [_whole_video(task, test), _best_constant(task, train, test)]
    return Baselines(tuple(rows))


def _whole_video(task: TimedTask, test: Sequence[Fact]) -> Baseline:
    score = m_tiou(test, (0.0, 1.0)) if test else None
    return Baseline(task, "whole video", "0 to 100 % of the video", score, len(test), 0)


def _best_constant(task: TimedTask, train: Sequence[Fact], test: Sequence[Fact]) -> Baseline:
    if not train:
        return Baseline(
            task, "best constant interval", "no train question to search on", None, len(test), 0
        )
    best = search(train)
    answer = f"{best[0]:.0%} to {best[1]:.0%} of the video".replace("%", " %")
    score = m_tiou(test, best) if test else None
    return Baseline(task, "best constant interval", answer, score, len(test), len(train))


def m_tiou(facts: Sequence[Fact], candidate: Candidate) -> float:
    """Return the mean temporal IoU of one relative interval, answered to every question."""
    start, end = candidate
    scores = (
        interval_iou([(start * fact.duration_s, end * fact.duration_s)], fact.intervals)
        for fact in facts
    )
    return math.fsum(scores) / len(facts)


def search(facts: Sequence[Fact]) -> Candidate:
    """Return the candidate with the largest m_tIoU; the first of several.

    All candidates are tried on all questions in one array operation, since 210 calls of
    `interval_iou` a question would take minutes on a large release.
    """
    totals = np.zeros(len(CANDIDATES))
    for fact in facts:
        totals += _all_ious(np.array(normalise(fact.intervals)) / fact.duration_s)
    # Sums in another order differ in the last bits; a tie has to stay a tie.
    return CANDIDATES[int(np.argmax(np.round(totals, 9)))]


def _all_ious(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the IoU of every candidate with disjoint relative intervals (n, 2)."""
    grid = np.array(CANDIDATES)
    starts = np.maximum(grid[:, :1], truth[:, 0])
    ends = np.minimum(grid[:, 1:], truth[:, 1])
    shared: npt.NDArray[np.float64] = np.clip(ends - starts, 0, None).sum(axis=1)
    whole = (grid[:, 1] - grid[:, 0]) + (truth[:, 1] - truth[:, 0]).sum() - shared
    ious: npt.NDArray[np.float64] = shared / whole
    return ious
