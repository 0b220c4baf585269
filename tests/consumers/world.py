"""A release of the sample world, as a user builds, exports and trains on it: by the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.schemas.arrow import from_table
from earshot.schemas.training import DifficultyRow, TrainingRow

ROOT = Path(__file__).resolve().parents[2]
# A world whose first two videos are short and have questions of each task: few frames show them.
SEED, VIDEOS = 4, 2


def earshot(*arguments: object) -> str:
    """Run the command line; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Sample:
    """A release and its videos.

    Attributes:
        release: folder of the version, two questions of each task in train, or more.
        videos: folder of the files.
    """

    release: Path
    videos: Path

    def export(
        self, out: Path, dialect: str, *options: object, profile: str = "qwen2_5_vl"
    ) -> Path:
        """Export small frames into `out` and return it."""
        earshot(
            "grpo", "export", "--release", self.release, "--dialect", dialect,
            "--model-profile", profile, "--media-root", self.videos, "--out", out,
            "--max-frames", 4, "--frame-tokens", 16, *options,
        )  # fmt: skip
        return out


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two videos of the sample world, tracked, asked about and published."""
    folder = tmp_path_factory.mktemp("world")
    earshot("sample", "--out", folder / "sample", "--videos", VIDEOS, "--seed", SEED)
    given = folder / "sample" / "input"
    earshot(
        "build", "--input", given / "manifest.jsonl", "--workspace", folder / "workspace",
        "--no-prefect",
    )  # fmt: skip
    return Sample(folder / "workspace" / "releases" / "earshot-v1", given / "videos")


def rows_of(folder: Path) -> list[TrainingRow]:
    """The neutral rows of an export, in order."""
    return from_table(TrainingRow, pq.read_table(folder / "rows.parquet"))


def difficulty_of(export: Path, rollouts: Path) -> list[DifficultyRow]:
    """What `earshot grpo difficulty` makes of the rollouts that a trainer stored."""
    out = export.with_name("difficulty.parquet")
    earshot("grpo", "difficulty", *sorted(rollouts.iterdir()), "--export", export, "--out", out)
    return from_table(DifficultyRow, pq.read_table(out))


def recipe(script: Path, **variables: object) -> list[str]:
    """The arguments with which a launch recipe starts its trainer.

    Args:
        script: of an export.
        variables: of its environment; the one that is None gets the program that tells.
    """
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    teller = script.with_name("teller")
    teller.write_text(f"#!{sys.executable}\n{code}\n")
    teller.chmod(0o755)
    given = {name: str(teller if value is None else value) for name, value in variables.items()}
    done = subprocess.run(
        [script], capture_output=True, text=True, check=True, env={**os.environ, **given}
    )
    return json.loads(done.stdout)


def trainer(name: str) -> Path:
    """The Python of a trainer's environment; the test is skipped, saying so, where it is absent."""
    found = ROOT / f".venv-{name}" / "bin" / "python"
    if not found.exists():
        lane = "test-train" if name == "train" else "test-consumers"
        pytest.skip(f"no .venv-{name}: `make {lane}` makes it")
    return found


def variables_of(file: Path) -> dict[str, str]:
    """The variables that a file of `export NAME=value` sets."""
    lines = file.read_text().splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
    return {name: value for name, _, value in pairs}


def run(
    python: Path,
    script: str,
    *arguments: object,
    home: Path,
    processes: int = 1,
    **variables: str,
) -> str:
    """Run a script of the repository in a trainer's environment, without a network.

    Args:
        python: of the environment.
        script: relative to the repository's root.
        arguments: of the script.
        home: for the caches of the Hub's libraries.
        processes: of torch.distributed, if it is more than one.
        variables: more of its environment.
    """
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes))
    done = subprocess.run(
        [
            python,
            *(launcher if processes > 1 else ()),
            "tests/consumers/on_cpu.py",
            script,
            *map(str, arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(home),
            "MODELSCOPE_CACHE": str(home),
            "TOKENIZERS_PARALLELISM": "false",
            **variables,
        },
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def make_tiny(sample: Sample, name: str, dialect: str, root: Path) -> Path:
    """Make a tiny Qwen2.5-VL that knows the texts of an export, in a trainer's environment."""
    data = sample.export(root / "data", dialect, "--batch-prompts", 3, "--no-check-media")
    run(trainer(name), "tests/consumers/make_tiny.py", data, root / "model", home=root)
    return root / "model"
