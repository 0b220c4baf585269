"""Reads an export as verl's trainer does, prints what it saw as JSON.

`python tests/consumers/on_cpu.py tests/consumers/read_verl.py FOLDER MODEL key=value ...`: an
export, a tiny model's folder, and the overrides of its launch recipe. The trainer's own
configuration, dataset, sampler, loader, collate function, processor and reward manager are used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.utils import create_rl_sampler
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.dataset.rl_dataset import collate_fn, get_dataset_class
from verl.utils.tokenizer import build_multimodal_processor_inputs

WRONG = "I can't tell."


async def rewards(config: Any, tokenizer: Any, batch: dict[str, Any], said: list[str]) -> list[Any]:
    """What the configured manager gives completions of a batch."""
    manager = load_reward_manager(config, tokenizer)
    columns = ("data_source", "reward_model", "extra_info")
    found = []
    for at, text in enumerate(said):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        one = DataProto.from_dict(
            tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
            non_tensors={name: batch[name][at : at + 1] for name in columns},
        )
        found.append(await manager.run_single(one))
    return found


def main(folder: Path, model: str, overrides: list[str]) -> dict[str, Any]:
    """Read every batch once."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    OmegaConf.resolve(config)
    omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    omega_conf_to_dataclass(config.algorithm)
    tokenizer, processor = hf_tokenizer(model), hf_processor(model)
    kind = get_dataset_class(config.data)
    data = kind(config.data.train_files, tokenizer, config.data, processor)
    loader = StatefulDataLoader(
        data,
        batch_size=config.data.gen_batch_size or config.data.train_batch_size,
        drop_last=True,
        collate_fn=collate_fn,
        sampler=create_rl_sampler(config.data, data),
    )
    answers = {
        row["sample_id"]: row["answer"]
        for row in pq.read_table(folder / "rows.parquet").to_pylist()
    }
    batches = []
    for batch in loader:
        ids = [extra["sample_id"] for extra in batch["extra_info"]]
        seen = [look(kind, processor, config, messages) for messages in batch["raw_prompt"]]
        right = asyncio.run(rewards(config, tokenizer, batch, [answers[name] for name in ids]))
        wrong = asyncio.run(rewards(config, tokenizer, batch, [WRONG] * len(ids)))
        batches.append({"ids": ids, "seen": seen, "right": right, "wrong": wrong})
    return {"kept": len(data), "longest": config.data.max_prompt_length, "batches": batches}


def look(kind: Any, processor: Any, config: Any, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model would be given of a prompt."""
    patch = processor.image_processor.patch_size
    media = kind.process_multi_modal_info(messages, image_patch_size=patch, config=config.data)
    images, videos, audios = asyncio.run(media)
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = build_multimodal_processor_inputs(
        processor, text=[text], images=images, videos=videos, audio=audios
    )
    ((film, metadata),) = videos
    return {
        "text": text,
        "tokens": inputs["input_ids"].shape[1],
        "vision_tokens": int(inputs["video_grid_thw"].prod()) // 4,
        "size": [film.shape[3], film.shape[2]],
        "frames": np.asarray(metadata["frames_indices"]).tolist(),
        "sound": [list(np.shape(one)) for one in audios or []],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])))
