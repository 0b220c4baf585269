"""Tubes on a question's grid, joined to instances: one thing followed in two windows is one thing.

Takes the tubes of one object and gives its instances with boxes and states at the grid times; never
decides what is asked about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import FloatArray, box_iou
from earshot.geometry.spaces import BoxSpace, convert
from earshot.geometry.tubes import ABSENT, UNKNOWN, VISIBLE, States, at
from earshot.prompts.packs import Which
from earshot.schemas.base import Interval
from earshot.schemas.tube import Tube

SAME_IOU = 0.5
"""Two tubes of one object from different windows are one instance from this mean IoU on."""

APART = 0.02
"""Two instances are left and right if their centres are further apart than this share of their
widths together."""

_HALF_TENTH_S = 0.05 + 1e-6


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance of an object on a grid of n times.

    Attributes:
        object_id: what it is.
        tube_ids: the tubes that follow it here, sorted.
        windows: their windows.
        boxes_xyxy: (n, 4), NaN where it is not visible, in the question's box space.
        states: (n,) UNKNOWN, ABSENT or VISIBLE.
        is_covered: (n,) whether the time lies in one of the windows.
    """

    object_id: str
    tube_ids: tuple[str, ...]
    windows: frozenset[Interval]
    boxes_xyxy: FloatArray
    states: States
    is_covered: npt.NDArray[np.bool_]

    @property
    def is_seen(self) -> bool:
        """Whether it is visible at any time of the grid."""
        return bool(np.any(self.states == VISIBLE))

    def place(self) -> tuple[int, float]:
        """Return the index of the first visible time and the left edge there: the sort order."""
        first = int(np.argmax(self.states == VISIBLE))
        return first, float(self.boxes_xyxy[first, 0])


def on_grid(tube: Tube, times_s: Sequence[float], source: BoxSpace, target: BoxSpace) -> Instance:
    """Return a tube at the grid times, in the target box space, as an instance of its own."""
    boxes, states = at(*tube.arrays(), times_s)
    times, (start_s, end_s) = np.asarray(times_s), tube.window.pair
    return Instance(
        object_id=tube.object_id,
        tube_ids=(tube.tube_id,),
        windows=frozenset({tube.window}),
        boxes_xyxy=convert(boxes, source, target),
        states=states,
        # The grid's first time is a start rounded to 0.1 s, so it may lie just before the window.
        is_covered=(times > start_s - _HALF_TENTH_S) & (times < end_s),
    )


def join(seen: Sequence[Instance]) -> tuple[Instance, ...] | None:
    """Return the instances that tubes of one object show, or None where they can't be told apart.

    Tubes of one window are different instances. Tubes of different windows are the same one if
    their boxes agree where both are visible, another one if they don't; if they are never visible
    together, nobody knows.
    """
    joined: list[Instance] = []
    for tube in sorted(seen, key=lambda each: (-int(each.is_covered.sum()), each.tube_ids)):
        others = [each for each in joined if not each.windows & tube.windows]
        overlaps = [_mean_iou(each, tube) for each in others]
        same = [each for each, iou in zip(others, overlaps, strict=True) if (iou or 0) >= SAME_IOU]
        if len(same) > 1 or (not same and None in overlaps):
            return None
        if same:
            joined = [_merged(each, tube) if each is same[0] else each for each in joined]
        else:
            joined.append(tube)
    return tuple(joined)


def of_two(instances: Sequence[Instance], which: Which) -> Instance | None:
    """Return the left or the right one of two instances, or None where the words don't tell which.

    They do if both are visible at the same times of the grid, and at all of them one and the same
    is on the left.
    """
    if len(instances) != 2:
        return None
    one, other = instances
    visible = one.states == VISIBLE
    if not np.array_equal(visible, other.states == VISIBLE):
        return None
    here, there = one.boxes_xyxy[visible], other.boxes_xyxy[visible]
    ahead = (there[:, 0] + there[:, 2] - here[:, 0] - here[:, 2]) / 2
    least = APART * (there[:, 2] - there[:, 0] + here[:, 2] - here[:, 0])
    if (ahead > least).all():
        return one if which == "left" else other
    if (-ahead > least).all():
        return other if which == "left" else one
    return None


def _mean_iou(a: Instance, b: Instance) -> float | None:
    """Return the mean IoU where both are visible; None where they never are."""
    both = (a.states == VISIBLE) & (b.states == VISIBLE)
    if not both.any():
        return None
    return float(box_iou(a.boxes_xyxy[both], b.boxes_xyxy[both]).mean())


def _merged(a: Instance, b: Instance) -> Instance:
    """Return one instance: `a` where it is visible, else `b`, else what either knows."""
    takes_b = (a.states != VISIBLE) & (b.states == VISIBLE)
    absent = (a.states == ABSENT) | ((a.states == UNKNOWN) & (b.states == ABSENT))
    states = np.where(takes_b, VISIBLE, np.where(absent, ABSENT, a.states)).astype(np.int8)
    return Instance(
        object_id=a.object_id,
        tube_ids=tuple(sorted((*a.tube_ids, *b.tube_ids))),
        windows=a.windows | b.windows,
        boxes_xyxy=np.where(takes_b[:, None], b.boxes_xyxy, a.boxes_xyxy),
        states=states,
        is_covered=a.is_covered | b.is_covered,
    )
