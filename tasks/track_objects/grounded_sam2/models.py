"""The two models of a tracker and the device that they are on: what all loaders share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from earshot.errors import DeviceError
from earshot.schemas.config import TrackConfig
from earshot.tasks.track_objects.grounded_sam2.batches import Batches
from earshot.tasks.track_objects.grounded_sam2.detector import GroundingDetector
from earshot.tasks.track_objects.grounded_sam2.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class Models:
    """The detector and SAM 2, on one device, and what they take at once."""

    detector: GroundingDetector
    segmenter: Segmenter
    batches: Batches = field(default_factory=Batches)


@dataclass(frozen=True)
class Place:
    """Where models run, and how: `TrackConfig.device`, `precision` and `compile`."""

    device: str
    is_half: bool
    is_compiled: bool

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and features."""
        return torch.bfloat16 if self.is_half else torch.float32


def place_of(config: TrackConfig) -> Place:
    """Return where the models of a configuration run.

    Raises:
        DeviceError: there is no such device.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            'track.device = "cuda": torch sees no GPU; set track.device = "cpu", which takes about '
            "40 s a frame with models of the usual size, or install a torch built for your GPU"
        )
    is_half = config.precision == "bfloat16"
    if config.precision == "auto":
        is_half = config.device == "cuda" and torch.cuda.is_bf16_supported()
    return Place(config.device, is_half, config.compile)


@contextmanager
def fitting(device: str) -> Iterator[None]:
    """Turn too little memory for the models themselves into an error with its remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"the models of track.detector and track.segmenter don't fit into the memory of the "
            f"{device}; end what else runs there, or choose a smaller track.segmenter such as "
            "facebook/sam2.1-hiera-tiny"
        ) from error
