"""A trainer's rollouts are stored while they are scored, where a variable names a folder."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from earshot.rewards import store, storing, task_reward
from earshot.rewards.rollouts import FOLDER
from tests.rewards.truths import SECOND, truth_of, write

TRUTH = truth_of("temporal", intervals=[(0, SECOND)])
RIGHT = write("temporal", [("dog", [])], [(0, SECOND)])
SAID: list[object] = [RIGHT, [{"role": "assistant", "content": RIGHT}], "It barks.", "4", None]
COLUMNS: dict[str, Any] = {
    "task": ["temporal", "temporal", "temporal", "arithmetic", "temporal"],
    "truth_json": [TRUTH] * 5,
    "sample_id": ["a", "a", "b", "c", "b"],
}
REWARDS = [1.0, 1.0, 0.0, None, 0.0]


def test_each_of_our_rows_is_stored_with_its_whole_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function's values are what they were; calls add lines; others' rows are left out."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "new" / "rollouts"))
    reward = storing(task_reward)
    assert reward.__name__ == "task_reward"  # a trainer's log shows it
    assert reward(SAID, **COLUMNS) == REWARDS
    store("d", "é\n", 0.5)
    store("e", b"no text", 0.0)
    (path,) = (tmp_path / "new" / "rollouts").iterdir()
    assert str(os.getpid()) in path.name
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"sample_id": "a", "completion": RIGHT, "reward": 2.0},
        {"sample_id": "a", "completion": RIGHT, "reward": 2.0},
        {"sample_id": "b", "completion": "It barks.", "reward": 0.0},
        {"sample_id": "b", "completion": None, "reward": 0.0},
        {"sample_id": "d", "completion": "é\n", "reward": 0.5},
        {"sample_id": "e", "completion": None, "reward": 0.0},
    ]


def test_threads_do_not_mix_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long completions of threads that store at once are a line each."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    said = [f"{number} " * 4_600 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: [store("a", text, 0.0) for _ in range(200)], said))
    (path,) = tmp_path.iterdir()
    lines = [json.loads(line)["completion"] for line in path.read_text().splitlines()]
    assert Counter(lines) == dict.fromkeys(said, 200)


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_stored_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """Without the variable rows need no sample_id either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER, raising=False)
    if value is not None:
        monkeypatch.setenv(FOLDER, value)
    columns = {name: COLUMNS[name] for name in ("task", "truth_json")}
    assert storing(task_reward)(SAID, **columns) == REWARDS
    store(None, "4", 0.0)
    assert not list(tmp_path.iterdir())


def test_a_row_of_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout without a sample_id is of no use: that is said at the first step."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    columns = {name: COLUMNS[name] for name in ("task", "truth_json")}
    with pytest.raises(ValueError, match=r"no sample_id.*unset the variable"):
        storing(task_reward)(SAID, **columns)


def test_training_goes_on_without_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that can't be made is warned of, and the rewards are given."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER, str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="rollouts are not stored"):
        assert storing(task_reward)(SAID, **COLUMNS) == REWARDS
