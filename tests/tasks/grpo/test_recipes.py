"""The launch scripts beside the data: what they start with; trainers check the keys themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.tasks.grpo.dialects.recipes import prompt_tokens
from earshot.tasks.grpo.export import export
from tests.tasks.grpo.test_export import config


def started(script: Path, tmp_path: Path, *more: str) -> list[str]:
    """Run a script with a program in its trainer's place that prints its arguments."""
    teller = tmp_path / "teller"
    teller.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    teller.chmod(0o755)
    variables = {"PYTHON": str(teller), "SWIFT": str(teller), "MODEL": "a model"}
    done = subprocess.run(
        [script, *more], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_verl(release, films, tmp_path):
    """AVST-Zero's numbers, the export's files and sizes, room for the longest prompt."""
    out = tmp_path / "an export"
    manifest = export(release, films, out, config(ranks=2, check_media=False))
    assert "launch_verl.sh" in manifest.files
    module, *pairs, last = started(out / "launch_verl.sh", tmp_path, "data.seed=7")[1:]
    assert (module, last) == ("verl.trainer.main_ppo", "data.seed=7")
    given = dict(pair.split("=", 1) for pair in pairs)
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    assert given[f"{rollout}.n"] == "6"
    assert given[f"{actor}.optim.lr"] == "1e-6"
    assert given[f"{actor}.kl_loss_coef"] == "0.04"
    assert given["data.train_batch_size"] == given[f"{actor}.ppo_mini_batch_size"] == "6"
    assert given["data.train_files"] == str(out / "train.parquet")
    assert given["reward.custom_reward_function.path"] == str(out / "reward_verl.py")
    assert given["actor_rollout_ref.model.path"] == "a model"
    assert given["trainer.n_gpus_per_node"] == "2"
    longest = prompt_tokens(pq.read_table(out / "rows.parquet"))
    assert longest <= int(given["data.max_prompt_length"]) < longest + 256


@pytest.mark.parametrize(
    ("profile", "beta", "schedule"),
    [("qwen2_5_vl", "0.04", "linear"), ("qwen2_5_omni", "0.001", "cosine")],
)
def test_ms_swift(release, films, tmp_path, profile, beta, schedule):
    """The same, and by the model that is trained; one prompt a process at a time."""
    out = tmp_path / "an export"
    export(release, films, out, config("ms-swift", profile, ranks=2, check_media=False))
    given = started(out / "launch_ms_swift.sh", tmp_path, "--max_steps", "2")
    assert (given[0], given[-2:]) == ("rlhf", ["--max_steps", "2"])

    def value(name: str) -> str:
        return given[given.index(f"--{name}") + 1]

    assert (value("beta"), value("lr_scheduler_type")) == (beta, schedule)
    assert (value("num_generations"), value("learning_rate")) == ("6", "1e-6")
    assert value("per_device_train_batch_size") == "6"
    assert value("gradient_accumulation_steps") == "3"
    assert value("dataset") == str(out / "train.jsonl")
    assert value("model") == "a model"
    assert value("dataset_shuffle") == value("train_dataloader_shuffle") == "false"
    hears = profile == "qwen2_5_omni"
    longest = prompt_tokens(pq.read_table(out / "rows.parquet"), hears=hears)
    assert longest <= int(value("max_length")) < longest + 256


def changed(script: Path) -> list[str]:
    """What a script says that it changes."""
    text = script.read_text().partition("# Changed, and why:\n")[2]
    return [line for line in text.splitlines() if line.startswith("# - ")]


def test_what_is_changed_is_told_beside_what_it_was(release, films, tmp_path):
    """By AVST-Zero's scripts: one sees four prompts an update, the other hears eight a process."""
    quick = {"check_media": False}
    for name, made in {
        "verl": config(batch_prompts=4, ranks=4, **quick),
        "vl": config("ms-swift", **quick, fps=1, completion_tokens=2048),
        "omni": config("ms-swift", "qwen2_5_omni", **quick),
    }.items():
        export(release, films, tmp_path / name, made)
    verl = "\n".join(changed(tmp_path / "verl" / "launch_verl.sh"))
    assert "prompts an update" not in verl
    assert "2 fps of 16 to 256 tokens a frame, for its one in 4 s of 128 to 768" in verl
    vl = "\n".join(changed(tmp_path / "vl" / "launch_ms_swift.sh"))
    assert "- 6 prompts an update, for its 4:" in vl
    assert "- 1 fps of" in vl
    assert "up to 2048 tokens, for its 1024." in vl
    omni = "\n".join(changed(tmp_path / "omni" / "launch_ms_swift.sh"))
    assert "- 6 prompts an update, for its 8 a process:" in omni
    assert "up to 1024 tokens, for its 2048." in omni
    assert "it was 2048 of text" in omni
    assert "fps of" not in omni


@pytest.mark.parametrize("dialect", ["verl", "ms-swift"])
def test_supervised_rows_have_none(release, films, tmp_path, dialect):
    """The scripts are of GRPO."""
    manifest = export(
        release, films, tmp_path / "o", config(dialect, objective="sft", check_media=False)
    )
    assert not [name for name in manifest.files if name.endswith(".sh")]
