"""What a scoring says: the records of `scores.json`.

Records alone; nothing is measured here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from earshot.rewards.result import Mode
from earshot.schemas.base import Frozen
from earshot.schemas.question import Task

Dimension = Literal["all", "branch", "category", "duration", "events"]
SplitName = Literal["train", "validation", "test", "all"]


class Metric(Frozen):
    """The mean of a metric, and its bootstrap interval over videos.

    Null where nothing applies, and the interval also where there is one video alone.
    """

    mean: float | None
    low: float | None
    high: float | None


class GroupScore(Frozen):
    """The questions of one task in one group."""

    task: Task
    dimension: Dimension
    group: str = Field(description="`all`, a branch, a label, seconds, or a number of events")
    questions: int = Field(ge=1)
    videos: int = Field(ge=1)
    statuses: dict[str, int] = Field(description="status of CONTRACTS 7 -> questions")
    metrics: dict[str, Metric]


class BaselineScore(Frozen):
    """An answer that looks at nothing, scored as a model is."""

    task: Task
    name: str
    said: str = Field(description="what it answers, in words")
    searched: int = Field(ge=0, description="train questions that it was searched on")
    metrics: dict[str, float | None] = Field(description="empty where it can't be had")


class PredictionCounts(Frozen):
    """What the lines of a predictions file were; `answered + missing` is the questions asked."""

    lines: int = Field(0, ge=0, description="that are not blank")
    answered: int = Field(0, ge=0)
    missing: int = Field(0, ge=0, description="questions without a completion; each scores 0")
    failed: int = Field(0, ge=0, description="lines with completion null: they answer nothing")
    malformed: int = Field(0, ge=0, description="lines that are no {question_id, completion}")
    unknown: int = Field(0, ge=0, description="lines about no question of the release")
    duplicate: int = Field(0, ge=0, description="further completions of one question; not read")
    other_split: int = Field(0, ge=0, description="completions of splits that are not scored")


class ScoreReport(Frozen):
    """All of a scoring; `scores.json` holds it."""

    v: Literal[1] = 1
    release: str
    release_version: int
    content_digest: str
    split: SplitName
    mode: Mode
    questions: int
    videos: int
    predictions: PredictionCounts
    problems: tuple[str, ...] = Field(description="the first lines that are at fault, in words")
    am: float | None = Field(description="AM of V-STaR; null unless strict, and what it needs")
    lgm: float | None = Field(description="LGM of V-STaR; as `am`")
    level: float = Field(description="of the bootstrap intervals")
    draws: int = Field(description="of the bootstrap")
    groups: tuple[GroupScore, ...]
    baselines: tuple[BaselineScore, ...]

    def whole(self, task: Task) -> GroupScore | None:
        """Return all questions of a task; None where the release asks none."""
        return next((g for g in self.groups if g.task == task and g.dimension == "all"), None)
