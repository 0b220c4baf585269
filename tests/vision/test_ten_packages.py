"""All packages of a user's list in one environment: a build to its release through them.

Runs in the lane `make test-packages`, whose environment has prefect, openai, transformers, torch,
sam2, groundingdino-py, decord, pandas, pyarrow and label-studio-sdk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("groundingdino", reason="`make test-packages` has it")

from earshot.media.sample_world import write_sample_world
from tests.vision.tiny_original import save_detector, save_segmenter

PACKAGES = {
    "prefect": "prefect", "openai": "openai", "transformers": "transformers", "torch": "torch",
    "sam2": "sam2", "groundingdino-py": "groundingdino.models", "decord": "decord",
    "pandas": "pandas", "pyarrow": "pyarrow", "label-studio-sdk": "label_studio_sdk",
}  # fmt: skip
# What a machine with a GPU does not need: there torchvision fits and frames are looked at in full.
EARSHOT = """
from tests.vision.torchvision_shim import declare_operators
declare_operators()
from tests.vision.tiny_original import look_closely
look_closely()
from earshot.cli import main
main()
"""
ROOT = Path(__file__).resolve().parents[2]


def test_all_ten_are_imported_side_by_side() -> None:
    """Nothing of one breaks another's import."""
    for package, module in PACKAGES.items():
        assert version(package)
        import_module(module)


def earshot(*arguments: str) -> str:
    """Run the command in a process of its own; return what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EARSHOT, *arguments],
        capture_output=True, text=True, check=False, timeout=540,
        env={**env, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_videos_to_a_release(tmp_path: Path) -> None:
    """Through Prefect, decord and the original packages: tubes and questions are in the release."""
    manifest = write_sample_world(tmp_path / "world", 1, 1).manifest
    config = tmp_path / "c.toml"
    # Random masks cover the whole frame, which the automatic inspector would reject.
    config.write_text(f"""
[track]
backend = "grounded_sam2_original"
decoder = "decord"
device = "cpu"
fps = 1
box_threshold = 0.95
detector = "{save_detector(tmp_path / "detector")}"
segmenter = "{save_segmenter(tmp_path / "segmenter")}"
[inspect]
max_box_share = 1.0
""")
    told = earshot("doctor", "-c", str(config))
    assert "sam2 1.1" in told, told
    options = ("-i", str(manifest), "-w", str(tmp_path / "w"), "-c", str(config), "--json")
    planned = {one["stage"]: one for one in json.loads(earshot("plan", *options))["stages"]}
    assert "track" in planned
    report = json.loads(earshot("build", *options))
    (release,) = {file.parent for file in (tmp_path / "w").rglob("manifest.json")}
    tubes = pd.concat(pd.read_parquet(file) for file in release.rglob("tubes*.parquet"))
    assert set(tubes.backend) == {"grounded_sam2_original"}
    assert tubes.weights_digest.notna().all()
    questions = pd.concat(pd.read_parquet(file) for file in (release / "data").rglob("*.parquet"))
    assert len(questions), report
