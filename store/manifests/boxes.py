"""Boxes of an annotation file: each is checked alone, a bad one is a fault of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from earshot.errors import ItemError
from earshot.schemas.manifest import as_written
from earshot.schemas.tube import Box
from earshot.store.manifests.faults import Fault

# More pixels than any picture has a side, let alone a share of one.
ABSURD = 100_000


@dataclass(frozen=True)
class FrameBoxes:
    """The boxes of the sounding object in one frame of a clip.

    Attributes:
        line: the row, counted from 1.
        clip_id: as the file names it.
        label: the class of what sounds.
        boxes: its good boxes, in shares of width and height.
        n_faulty: how many of its boxes were bad; unless it is 0, the frame is not complete.
    """

    line: int
    clip_id: str
    label: str
    boxes: tuple[Box, ...]
    n_faulty: int


@dataclass(frozen=True)
class BoxSet:
    """The frames of a file that have a good box, and what is wrong with the rest."""

    uri: str
    frames: tuple[FrameBoxes, ...]
    faults: tuple[Fault, ...]


def norm_box(value: object) -> Box:
    """Return a half-open xyxy box in shares of width and height.

    Raises:
        ItemError: `bad_box`, `absurd_box`, `box_out_of_range`, `reversed_box`, `zero_area_box`.
    """
    x1, y1, x2, y2 = corners = _corners(value)
    told = as_written(value)
    if any(abs(corner) > ABSURD for corner in corners):
        message = f"{told}: expected shares between 0 and 1; draw the box again"
        raise ItemError("absurd_box", message, told)
    if any(not 0 <= corner <= 1 for corner in corners):
        message = f"{told}: expected shares between 0 and 1; divide by width and height"
        raise ItemError("box_out_of_range", message, told)
    if x1 > x2 or y1 > y2:
        message = f"{told}: expected x1 < x2 and y1 < y2; swap or mend the corners"
        raise ItemError("reversed_box", message, told)
    if x1 == x2 or y1 == y2:
        message = f"{told}: expected x1 < x2 and y1 < y2; mend the box or leave it out"
        raise ItemError("zero_area_box", message, told)
    return Box(x1=x1, y1=y1, x2=x2, y2=y2)


def _corners(value: object) -> tuple[float, float, float, float]:
    if isinstance(value, list) and len(value) == 4 and all(map(_is_finite, value)):
        x1, y1, x2, y2 = value
        return x1, y1, x2, y2
    told = as_written(value)
    message = f"{told}: expected four finite numbers [x1, y1, x2, y2]; mend the box"
    raise ItemError("bad_box", message, told)


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
