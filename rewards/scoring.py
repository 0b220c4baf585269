"""The one entry to both reward modes: `score(task, completion, truth_json, mode)`.

Takes texts, gives a `Score`. Never raises on any completion.
"""

from __future__ import annotations

from typing import get_args

from earshot.rewards import avst_zero, strict
from earshot.rewards._avst_text import NameMapper
from earshot.rewards.grammar import Task
from earshot.rewards.result import Mode, Score


def score(
    task: Task,
    completion: object,
    truth_json: object,
    mode: Mode = "strict",
    map_name: NameMapper | None = None,
) -> Score:
    """Return how good a completion is (CONTRACTS 7).

    Args:
        task: `temporal`, `spatial` or `spatio_temporal`.
        completion: what the model wrote; anything but a str has no answer.
        truth_json: the question's `truth_json`.
        mode: `strict`, or `avst_zero` = the numbers of R-AVST's released code.
        map_name: for `avst_zero` alone: what a predicted name is replaced by before it is
            compared, as the released word2vec look-up does; default: its own normalisation.

    Raises:
        ValueError: the task or the mode is unknown.

    >>> truth = '{"v":1,"task":"temporal","intervals":[[2,6]],"objects":[]}'
    >>> said = "<answer><object>dog</object><when>[2.0, 4.0]</when></answer>"
    >>> score("temporal", said, truth)
    Score(format=1.0, object=None, temporal=0.5, spatial=None, total=1.5, status='ok')
    """
    if mode not in get_args(Mode):
        raise ValueError(
            f"mode is {mode!r}; expected 'strict' or 'avst_zero'. See docs/answers-and-rewards.md"
        )
    if mode == "avst_zero":
        return avst_zero.score(task, completion, truth_json, map_name)
    return strict.score(task, completion, truth_json)
