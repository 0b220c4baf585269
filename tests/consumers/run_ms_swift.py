"""Trains a tiny model with ms-swift, or reads supervised rows by it; prints what it saw as JSON.

`run_ms_swift.py rlhf|sft ARGUMENT...`: of ms-swift's command line, with the folder of a tiny
model. Its own pipelines run; what is put in their way only listens, and keeps a model of random
weights from sampling the placeholder of a film.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import swift.infer_engine.transformers_engine as engine
from swift.rewards import ORM, orms
from swift.template.templates.qwen import Qwen2VLTemplate
from transformers import AutoTokenizer

films: dict[str, list[int]] = {}
scored: list[dict[str, Any]] = []


def listen(model: str, data: Path) -> None:
    """Hear which films are read and which rows are scored, by a reward that never applies."""
    rows = pq.read_table(data.with_name("rows.parquet")).to_pylist()
    answers = {row["sample_id"]: row["answer"] for row in rows}
    tokenizer = AutoTokenizer.from_pretrained(model)
    # The ids of Qwen's own tokenizer stand in the code of ms-swift.
    Qwen2VLTemplate.image_token_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    Qwen2VLTemplate.video_token_id = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    replace, prepare = Qwen2VLTemplate.replace_tag, engine.prepare_generation_config

    def replace_tag(self: Any, kind: str, index: int, inputs: Any) -> Any:
        path = str(inputs.videos[index])
        made = replace(self, kind, index, inputs)
        film = inputs.videos[index]
        films[path] = list((film[0] if isinstance(film, tuple) else film).shape)
        return made

    def prepare_config(*arguments: Any) -> Any:
        made = prepare(*arguments)
        made.suppress_tokens = [Qwen2VLTemplate.image_token_id, Qwen2VLTemplate.video_token_id]
        return made

    class Listener(ORM):
        def __call__(self, completions: list[str], **columns: Any) -> list[None]:
            parts = ("earshot_format", "earshot_task")
            said = [answers[name] for name in columns["sample_id"]]
            right = {name: orms[name]()(said, **columns) for name in parts}
            wrong = {name: orms[name]()(completions, **columns) for name in parts}
            scored.append({"ids": columns["sample_id"], "right": right, "wrong": wrong})
            return [None] * len(completions)

    Qwen2VLTemplate.replace_tag = replace_tag
    engine.prepare_generation_config = prepare_config
    orms["listener"] = Listener


def train(arguments: list[str]) -> dict[str, Any]:
    """Run the trainer."""
    from swift.pipelines import rlhf_main

    rlhf_main(arguments)
    return {"films": films, "scored": scored}


def read(arguments: list[str]) -> list[dict[str, Any]]:
    """What is learnt of each supervised row."""
    from swift.pipelines.train.sft import SwiftSft

    pipeline = SwiftSft(arguments)
    data, _ = pipeline._prepare_dataset()
    found = []
    for row in data:
        learnt = [token for token in row["labels"] if token != -100]
        said = pipeline.template.tokenizer.decode(learnt, skip_special_tokens=True)
        found.append({"learnt": said, "vision_tokens": int(row["video_grid_thw"].prod()) // 4})
    return found


if __name__ == "__main__":
    kind, *given = sys.argv[1:]
    model, data = (given[given.index(name) + 1] for name in ("--model", "--dataset"))
    listen(model, Path(data))
    print(json.dumps(train(given) if kind == "rlhf" else read(given)))
