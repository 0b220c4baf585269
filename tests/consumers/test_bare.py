"""Reward files need `pip install --no-deps earshot` and NumPy, and nothing else of earshot's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consumers.world import ROOT, Sample, rows_of, sample  # noqa: F401 - a fixture

UV = Path(sys.executable).with_name("uv")
# ms-swift's own package is the one thing that its plugin wants besides.
SWIFT = "class ORM:\n    def __init__(self, args=None, **options): pass\n\norms = {}\n"
CALLS = {
    "verl": (
        "from reward_verl import compute_score\n"
        "def total(said, row):\n"
        "    source = 'earshot/' + row['task']\n"
        "    return compute_score(source, said, row['truth_json'], {'index': 0})['score']\n"
    ),
    "ms-swift": (
        "import reward_ms_swift\n"
        "from swift.rewards import orms\n"
        "def total(said, row):\n"
        "    columns = {'task': [row['task']], 'truth_json': [row['truth_json']]}\n"
        "    kinds = [orms['earshot_format'], orms['earshot_task']]\n"
        "    return sum(kind()([said], **columns)[0] for kind in kinds)\n"
    ),
    "trl": (
        "from reward_trl import reward_funcs\n"
        "def total(said, row):\n"
        "    columns = {'task': [row['task']], 'truth_json': [row['truth_json']]}\n"
        "    said = [[{'role': 'assistant', 'content': said}]]\n"
        "    return sum(reward(said, **columns)[0] for reward in reward_funcs)\n"
    ),
}
SCORE = (
    "import json, sys\n"
    "rows = json.load(open(sys.argv[1]))\n"
    "print(json.dumps([[total(row['answer'], row), total('It barks.', row)] for row in rows]))\n"
)


def uv(*arguments: object, **variables: str) -> None:
    """Run uv."""
    subprocess.run([UV, *map(str, arguments)], check=True, env={**os.environ, **variables})


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with NumPy and our wheel alone."""
    folder = tmp_path_factory.mktemp("bare")
    uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    (wheel,) = folder.glob("*.whl")
    target = {"VIRTUAL_ENV": str(folder / "venv")}
    uv("pip", "install", "--quiet", "numpy", **target)
    uv("pip", "install", "--quiet", "--no-deps", wheel, **target)
    return folder / "venv" / "bin" / "python"


@pytest.mark.parametrize("dialect", ["verl", "ms-swift", "trl"])
def test_it_scores_beside_numpy_alone(
    bare: Path,
    sample: Sample,  # noqa: F811
    tmp_path: Path,
    dialect: str,
) -> None:
    """The truth gets format 1 and task 1, anything else 0."""
    data = sample.export(tmp_path / "data", dialect, "--batch-prompts", 3, "--no-check-media")
    alone = tmp_path / "alone"
    alone.mkdir()
    (adapter,) = data.glob("reward_*.py")
    shutil.copy(adapter, alone)
    if dialect == "ms-swift":
        (alone / "swift").mkdir()
        (alone / "swift" / "__init__.py").touch()
        (alone / "swift" / "rewards.py").write_text(SWIFT)
    rows = [row.model_dump(include={"task", "truth_json", "answer"}) for row in rows_of(data)]
    (alone / "rows.json").write_text(json.dumps(rows))
    (alone / "score.py").write_text(CALLS[dialect] + SCORE)
    done = subprocess.run(
        [bare, "-W", "error", alone / "score.py", alone / "rows.json"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[2.0, 0.0]] * len(rows)
    assert len(rows) == 6
