"""Rewards with TRL's contract: `f(completions, **columns) -> list[float | None]`, one a dimension.

Takes the completions of a batch and the columns `task` and `truth_json`; None = does not apply.
Imports no trainer, and never raises on any completion.

>>> truth = '{"v":1,"task":"temporal","intervals":[[2,6]],"objects":[]}'
>>> said = "<answer><object>dog</object><when>[2.0, 4.0]</when></answer>"
>>> batch = {"task": ["temporal"], "truth_json": [truth]}
>>> temporal_reward([said], **batch), object_reward([said], **batch)
([0.5], [None])

A trainer has one weight a function, the paper one a function *and task*: to train on the paper's
total give the trainer `format_reward` and `task_reward`, both with weight 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Protocol, cast, get_args

from earshot.rewards.grammar import Task
from earshot.rewards.result import WEIGHTS, Mode
from earshot.rewards.scoring import score

Part = Literal["format", "object", "temporal", "spatial", "task"]

_DOCS: Mapping[Part, str] = MappingProxyType(
    {
        "format": "Return 1 where the whole completion keeps its task's grammar, else 0.",
        "object": "Return how well the named things match; `spatial` alone.",
        "temporal": "Return the IoU of the intervals; tasks that ask when.",
        "spatial": "Return the overlap of the tubes; tasks that ask where.",
        "task": "Return the task's dimensions under the released weights: total = format + this.",
    }
)

score_once = lru_cache(maxsize=512)(score)
"""`score`, for several functions that score the same completion one after the other."""


class Reward(Protocol):
    """A reward function: other columns of the batch are taken and not looked at."""

    __name__: str

    def __call__(
        self,
        completions: Sequence[object],
        task: Sequence[str],
        truth_json: Sequence[str],
        **columns: object,
    ) -> list[float | None]:
        """Return a reward for each completion (a str, or a list of chat messages)."""


def _make_reward(part: Part, mode: Mode) -> Reward:
    """Return the function of a part; its name is what a trainer's log shows."""

    def reward(
        completions: Sequence[object],
        task: Sequence[str],
        truth_json: Sequence[str],
        **_columns: object,
    ) -> list[float | None]:
        # A row of a task that is not ours does not apply: batches may be mixed.
        return [
            _value(part, mode, cast("Task", each), text_of(completion), truth)
            if each in WEIGHTS
            else None
            for completion, each, truth in zip(completions, task, truth_json, strict=True)
        ]

    suffix = "" if mode == "strict" else f"_{mode}"
    reward.__name__ = reward.__qualname__ = f"{part}_reward{suffix}"
    reward.__doc__ = _DOCS[part]
    return reward


def _value(
    part: Part, mode: Mode, task: Task, completion: str | None, truth_json: str
) -> float | None:
    scored = score_once(task, completion, truth_json, mode)
    if part == "task":
        return scored.task_total(task)
    value: float | None = getattr(scored, part)
    return value


def text_of(completion: object) -> str | None:
    """Return the text of a completion, also of a conversational one (a list of messages)."""
    if isinstance(completion, list) and completion and isinstance(completion[-1], dict):
        completion = completion[-1].get("content")
    return completion if isinstance(completion, str) else None


def reward_functions(mode: Mode = "strict") -> dict[Part, Reward]:
    """Return the five functions of a mode by part.

    >>> reward_functions("avst_zero")["format"].__name__
    'format_reward_avst_zero'
    """
    return {part: _make_reward(part, mode) for part in get_args(Part)}


format_reward = _make_reward("format", "strict")
object_reward = _make_reward("object", "strict")
temporal_reward = _make_reward("temporal", "strict")
spatial_reward = _make_reward("spatial", "strict")
task_reward = _make_reward("task", "strict")
