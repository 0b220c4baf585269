"""Train a model by GRPO with TRL on what `earshot grpo export --dialect trl` wrote.

    python examples/train_trl.py --data train-trl --model Qwen/Qwen2.5-VL-7B-Instruct --out trained

On four GPUs `torchrun --nproc_per_node 4 examples/train_trl.py ...`, for an export of `--ranks 4`.
Its environment: `pip install 'earshot[train]'`, or TRL, torchvision and `--no-deps earshot`.

The setting is AVST-Zero's (https://github.com/zhlllau/R-AVST, run_grpo.sh and the defaults of its
trl 0.15.1). What differs, and why:
- A step takes a whole planned batch, not 4 prompts: only so every step has all tasks.
- Rewards are earshot's `strict` ones: the released ones give full score to one good box.
- Frames are images: TRL leaves a video out of the log-probabilities without a word.
- `<|video_pad|>` is never sampled: one of them in a completion ends the run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer


def train(data: Path, model: str, out: Path, **changes: Any) -> GRPOTrainer:
    """Train, save the model to `out`, and return the trainer.

    Args:
        data: folder of the export.
        model: name or folder of a Qwen2.5-VL or Qwen3-VL with its processor.
        out: folder for checkpoints and the model.
        changes: fields of `GRPOConfig` to set otherwise; `reward_funcs` for other rewards.
    """
    export = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["config"]
    rewards = load_rewards(data)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if export["ranks"] != processes:
        raise SystemExit(
            f"{processes} processes for an export of {export['ranks']} ranks: each rank has its "
            "own rows in a batch; export again with --ranks, or start as many"
        )
    functions = changes.pop("reward_funcs", rewards.reward_funcs)
    setting = {
        # One prompt a process at a time, as AVST-Zero; its completions are one batch of the model.
        "num_generations": export["generations"],
        "per_device_train_batch_size": export["generations"],
        # One update a planned batch, in the planned order; the epochs stand in the file.
        "gradient_accumulation_steps": export["batch_prompts"] // processes,
        "shuffle_dataset": False,
        "num_train_epochs": 1,
        "learning_rate": 1e-6,
        "lr_scheduler_type": "linear",
        "beta": 0.04,
        "temperature": 1.0,
        # A completion's mean over its tokens, then the mean over completions; groups by their std.
        "loss_type": "grpo",
        "scale_rewards": "group",
        "num_iterations": 1,
        "reward_weights": rewards.reward_weights,
        "max_completion_length": export["completion_tokens"],
        # bfloat16 as AVST-Zero; a tiny model can be tried without a GPU.
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": True,
        "seed": 42,
        "logging_steps": 1,
        "report_to": "none",
        **changes,
    }
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=functions,
        args=GRPOConfig(output_dir=str(out), **setting),
        train_dataset=load_dataset(
            "parquet", data_files=str(data / f"{export['split']}.parquet"), split="train"
        ),
    )
    config = trainer.model.config
    trainer.generation_config.suppress_tokens = [config.image_token_id, config.video_token_id]
    trainer.train()
    trainer.save_model(str(out))
    return trainer


def load_rewards(data: Path) -> Any:
    """Return the file of reward functions beside the data, as a module."""
    path = data / "reward_trl.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the export")
    parser.add_argument("--model", required=True, help="name or folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained model")
    given = parser.parse_args()
    train(given.data, given.model, given.out)
