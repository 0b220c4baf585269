"""The TRL examples on a real export of the sample world: it trains, and by the rewards alone."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from tests.consumers.world import (  # noqa: F401 - a fixture
    Sample,
    difficulty_of,
    run,
    sample,
    trainer,
)


def test_a_tiny_model_is_trained_by_the_rewards(sample: Sample, tmp_path: Path) -> None:  # noqa: F811
    """Some group's rewards differ and parameters move; under a constant reward none does."""
    python = trainer("train")
    grpo = sample.export(tmp_path / "grpo", "trl", "--batch-prompts", 3)
    # Short answers alone: the tiny model learns their form in some seconds, and not much more.
    options = ("--objective", "sft", "--batch-prompts", 2, "--quota", "temporal=2")
    sft = sample.export(tmp_path / "sft", "trl", *options, "--no-check-media")
    work = tmp_path / "work"
    rollouts, script = tmp_path / "rollouts", "tests/examples/run_training.py"
    said = run(
        python, script, sft, grpo, work, home=tmp_path / "hub", EARSHOT_ROLLOUTS=str(rollouts)
    )
    found = json.loads(said.splitlines()[-1])
    *steps, _ = found["trained"]
    assert len(steps) == json.loads((grpo / "manifest.json").read_text())["batches"] == 2
    assert any(step["frac_reward_zero_std"] < 1 and step["reward_std"] > 0 for step in steps)
    assert found["changed"] > 0
    idle, _ = found["idle"]
    assert (idle["rewards/constant/mean"], idle["frac_reward_zero_std"]) == (1, 1)
    assert found["changed_by_constant"] == 0
    # Of each prompt of the two batches six rollouts, with the rewards that the trainer had.
    hard = difficulty_of(grpo, rollouts)
    assert [row.rollouts for row in hard] == [6] * 6
    logged = [step["reward"] for step in steps]
    assert fmean(row.reward_mean for row in hard) == pytest.approx(fmean(logged), abs=1e-4)
