"""Trains a tiny model by the TRL example, a process a rank: `run_trl.py EXPORT MODEL WORK`.

Each process writes what it saw to `WORK/seen-RANK.json`, a list of batches.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from examples.train_trl import load_rewards, train

batches: list[dict[str, Any]] = []


def main(data: Path, model: Path, work: Path) -> None:
    """A step a batch; a reward that never applies listens."""
    rows = pq.read_table(data / "rows.parquet").to_pylist()
    answers = {row["sample_id"]: row["answer"] for row in rows}
    adapter = load_rewards(data)

    def listener(
        completions: list[Any], sample_id: list[str], images: list[Any], **columns: Any
    ) -> list[None]:
        said = [[{"role": "assistant", "content": answers[name]}] for name in sample_id]
        right = [reward(said, **columns) for reward in adapter.reward_funcs]
        wrong = [reward(completions, **columns) for reward in adapter.reward_funcs]
        sizes = [[list(image.size) for image in each] for each in images]
        batches.append({"ids": sample_id, "sizes": sizes, "right": right, "wrong": wrong})
        return [None] * len(completions)

    train(
        data,
        str(model),
        work / "out",
        save_strategy="no",
        disable_tqdm=True,
        max_completion_length=8,
        reward_funcs=[*adapter.reward_funcs, listener],
        reward_weights=[1.0, 1.0, 1.0],
    )
    seen = work / f"seen-{os.environ.get('RANK', '0')}.json"
    seen.write_text(json.dumps(batches))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
