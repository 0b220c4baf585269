"""The reward files beside the data, called as each trainer calls them, on nothing but rewards."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from earshot.tasks.grpo.export import export
from tests.tasks.grpo.test_export import config, rows_of


def load(path: Path) -> ModuleType:
    """A file as a module, as trainers load it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(release, films, tmp_path_factory):
    """The export of a dialect."""
    made: dict[str, Path] = {}

    def get(dialect: str) -> Path:
        if dialect not in made:
            made[dialect] = tmp_path_factory.mktemp("out") / dialect
            export(release, films, made[dialect], config(dialect, check_media=False))
        return made[dialect]

    return get


def test_verl(folder):
    """compute_score by keyword, on the columns of the file: 2 for the truth, 0 for nothing."""
    module = load(folder("verl") / "reward_verl.py")
    rows = pq.read_table(folder("verl") / "train.parquet").to_pylist()
    for made, row in zip(rows, rows_of(folder("verl")), strict=True):
        call = {
            "data_source": made["data_source"],
            "ground_truth": made["reward_model"]["ground_truth"],
            "extra_info": made["extra_info"],
        }
        good = module.compute_score(solution_str=row.answer, **call)
        assert good == {"score": 2.0, "format": 1.0, "task": 1.0}
        bad = module.compute_score(solution_str="It barks.", **call, num_turns=1)
        assert bad == {"score": 0.0, "format": 0.0, "task": 0.0}
    with pytest.raises(ValueError, match="expected earshot/"):
        module.compute_score("gsm8k", "4", "4")
    for truth in ("{}", None, {"v": 1}):
        with pytest.raises(ValueError, match="can't be read"):
            module.compute_score("earshot/temporal", "4", truth)


def test_trl(folder):
    """Functions on conversational completions with all columns; both weights 1 make the total."""
    module = load(folder("trl") / "reward_trl.py")
    rows = rows_of(folder("trl"))
    columns = pq.read_table(folder("trl") / "train.parquet").drop(["prompt", "images"]).to_pydict()
    said = [[{"role": "assistant", "content": row.answer}] for row in rows]
    extra = {"prompts": [[]] * len(rows), "completion_ids": [[1]] * len(rows)}
    got = [
        function(completions=said, trainer_state=None, log_metric=None, **columns, **extra)
        for function in module.reward_funcs
    ]
    assert got == [[1.0] * len(rows)] * 2
    assert module.reward_weights == [1.0, 1.0]


def test_ms_swift(folder, monkeypatch):
    """The plugin registers a class a part; each is made and called with lists of columns."""
    swift, rewards = types.ModuleType("swift"), types.ModuleType("swift.rewards")
    rewards.ORM = type("ORM", (), {"__init__": lambda self, args=None, **kwargs: None})
    rewards.orms = {}
    monkeypatch.setitem(sys.modules, "swift", swift)
    monkeypatch.setitem(sys.modules, "swift.rewards", rewards)
    load(folder("ms-swift") / "reward_ms_swift.py")
    lines = (folder("ms-swift") / "train.jsonl").read_text().splitlines()
    made = [json.loads(line) for line in lines]
    columns = {name: [one[name] for one in made] for name in made[0]}
    answers = [row.answer for row in rows_of(folder("ms-swift"))]
    got = {name: kind(args=None)(answers, **columns) for name, kind in rewards.orms.items()}
    assert set(got) == {
        f"earshot_{part}" for part in ("format", "object", "temporal", "spatial", "task")
    }
    assert got["earshot_format"] == got["earshot_task"] == [1.0] * len(made)
    for task, value in zip(columns["task"], got["earshot_object"], strict=True):
        assert value == (1.0 if task == "spatial" else None)


@pytest.mark.parametrize("dialect", ["verl", "trl"])
def test_they_need_the_rewards_alone(folder, dialect):
    """In a process where pydantic, pyarrow and Prefect can't be imported."""
    (path,) = folder(dialect).glob("reward_*.py")
    code = (
        "import sys\n"
        "for name in ('pydantic', 'pyarrow', 'prefect', 'pandas', 'rfc8785', 'av'):\n"
        "    sys.modules[name] = None\n"
        f"exec(open({str(path)!r}).read())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
