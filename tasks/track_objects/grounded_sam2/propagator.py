"""Moves boxes from frame to frame with SAM 2; boxes are measured on the device.

Takes the frames of the piece at hand, gives boxes in parts of the frame; masks leave the device
only if they are asked for. Holds features of the piece alone and a fixed number of memories a
track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from earshot.media.display import Frame
from earshot.tasks.track_objects.grounded_sam2.batches import Batches
from earshot.tasks.track_objects.grounded_sam2.segmenter import (
    MAX_PROMPTS,
    Features,
    Memory,
    Remembered,
    Segmented,
    Segmenter,
)

Floats = npt.NDArray[np.float64]
Rle = dict[str, Any]
"""COCO's `{"size": [height, width], "counts": bytes}`."""

# What SAM 2 was trained with, and its processors have: ImageNet's.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Sam2Propagator:
    """The propagator of one window.

    Args:
        model: SAM 2, in evaluation mode.
        frames: uint8 HxWx3 by index in the window; the caller holds and releases them.
        batches: what the model takes at once.
        masks: told of each mask, by frame and track, as COCO's run lengths; None: not asked for.
    """

    def __init__(
        self,
        model: Segmenter,
        frames: Mapping[int, Frame],
        batches: Batches | None = None,
        masks: dict[tuple[int, int], Rle] | None = None,
    ) -> None:
        self._model = model
        self._frames = frames
        self._batches = batches or Batches()
        self._masks = masks
        self._features: dict[int, Features] = {}
        self._forward: dict[int, Memory] = {}
        self._backward: dict[int, Memory] = {}

    def prompt(self, frame: int, tracks: Sequence[int], boxes: Floats) -> tuple[Floats, Floats]:
        """Begin tracks at a frame, in both directions; the first prompt stays remembered too."""
        self._backward = {}
        return _table(
            self._batches.objects.map(
                lambda part: self._begin(frame, part), list(zip(tracks, boxes, strict=True))
            )
        )

    def step(self, frame: int, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        """Move tracks on to a frame, all in one call."""
        return _table(
            self._batches.objects.map(lambda part: self._move(frame, part, backward), tracks)
        )

    def drop(self, tracks: Sequence[int]) -> None:
        """Forget tracks."""
        for track in tracks:
            self._forward.pop(track, None)
            self._backward.pop(track, None)

    def release(self, before: int) -> None:
        """Forget the features of frames before this one."""
        self._features = {at: kept for at, kept in self._features.items() if at >= before}

    def held_bytes(self) -> int:
        """Return the bytes of all tensors that are held beside the model."""
        tensors = [t for each in self._features.values() for t in (*each.levels, each.position)]
        for memory in (*self._forward.values(), *self._backward.values()):
            for now in (*memory.prompts, *memory.recent):
                tensors += [now.features, now.pointer]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    def _begin(self, frame: int, asked: Sequence[tuple[int, Floats]]) -> Floats:
        boxes = torch.from_numpy(np.stack([box for _, box in asked]))
        boxes = boxes.to(self._model.device, torch.float32)
        seen = self._model.prompt(self._of(frame), boxes, frame)
        for (track, _), now in zip(asked, seen.remembered, strict=True):
            known = self._forward.get(track)
            before = [] if known is None else known.prompts[: MAX_PROMPTS - 1]
            self._forward[track] = Memory([*before, now], self._empty())
            self._backward[track] = Memory([now], self._empty())
        return self._measured(seen, frame, [track for track, _ in asked])

    def _move(self, frame: int, tracks: Sequence[int], backward: bool) -> Floats:
        known = self._backward if backward else self._forward
        memories = [known[track] for track in tracks]
        seen = self._model.step(self._of(frame), memories, frame, backward)
        for memory, now in zip(memories, seen.remembered, strict=True):
            memory.recent.append(now)
        return self._measured(seen, frame, tracks)

    def _measured(self, seen: Segmented, frame: int, tracks: Sequence[int]) -> Floats:
        table = _measured(seen)
        if self._masks is not None:
            there: list[int] = np.flatnonzero(~np.isnan(table[:, 0])).tolist()
            found = run_lengths(seen.logits[there])
            self._masks.update(
                ((frame, tracks[at]), rle) for at, rle in zip(there, found, strict=True)
            )
        return table

    def _empty(self) -> deque[Remembered]:
        return deque(maxlen=self._model.max_pointers - 1)

    def _of(self, frame: int) -> Features:
        """Return a frame's features; those that are asked next are made on the way."""
        if frame not in self._features:
            size = self._batches.encoded.size
            first = frame - size + 1 if frame + 1 in self._features else frame
            near = [at for at in range(first, first + size) if at in self._frames]
            near = [at for at in near if at not in self._features]
            encoded = self._batches.encoded.map(self._encode, near)
            self._features.update(zip(near, encoded, strict=True))
        return self._features[frame]

    def _encode(self, frames: Sequence[int]) -> list[Features]:
        pictures = [self._frames[at] for at in frames]
        return self._model.encode(as_pixels(pictures, self._model.image_size, self._model))


def as_pixels(frames: Sequence[Frame], size: int, model: Segmenter) -> Tensor:
    """Return frames of one shape as normalised (b, 3, size, size) on the model's device."""
    stacked = torch.from_numpy(np.stack(frames)).to(model.device)
    pixels = stacked.permute(0, 3, 1, 2).float() / 255
    pixels = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    std = torch.tensor(STD, device=pixels.device)[:, None, None]
    return ((pixels - mean) / std).to(model.dtype)


def _table(rows: Sequence[Floats]) -> tuple[Floats, Floats]:
    table = np.reshape(rows, (-1, 5))
    return table[:, :4], table[:, 4]


def _measured(seen: Segmented) -> Floats:
    """Return (n, 5): boxes in parts of the frame and scores, NaN where not seen."""
    boxes = boxes_of(seen.logits.float())
    boxes = torch.where(seen.presence[:, None] > 0, boxes, torch.nan)
    scores = torch.where(boxes[:, 0].isnan(), torch.nan, seen.presence.float().sigmoid())
    # One copy off the device a frame: each waits for all that was queued.
    table = torch.cat([boxes, scores[:, None]], dim=1)
    return np.asarray(table.cpu().numpy(), dtype=np.float64)


def run_lengths(logits: Tensor) -> list[Rle]:
    """Return masks (n, h, w) as COCO's compressed run lengths."""
    # Only who asks for masks needs it; it comes with the extras `vision` and `original`.
    from pycocotools import mask

    cells = (logits > 0).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    found: list[Rle] = mask.encode(np.asfortranarray(cells))
    return found


def boxes_of(logits: Tensor) -> Tensor:
    """Return the extents (n, 4) of masks (n, h, w), xyxy in parts of the frame; NaN where empty.

    An edge lies where the logits cross 0 between two cells, so it is finer than a cell.
    """
    columns, rows = logits.amax(dim=1), logits.amax(dim=2)
    left, right = _extent(columns)
    top, bottom = _extent(rows)
    boxes = torch.stack([left, top, right, bottom], dim=1)
    return torch.where((columns > 0).any(dim=1)[:, None], boxes, torch.nan)


def _extent(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return begin and end in parts of the axis, of where values (n, cells) are above 0."""
    cells = values.shape[1]
    first = _first(values)
    last = _first(values.flip(1))
    return first / cells, 1 - last / cells


def _first(values: Tensor) -> Tensor:
    """Return where (n,), in cells from the begin, values (n, cells) first rise above 0."""
    at = (values > 0).int().argmax(dim=1)
    here = values.gather(1, at[:, None])[:, 0]
    before = values.gather(1, (at - 1).clamp(min=0)[:, None])[:, 0]
    crossing = at + 0.5 - here / (here - before).clamp(min=1e-6)
    return torch.where(at == 0, torch.zeros_like(here), crossing)
