"""The reward functions with TRL's contract: a list in, a list out, None where nothing applies."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import earshot.rewards as rewards
from earshot.rewards import reward_functions, score
from tests.rewards.truths import SECOND, TASKS, completion_of, read_vectors, truth_of, write

VECTORS = read_vectors()
BATCH: dict[str, Any] = {
    "task": [vector["task"] for vector in VECTORS],
    "truth_json": [vector["truth_json"] for vector in VECTORS],
}
TEXTS = [completion_of(vector) for vector in VECTORS]


@pytest.mark.parametrize("part", ["format", "object", "temporal", "spatial"])
def test_a_function_a_dimension(part: str) -> None:
    """In a mixed batch each function gives its dimension of each row, None where it has none."""
    function = getattr(rewards, f"{part}_reward")
    got = function(TEXTS, **BATCH, prompts=["?"] * len(TEXTS), trainer_state=None)
    expected = [vector["expected"][part] for vector in VECTORS]
    assert [value is None for value in got] == [value is None for value in expected]
    assert [v for v in got if v is not None] == pytest.approx(
        [v for v in expected if v is not None], abs=1e-9
    )


def test_format_and_task_make_the_total() -> None:
    """Two functions with weight 1 give the paper's total, whatever the task."""
    parts = rewards.format_reward(TEXTS, **BATCH), rewards.task_reward(TEXTS, **BATCH)
    got = zip(*parts, strict=True)
    totals = [vector["expected"]["total"] for vector in VECTORS]
    assert [(a or 0) + (b or 0) for a, b in got] == pytest.approx(totals, abs=1e-9)


def test_conversational_completions() -> None:
    """A list of messages counts by the last one's text."""
    truth = truth_of("temporal", intervals=[(0, SECOND)])
    text = write("temporal", [("dog", [])], [(0, SECOND)])
    chats: list[object] = [
        [{"role": "assistant", "content": text}],
        [{"role": "assistant", "content": "hm"}, {"role": "assistant", "content": text}],
        [{"role": "assistant", "content": None}],
        [{"role": "assistant"}],
        [],
        None,
        text,
    ]
    columns: dict[str, Any] = {"task": ["temporal"] * 7, "truth_json": [truth] * 7}
    assert rewards.temporal_reward(chats, **columns) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def test_rows_of_other_tasks_do_not_apply() -> None:
    """A batch mixed with somebody else's rows gets None there."""
    columns: dict[str, Any] = {
        "task": ["math", "temporal"],
        "truth_json": ["7", truth_of("temporal")],
    }
    assert rewards.format_reward(["7", ""], **columns) == [None, 0.0]


def test_both_modes_have_all_functions() -> None:
    """Each part has a function of its own name, which a trainer's log shows."""
    for mode, suffix in (("strict", ""), ("avst_zero", "_avst_zero")):
        functions = reward_functions(mode)  # type: ignore[arg-type]
        assert [function.__name__ for function in functions.values()] == [
            f"{part}_reward{suffix}" for part in ("format", "object", "temporal", "spatial", "task")
        ]
        assert all(inspect.getdoc(function) for function in functions.values())
    zero = reward_functions("avst_zero")
    rows = [row for row in range(len(TEXTS)) if VECTORS[row]["expected"]["status"] == "ok"]
    batch = {name: [column[row] for row in rows] for name, column in BATCH.items()}
    got = zero["task"]([TEXTS[row] for row in rows], **batch)
    scores = [
        score(VECTORS[row]["task"], TEXTS[row], VECTORS[row]["truth_json"], mode="avst_zero")
        for row in rows
    ]
    assert got == [
        each.task_total(VECTORS[row]["task"]) for row, each in zip(rows, scores, strict=True)
    ]
    assert {each.object for each in scores} > {None}


def test_a_mode_column_is_a_column() -> None:
    """The functions' mode is fixed: a batch column of that name changes nothing."""
    columns: dict[str, Any] = {"task": ["temporal"], "truth_json": [truth_of("temporal")]}
    text = "<when>[2, 6]</when>"
    assert rewards.temporal_reward([text], **columns, mode=["avst_zero"]) == [0.0]


def test_columns_must_fit() -> None:
    """Columns of another length are the trainer's fault, not a reward."""
    with pytest.raises(ValueError, match="argument"):
        rewards.format_reward(["", ""], task=["temporal"], truth_json=["{}"])


def test_weights_are_the_released_ones() -> None:
    """Temporal 1; spatial half and half; spatio_temporal half and half (research/seeds.md 1.4)."""
    assert {task: dict(rewards.WEIGHTS[task]) for task in TASKS} == {
        "temporal": {"temporal": 1.0},
        "spatial": {"object": 0.5, "spatial": 0.5},
        "spatio_temporal": {"temporal": 0.5, "spatial": 0.5},
    }
