"""Measures questions and groups them: by task, branch, category, duration and number of events.

Takes questions and completions, gives one `GroupScore` a task and group, with bootstrap intervals
over videos (CONTRACTS 8). Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from earshot.rewards.metrics import (
    Measured,
    Values,
    am_and_lgm,
    bootstrap,
    measure,
    summarise,
)
from earshot.rewards.result import Mode
from earshot.rewards.scoring import score
from earshot.schemas.question import Task
from earshot.tasks.score_answers.read import Asked
from earshot.tasks.score_answers.record import Dimension, GroupScore, Metric

LEVEL = 0.95
DRAWS = 1000
DURATIONS: tuple[tuple[float, str], ...] = (
    (20.0, "0-20 s"),
    (40.0, "20-40 s"),
    (60.5, "40-60.5 s"),
)
"""Upper ends, included, and names; videos of "60 s" are up to half a second longer."""
LONGER = "longer"
DURATION_ORDER = (*(name for _, name in DURATIONS), LONGER)

Groups = tuple[tuple[Dimension, str], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The metrics of a question, and what it is grouped by: nothing of its texts is kept."""

    video_id: str
    groups: Groups
    measured: Measured


def measure_all(
    questions: Iterable[Asked], completions: Mapping[str, str], mode: Mode
) -> list[Scored]:
    """Return the metrics of every question; one without a completion scores 0."""
    return [
        Scored(
            one.video_id,
            _groups(one.branch, one.labels, duration_group(one.duration_s), one.n_events),
            measure_as(mode, one.task, completions.get(one.question_id), one.truth_json),
        )
        for one in questions
    ]


def measure_as(mode: Mode, task: Task, completion: object, truth_json: str) -> Measured:
    """Return the metrics of CONTRACTS 8, or in `avst_zero` the released code's numbers.

    The latter carry that mode in their names, `avst_zero_task` = the released task reward: never
    one name for two formulas.
    """
    if mode == "strict":
        return measure(task, completion, truth_json)
    judged = score(task, completion, truth_json, mode)
    dimensions = {
        "format": judged.format,
        "task": judged.task_total(task),
        "object": judged.object,
        "temporal": judged.temporal,
        "spatial": judged.spatial,
    }
    values = {
        f"avst_zero_{name}": value
        for name, value in dimensions.items()
        if name in ("format", "task") or value is not None
    }
    return Measured(task, judged.status, values)


def group_scores(scored: Sequence[Scored]) -> tuple[GroupScore, ...]:
    """Return the scores of every task and group that has questions, by task, then dimension.

    A question whose events have several labels stands in each of their categories.
    """
    members: dict[tuple[Task, Dimension, str], list[Scored]] = {}
    for each in scored:
        for dimension, group in each.groups:
            members.setdefault((each.measured.task, dimension, group), []).append(each)
    return tuple(_group_score(*key, members[key]) for key in sorted(members, key=_order))


def am_lgm(scored: Sequence[Scored]) -> tuple[float | None, float | None]:
    """Return AM and LGM over what, when and where; None where one of them is not asked."""
    both = am_and_lgm(summarise(each.measured for each in scored))
    return both["AM"], both["LGM"]


def duration_group(duration_s: float) -> str:
    """Return the name of the group that a video of this length is in."""
    return next((name for end_s, name in DURATIONS if duration_s <= end_s), LONGER)


@lru_cache(maxsize=4096)  # hundreds of thousands of questions share a few
def _groups(branch: str | None, labels: tuple[str, ...], duration: str, n_events: int) -> Groups:
    return (
        ("all", "all"),
        *(() if branch is None else (("branch", branch),)),
        *(("category", label) for label in labels),
        ("duration", duration),
        ("events", str(n_events)),
    )


_TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")
_DIMENSIONS: tuple[Dimension, ...] = ("all", "branch", "category", "duration", "events")


def _order(key: tuple[Task, Dimension, str]) -> tuple[int, int, int, str]:
    """Sort numbers as numbers and durations by length."""
    task, dimension, group = key
    rank = 0
    if dimension == "events":
        rank = int(group)
    elif dimension == "duration":
        rank = DURATION_ORDER.index(group)
    return _TASKS.index(task), _DIMENSIONS.index(dimension), rank, group


def _group_score(
    task: Task, dimension: Dimension, group: str, members: Sequence[Scored]
) -> GroupScore:
    by_video: dict[str, list[Values]] = {}
    for each in members:
        by_video.setdefault(each.video_id, []).append(each.measured.values)
    summary = summarise(each.measured for each in members)[task]
    # Draws of one video are all alike: an interval without width would promise certainty.
    intervals = bootstrap(by_video, n_draws=DRAWS, level=LEVEL) if len(by_video) > 1 else {}
    return GroupScore(
        task=task,
        dimension=dimension,
        group=group,
        questions=summary.n_questions,
        videos=len(by_video),
        statuses={str(status): n for status, n in sorted(summary.statuses.items())},
        metrics={name: _metric(mean, intervals.get(name)) for name, mean in summary.means.items()},
    )


def _metric(mean: float | None, interval: tuple[float, float] | None) -> Metric:
    low, high = interval or (None, None)
    return Metric(mean=mean, low=low, high=high)
