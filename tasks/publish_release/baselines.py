"""Trivial answers that look at nothing, scored on the test split (CONTRACTS 8).

Takes a tally, gives m_tIoU of "the whole video" and of the best constant relative interval, which
is searched on train; `tasks.score_answers.baselines` adds those that name objects and boxes. A
model that is not above them has not looked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Task
from earshot.tasks.constant_interval import TIMED_TASKS, Search, Timed, TimedTask, m_tiou
from earshot.tasks.publish_release.tally import Tally

TEXT_ONLY = "text only"
"""Name of the answers of `text_only`."""

Metric = Literal["m_tIoU", "m_vIoU", "object_f1"]


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
        setting = _setting_of(row)
        limit = getattr(config, setting)
        if row.score is not None and row.score > limit:
            yield row, limit, setting


def _setting_of(row: Baseline) -> str:
    if row.name == TEXT_ONLY:
        return "max_text_only"
    if row.metric == "m_tIoU":
        whole = row.name.startswith("whole video")
        return "max_whole_video_m_tiou" if whole else "max_best_constant_m_tiou"
    return "max_blind_box_m_viou" if row.metric == "m_vIoU" else "max_common_object_f1"


def measure(tally: Tally) -> Baselines:
    """Score the blind answers; questions without an interval (other tasks) are left out."""
    rows: list[Baseline] = []
    for task in TIMED_TASKS:
        test = tally.tests.get(task, Timed())
        rows += [_whole_video(task, test), _best_constant(task, tally.searches.get(task), test)]
    return Baselines(tuple(rows))


def _whole_video(task: TimedTask, test: Timed) -> Baseline:
    score = m_tiou(test, (0.0, 1.0)) if len(test) else None
    return Baseline(task, "whole video", "0 to 100 % of the video", score, len(test), 0)


def _best_constant(task: TimedTask, train: Search | None, test: Timed) -> Baseline:
    name = "best constant interval"
    if train is None:
        return Baseline(task, name, "no train question to search on", None, len(test), 0)
    best = train.best()
    answer = f"{best[0]:.0%} to {best[1]:.0%} of the video".replace("%", " %")
    score = m_tiou(test, best) if len(test) else None
    return Baseline(task, name, answer, score, len(test), train.questions)
