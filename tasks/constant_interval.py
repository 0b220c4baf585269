"""The best constant relative interval: one answer to every "when", searched on train (CONTRACTS 8).

Takes right intervals one question after the other and keeps sums alone, so that any number of
questions can be searched.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot.geometry.intervals import interval_iou, normalise

STEPS = 20
"""Starts and lengths are searched in steps of 1/20 of the duration."""

TimedTask = Literal["temporal", "spatio_temporal"]
TIMED_TASKS: tuple[TimedTask, ...] = ("temporal", "spatio_temporal")
"""Tasks whose answers have times."""

Candidate = tuple[float, float]
Intervals = tuple[tuple[float, float], ...]
CANDIDATES: tuple[Candidate, ...] = tuple(
    (first / STEPS, last / STEPS) for first in range(STEPS) for last in range(first + 1, STEPS + 1)
)
"""Relative (start, end), by start, then by end."""
_GRID = np.array(CANDIDATES)


class Search:
    """Sums up what every candidate would score.

    All are tried in one array operation, since 210 calls of `interval_iou` a question would take
    minutes on a large release.
    """

    def __init__(self) -> None:
        self.questions = 0
        self._totals = np.zeros(len(CANDIDATES))

    def add(self, duration_s: float, intervals: Intervals) -> None:
        """Add a question with its right answer."""
        self.questions += 1
        self._totals += _all_ious(np.array(normalise(intervals)) / duration_s)

    def best(self) -> Candidate:
        """Return the candidate with the largest m_tIoU; the first of several."""
        # Sums in another order differ in the last bits; a tie has to stay a tie.
        return CANDIDATES[int(np.argmax(np.round(self._totals, 9)))]


class Timed:
    """Durations and right intervals of many questions, as numbers without an object each."""

    def __init__(self) -> None:
        self._durations, self._counts, self._ends = array("d"), array("I"), array("d")

    def add(self, duration_s: float, intervals: Intervals) -> None:
        """Add a question with its right answer."""
        self._durations.append(duration_s)
        self._counts.append(len(intervals))
        for pair in intervals:
            self._ends.extend(pair)

    def __len__(self) -> int:
        return len(self._durations)

    def __iter__(self) -> Iterator[tuple[float, Intervals]]:
        at = 0
        for duration_s, count in zip(self._durations, self._counts, strict=True):
            ends = self._ends[at : at + 2 * count]
            yield duration_s, tuple(zip(ends[::2], ends[1::2], strict=True))
            at += 2 * count


def m_tiou(timed: Iterable[tuple[float, Intervals]], candidate: Candidate) -> float:
    """Return the mean temporal IoU of one relative interval, answered to every question."""
    start, end = candidate
    scores = array(
        "d",
        (
            interval_iou([(start * duration_s, end * duration_s)], intervals)
            for duration_s, intervals in timed
        ),
    )
    return math.fsum(scores) / len(scores)


def _all_ious(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the IoU of every candidate with disjoint relative intervals (n, 2)."""
    starts = np.maximum(_GRID[:, :1], truth[:, 0])
    ends = np.minimum(_GRID[:, 1:], truth[:, 1])
    shared: npt.NDArray[np.float64] = np.clip(ends - starts, 0, None).sum(axis=1)
    whole = (_GRID[:, 1] - _GRID[:, 0]) + (truth[:, 1] - truth[:, 0]).sum() - shared
    ious: npt.NDArray[np.float64] = shared / whole
    return ious
