"""Loads the models, once a process: whatever asks for the same folders gets the same models.

A plain module of its own, so that a worker that runs many flows keeps its models.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoTokenizer
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.utils import logging

from earshot.errors import ConfigError, DeviceError
from earshot.tasks.track_objects.grounded_sam2.detector import GroundingDetector
from earshot.tasks.track_objects.grounded_sam2.sam2_batched import BatchedSam2Video

DETECTORS = ("grounding-dino", "mm-grounding-dino")


@dataclass(frozen=True, eq=False)
class Models:
    """The detector and SAM 2, on one device."""

    detector: GroundingDetector
    segmenter: BatchedSam2Video


def check_device(device: str) -> None:
    """Raise DeviceError where there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            'track.device = "cuda": torch sees no GPU; set track.device = "cpu", which takes about '
            "40 s a frame with models of the usual size, or install a torch built for your GPU"
        )


@lru_cache(maxsize=1)
def load(detector: Path, segmenter: Path, device: str, batch: int) -> Models:
    """Return the models of two folders on a device, in bfloat16 on a GPU and float32 elsewhere.

    Raises:
        DeviceError: no such device, or too little memory on it.
        ConfigError: a folder has another model.
    """
    check_device(device)
    _check_kind(detector, "detector", DETECTORS)
    _check_kind(segmenter, "segmenter", ("sam2_video",))
    logging.disable_progress_bar()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    try:
        finder = AutoModelForZeroShotObjectDetection.from_pretrained(
            detector, dtype=dtype, local_files_only=True
        )
        follower = BatchedSam2Video.from_pretrained(segmenter, dtype=dtype, local_files_only=True)
        finder, follower = finder.to(device).eval(), follower.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"the models of track.detector and track.segmenter don't fit into the memory of the "
            f"{device}; end what else runs there, or choose a smaller track.segmenter such as "
            "facebook/sam2.1-hiera-tiny"
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(detector, local_files_only=True)
    processor = GroundingDinoImageProcessorPil.from_pretrained(detector, local_files_only=True)
    return Models(GroundingDetector(finder, tokenizer, processor, batch), follower)


def _check_kind(folder: Path, field: str, expected: tuple[str, ...]) -> None:
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind not in expected:
        raise ConfigError(
            f"track.{field}: {folder} holds a model of type {kind!r}; expected "
            f"{' or '.join(expected)}"
        )
