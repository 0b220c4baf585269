"""Loads the models of transformers, once a process: whoever asks for the same gets the same.

A plain module of its own, so that a worker that runs many flows keeps its models.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoTokenizer
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.utils import logging

from earshot.errors import ConfigError
from earshot.tasks.track_objects.grounded_sam2.batches import Batches
from earshot.tasks.track_objects.grounded_sam2.detector import TransformersDetector, View
from earshot.tasks.track_objects.grounded_sam2.models import Models, Place, fitting
from earshot.tasks.track_objects.grounded_sam2.sam2_batched import BatchedSam2Video

DETECTORS = ("grounding-dino", "mm-grounding-dino")


@lru_cache(maxsize=1)
def load(detector: Path, segmenter: Path, place: Place) -> Models:
    """Return the models of two folders.

    Raises:
        DeviceError: too little memory on the device.
        ConfigError: a folder has another model.
    """
    _check_kind(detector, "detector", DETECTORS)
    _check_kind(segmenter, "segmenter", ("sam2_video",))
    logging.disable_progress_bar()
    with fitting(place.device):
        finder = AutoModelForZeroShotObjectDetection.from_pretrained(
            detector, dtype=place.dtype, local_files_only=True
        )
        follower = BatchedSam2Video.from_pretrained(
            segmenter, dtype=place.dtype, local_files_only=True
        )
        finder, follower = finder.to(place.device).eval(), follower.to(place.device).eval()
    if place.is_compiled:
        follower.compile_for_device()
    tokenizer = AutoTokenizer.from_pretrained(detector, local_files_only=True)
    looks = GroundingDinoImageProcessorPil.from_pretrained(detector, local_files_only=True)
    sides = int(looks.size["shortest_edge"]), int(looks.size["longest_edge"])
    view = View(*sides, tuple(looks.image_mean), tuple(looks.image_std))
    batches = Batches()
    detect = TransformersDetector(finder, tokenizer, view, batches.detected)
    return Models(detect, follower, batches)


def _check_kind(folder: Path, field: str, expected: tuple[str, ...]) -> None:
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind not in expected:
        raise ConfigError(
            f"track.{field}: {folder} holds a model of type {kind!r}; expected "
            f"{' or '.join(expected)}"
        )
