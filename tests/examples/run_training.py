"""Runs both examples on a tiny model, prints what came out as JSON: one process, for one import.

`python tests/consumers/on_cpu.py tests/examples/run_training.py SFT GRPO WORK`: folders of exports,
and one to write to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from examples.train_trl import train
from examples.warm_start_trl import warm_start
from tiny_qwen import save

QUIET = {"save_strategy": "no", "disable_tqdm": True}
# A tiny model of random weights takes other rates than a large one that was trained before.
WARM = {
    **QUIET,
    "max_steps": 40,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
}
GRPO = {**QUIET, "max_completion_length": 40, "learning_rate": 1e-3}


def values(trainer: Any) -> list[torch.Tensor]:
    """The parameters, copied."""
    return [value.detach().clone() for value in trainer.model.parameters()]


def difference(left: list[torch.Tensor], right: list[torch.Tensor]) -> float:
    """The largest difference of any parameter."""
    return max(float((a - b).abs().max()) for a, b in zip(left, right, strict=True))


def constant(completions: list[Any], **_columns: Any) -> list[float]:
    """Reward everything alike."""
    return [1.0] * len(completions)


def main(sft: Path, grpo: Path, work: Path) -> dict[str, Any]:
    """Make the model, warm it up, train it with earshot's rewards and with a constant one."""
    rows = pq.read_table(sft / "rows.parquet").to_pylist()
    texts = [row[name] for row in rows for name in ("system_prompt", "question", "answer")]
    tiny = save(work / "tiny", texts)
    warm = warm_start(sft, str(tiny), work / "warm", **WARM)
    before = values(warm)
    trained = train(grpo, str(work / "warm"), work / "trained", **GRPO)
    alike = {**GRPO, "reward_funcs": [constant], "reward_weights": [1.0], "max_steps": 1}
    idle = train(grpo, str(work / "warm"), work / "idle", **alike)
    return {
        "trained": trained.state.log_history,
        "changed": difference(before, values(trained)),
        "idle": idle.state.log_history,
        "changed_by_constant": difference(before, values(idle)),
    }


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
