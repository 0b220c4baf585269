"""How much a model takes at once: halved where the device's memory is too small, and remembered.

Takes a function of several items and the items, gives its results in order. One object lives as
long as the models, so what did not fit once is not tried again for the next video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from earshot.errors import DeviceError

REMEDY = (
    "too little memory on the device: end what else runs there, lower track.piece_frames, or "
    "choose a smaller track.segmenter"
)

T = TypeVar("T")
R = TypeVar("R")


class Batch:
    """A number of items a call.

    Args:
        size: the most to begin with.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def map(self, function: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]) -> list[R]:
        """Return what the function gives for all items, called with at most `size` of them.

        Raises:
            DeviceError: one item alone is too much.
        """
        found: list[R] = []
        while len(found) < len(items):
            part = items[len(found) : len(found) + self.size]
            try:
                found.extend(function(part))
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    raise DeviceError(REMEDY) from error
                self.size = len(part) // 2
                torch.cuda.empty_cache()
        return found


@dataclass(frozen=True, eq=False)
class Batches:
    """What each model takes at once: frames to detect on, frames to encode, objects to move on."""

    detected: Batch = field(default_factory=lambda: Batch(8))
    encoded: Batch = field(default_factory=lambda: Batch(8))
    objects: Batch = field(default_factory=lambda: Batch(64))
