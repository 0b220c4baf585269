"""Compares predicted blocks with truth tubes over the question grid (CONTRACTS 7, spatial).

Takes a truth and parsed blocks, gives s(g, p) and the box IoUs behind it for pairs that share
anything. Never decides which names match, never clips a box.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from earshot.geometry.boxes import integer_iou
from earshot.rewards.grammar import Block, BoxMicro
from earshot.rewards.matching import Edge, best_assignment
from earshot.rewards.truth import Truth, Tube

_EXACT_BITS = 200
"""An s above 0 is at least 2**-101, so all of its 53 bits lie above 2**-200."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A truth tube and a predicted block by their positions, and how well they agree.

    Attributes:
        s: sum of the box IoUs over the union of both tubes' times, in (0, 1].
        ious: the box IoU at every grid time where the tube is visible and the block has a box.
    """

    tube: int
    block: int
    s: float
    ious: tuple[float, ...]


def compare_tubes(
    truth: Truth, blocks: Sequence[Block], may_pair: Iterable[Edge]
) -> tuple[Pair, ...]:
    """Return the pairs of (tube, block) positions that may be paired and have s above 0."""
    placed: dict[int, tuple[dict[int, BoxMicro], int]] = {}
    pairs: list[Pair] = []
    for tube, block in may_pair:
        if block not in placed:
            placed[block] = place_lines(truth, blocks[block])
        ious, n_times = _overlap(truth.tubes[tube], *placed[block])
        s = math.fsum(ious) / n_times
        if s > 0:
            pairs.append(Pair(tube, block, s, tuple(ious)))
    return tuple(pairs)


def place_lines(truth: Truth, block: Block) -> tuple[dict[int, BoxMicro], int]:
    """Return a block's boxes by grid time (1e-6 s), and how many of its lines are near none.

    A line belongs to the nearest grid time at most half a step away, a tie to the earlier; of
    several on one grid time the first in the text counts.
    """
    boxes: dict[int, BoxMicro] = {}
    n_extra = 0
    on_grid = truth.on_grid
    for line in block.lines:
        time: int | None = line.time_micro
        if time not in on_grid:
            time = _nearest(truth, line.time_micro)
        if time is None:
            n_extra += 1
        elif time not in boxes and line.box_xyxy_micro is not None:
            boxes[time] = line.box_xyxy_micro
    return boxes, n_extra


def heaviest(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the one-to-one pairs with the largest sum of s, in the truth's order.

    The sum is compared exactly, so it does not depend on the order of the blocks.
    """
    by_edge = {(pair.tube, pair.block): pair for pair in pairs}
    if len(by_edge) == 1:
        return tuple(by_edge.values())
    weights = {edge: int(math.ldexp(pair.s, _EXACT_BITS)) for edge, pair in by_edge.items()}
    return tuple(by_edge[edge] for edge in best_assignment(weights))


def _overlap(tube: Tube, boxes: Mapping[int, BoxMicro], n_extra: int) -> tuple[list[float], int]:
    """Return the IoUs where both are, and the size of the union of both tubes' times."""
    ious: list[float] = []
    n_times = tube.n_visible + n_extra
    known = tube.boxes_xyxy_micro
    for time, box in boxes.items():
        if time in known:
            own = known[time]
            if own is None:
                n_times += 1
            else:
                ious.append(integer_iou(own, box))
    return ious, n_times


def _nearest(truth: Truth, time: int) -> int | None:
    """Return the grid time at most half a step from a time; of two equally near the earlier."""
    grid = truth.grid_micro
    right = bisect_left(grid, time)
    near = min(grid[max(right - 1, 0) : right + 1], key=lambda each: abs(each - time), default=None)
    return near if near is not None and 2 * abs(near - time) <= truth.step_micro else None
