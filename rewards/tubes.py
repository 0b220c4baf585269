"""Compares predicted blocks with truth tubes over the question grid (CONTRACTS 7, spatial).

Takes a truth and parsed blocks, gives s(g, p) and the box IoUs behind it for pairs that share
anything. Never decides which names match, never clips a box.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import box_iou, integer_iou
from earshot.rewards.grammar import Block, BoxMicro
from earshot.rewards.matching import Edge, best_assignment
from earshot.rewards.truth import Truth, Tube

_EXACT_BITS = 200
"""An s above 0 is at least 2**-101, so all of its 53 bits lie above 2**-200."""
_EXACT_EDGE = 2**25
"""Below it a side is below 2**26, an area below 2**52 and a union below 2**53: floats are exact."""
_UNITS = (1, 1_000)
"""In 1e-6: the first holds `norm` boxes below `_EXACT_EDGE`, the second pixels."""
_MANY = 150
"""Boxes of a name times its tubes; below it NumPy's calls cost more than they save."""

Floats = npt.NDArray[np.float64]
Overlap = tuple[list[float], int]
"""The box IoUs where both tubes are, and the size of the union of both tubes' times."""


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
    tubes_of: dict[int, list[int]] = {}
    for tube, block in may_pair:
        tubes_of.setdefault(block, []).append(tube)
    blocks_of: dict[tuple[int, ...], list[int]] = {}
    for block, tubes in tubes_of.items():
        blocks_of.setdefault(tuple(tubes), []).append(block)
    pairs: list[Pair] = []
    for alike, members in blocks_of.items():
        placed = [place_lines(truth, blocks[block]) for block in members]
        rows = _overlaps(truth, alike, [boxes for boxes, _ in placed])
        for block, (_, n_extra), row in zip(members, placed, rows, strict=True):
            for tube, (ious, n_times) in zip(alike, row, strict=True):
                s = math.fsum(ious) / (n_times + n_extra)
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


def _overlaps(
    truth: Truth, tubes: Sequence[int], placed: Sequence[Mapping[int, BoxMicro]]
) -> Iterable[Sequence[Overlap]]:
    """Return for each block how its boxes overlap each of some tubes."""
    if len(tubes) > 1 and len(tubes) * sum(map(len, placed)) >= _MANY and (table := _table(truth)):
        edges = [box for boxes in placed for box in boxes.values()]
        said = _scaled(np.array(edges, dtype=np.int64).reshape(-1, 4), table.unit)
        if said is not None:
            return _overlaps_at_once(table, tubes, placed, said)
    return [[_overlap(truth.tubes[tube], boxes) for tube in tubes] for boxes in placed]


def _overlap(tube: Tube, boxes: Mapping[int, BoxMicro]) -> Overlap:
    ious: list[float] = []
    n_times = tube.n_visible
    known = tube.boxes_xyxy_micro
    for time, box in boxes.items():
        if time in known:
            own = known[time]
            if own is None:
                n_times += 1
            else:
                ious.append(integer_iou(own, box))
    return ious, n_times


@dataclass(frozen=True, slots=True)
class _Table:
    """All tubes of a truth over its grid: boxes (tubes, times, 4) in a unit, and what is known."""

    column: Mapping[int, int]
    unit: int
    boxes: Floats
    is_visible: npt.NDArray[np.bool_]
    is_absent: npt.NDArray[np.bool_]


@lru_cache(maxsize=16)
def _table(truth: Truth) -> _Table | None:
    """Return a truth's table, None where floats can't hold it exactly.

    Cached: the completions of one rollout group share their truth.
    """
    column = {time: position for position, time in enumerate(truth.grid_micro)}
    boxes = np.zeros((len(truth.tubes), len(column), 4), dtype=np.int64)
    is_visible, is_absent = np.zeros((2, *boxes.shape[:2]), dtype=np.bool_)
    for row, tube in enumerate(truth.tubes):
        for time, box in tube.boxes_xyxy_micro.items():
            (is_absent if box is None else is_visible)[row, column[time]] = True
            boxes[row, column[time]] = box or 0
    for unit in _UNITS:
        scaled = _scaled(boxes, unit)
        if scaled is not None:
            return _Table(column, unit, scaled, is_visible, is_absent)
    return None


def _scaled(boxes: npt.NDArray[np.int64], unit: int) -> Floats | None:
    """Return boxes in a unit as floats, None where their IoUs would not be those of integers."""
    if np.abs(boxes).max(initial=0) >= _EXACT_EDGE * unit or (unit > 1 and (boxes % unit).any()):
        return None
    return boxes / unit


def _overlaps_at_once(
    table: _Table,
    tubes: Sequence[int],
    placed: Sequence[Mapping[int, BoxMicro]],
    said: Floats,
) -> Iterator[Sequence[Overlap]]:
    """Give the same numbers as `_overlap`; `said` are the boxes of all blocks, one by one."""
    place = np.ix_(tubes, [table.column[time] for boxes in placed for time in boxes])
    is_visible, is_absent = table.is_visible[place], table.is_absent[place]
    ious, n_visible = box_iou(table.boxes[place], said), table.is_visible[list(tubes)].sum(axis=1)
    end = 0
    for boxes in placed:
        part = np.s_[:, end : end + len(boxes)]
        end += len(boxes)
        n_times = (n_visible + is_absent[part].sum(axis=1)).tolist()
        rows = zip(ious[part], is_visible[part], strict=True)
        yield [(row[seen].tolist(), n) for (row, seen), n in zip(rows, n_times, strict=True)]


def _nearest(truth: Truth, time: int) -> int | None:
    """Return the grid time at most half a step from a time; of two equally near the earlier."""
    grid = truth.grid_micro
    right = bisect_left(grid, time)
    near = min(grid[max(right - 1, 0) : right + 1], key=lambda each: abs(each - time), default=None)
    return near if near is not None and 2 * abs(near - time) <= truth.step_micro else None
