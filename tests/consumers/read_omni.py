"""What verl makes of Qwen2.5-Omni's processor, and that of a WAV: `read_omni.py EXPORT MODEL`."""

from __future__ import annotations

import json
import sys
import warnings
import wave
from pathlib import Path

import numpy as np
from transformers import AutoProcessor, Qwen2_5OmniConfig
from verl.utils import hf_processor


def main(folder: Path, model: str) -> dict[str, object]:
    """Try both."""
    Qwen2_5OmniConfig().save_pretrained(model)
    processor = AutoProcessor.from_pretrained(model)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert hf_processor(model) is None
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    (path,) = row["audios"]
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(-1), "<i2").astype(np.float32) / 32_768
    call = {"text": ["<|AUDIO|>"], "sampling_rate": 16_000, "return_tensors": "pt"}
    try:
        processor(audio=[path], **call)
        refused = ""
    except ValueError as error:
        refused = str(error).partition(":")[0]
    heard = processor(audio=[samples], **call)["input_features"]
    return {
        "processor": type(processor).__name__,
        "verl": str(told[-1].message),
        "path": refused,
        "samples": list(heard.shape[1:]),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
