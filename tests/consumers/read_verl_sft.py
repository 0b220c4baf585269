"""Reads supervised rows as verl's SFT trainer does: `read_verl_sft.py EXPORT MODEL`; JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset


def main(folder: Path, model: str) -> list[dict[str, Any]]:
    """What is learnt from each row."""
    tokenizer, processor = hf_tokenizer(model), hf_processor(model)
    config = OmegaConf.create(
        {"max_length": 2048, "truncation": "error", "pad_mode": "no_padding", "video_key": "videos"}
    )
    data = MultiTurnSFTDataset(str(folder / "train.parquet"), tokenizer, config, processor)
    found = []
    for at in range(len(data)):
        row = data[at]
        learnt = row["input_ids"][row["loss_mask"].bool()]
        grid = row["multi_modal_inputs"]["video_grid_thw"]
        found.append(
            {
                "id": data.dataframe.iloc[at]["extra_info"]["sample_id"],
                "learnt": tokenizer.decode(learnt, skip_special_tokens=True),
                "text": tokenizer.decode(row["input_ids"]),
                "vision_tokens": int(grid.prod()) // 4,
            }
        )
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
