"""What a segmenter of video is to the propagator: SAM 2 of transformers, or the package sam2.

Features of a frame and what each object remembers go in, low-resolution mask logits and the new
memories come out. A successor (EdgeTAM) has to offer these three calls and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

# Prompted frames that an object remembers: its first and its latest.
MAX_PROMPTS = 2


@dataclass(frozen=True, eq=False)
class Features:
    """What the image encoder gives for one frame: levels (HW, 1, C), finest first."""

    levels: tuple[Tensor, ...]
    position: Tensor


@dataclass(frozen=True, eq=False)
class Remembered:
    """One object on one frame.

    Attributes:
        frame: index in the window.
        features: memory features, as the segmenter shapes them.
        pointer: (C,) object pointer.
    """

    frame: int
    features: Tensor
    pointer: Tensor


@dataclass(eq=False)
class Memory:
    """What one object remembers in one direction; never more than a fixed number of frames."""

    prompts: list[Remembered]
    recent: deque[Remembered] = field(default_factory=deque)


@dataclass(frozen=True, eq=False)
class Segmented:
    """Objects on one frame.

    Attributes:
        logits: (n, h, w) low-resolution mask logits; far below 0 all over where there is none.
        presence: (n,) logits of whether the object is in the frame.
        remembered: of each object.
    """

    logits: Tensor
    presence: Tensor
    remembered: tuple[Remembered, ...]


class Segmenter(Protocol):
    """SAM 2 video, in evaluation mode."""

    @property
    def image_size(self) -> int:
        """Side of the square that frames are brought to, in pixels."""
        ...

    @property
    def max_pointers(self) -> int:
        """Object pointers that an object remembers."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels that it takes."""
        ...

    def encode(self, pixels: Tensor) -> list[Features]:
        """Return the features of normalised frames (b, 3, S, S)."""
        ...

    def prompt(self, features: Features, boxes: Tensor, frame: int) -> Segmented:
        """Segment what is in boxes (n, 4), xyxy in parts of the frame."""
        ...

    def step(
        self, features: Features, memories: Sequence[Memory], frame: int, backward: bool = False
    ) -> Segmented:
        """Segment the objects that the memories are of."""
        ...
