"""Teach a model the form of the answers, before GRPO, with TRL: supervised rows of an export.

    python examples/warm_start_trl.py --data sft-trl --model Qwen/Qwen2.5-VL-7B-Instruct --out warm

For a model that never writes an answer that can be read: all rewards of a group are 0 then, and
GRPO learns nothing. `--data` is of `earshot grpo export --dialect trl --objective sft`. AVST-Zero
has none ("Zero"); its Omni variant has LoRA of one epoch at 1e-4 (SFT/sft.sh), here all weights are
trained at a tenth of that.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer


def warm_start(data: Path, model: str, out: Path, **changes: Any) -> SFTTrainer:
    """Train on the right answers, save the model to `out`, and return the trainer.

    Args:
        data: folder of the export.
        model: name or folder of a Qwen2.5-VL or Qwen3-VL with its processor.
        out: folder for checkpoints and the model.
        changes: fields of `SFTConfig` to set otherwise.
    """
    split = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["config"]["split"]
    setting = {
        "num_train_epochs": 1,
        "learning_rate": 1e-5,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        # A row that is cut loses some of its images' tokens; the export has bounded them.
        "max_length": None,
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": True,
        "seed": 42,
        "report_to": "none",
        **changes,
    }
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(out), **setting),
        train_dataset=load_dataset(
            "parquet", data_files=str(data / f"{split}.parquet"), split="train"
        ),
    )
    trainer.train()
    trainer.save_model(str(out))
    return trainer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the export")
    parser.add_argument("--model", required=True, help="name or folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained model")
    given = parser.parse_args()
    warm_start(given.data, given.model, given.out)
