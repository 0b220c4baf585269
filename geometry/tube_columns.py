"""Takes many tubes as concatenated columns and gives the vIoU of each pair in a few passes.

Columns x1, y1, x2, y2 are what Arrow keeps as leaf buffers, so a release is scored without making
an object per tube. Never copies a whole column: work goes in blocks that fit into cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import FloatArray
from earshot.geometry.tubes import VISIBLE, Indices

Column: TypeAlias = npt.NDArray[np.floating[Any]]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = slice | Indices

# Rows per block, float32 columns on one core: half of it took 10-30 % longer, twice gained nothing.
BLOCK_ROWS = 32_768


@dataclass(frozen=True, eq=False)
class TubeColumns:
    """k tubes on common time grids: tube i owns the rows offsets[i] .. offsets[i + 1].

    x1, y1, x2, y2: (rows,) one float type, xyxy in any one space.
    offsets: (k + 1,) integers, ascending.
    first: (k,) grid index of each tube's first row; None = all begin at grid index 0. Rows follow
        the grid without gaps, so a tube needs rows for its own stretch only.
    visible: (rows,) booleans; None = visible is where x1 is not NaN.
    """

    x1: Column
    y1: Column
    x2: Column
    y2: Column
    offsets: Integers
    first: Integers | None = None
    visible: Mask | None = None

    def __post_init__(self) -> None:
        rows = self.x1.shape
        lengths = {column.shape for column in self.columns()}
        if self.visible is not None:
            lengths.add(self.visible.shape)
        if len(rows) != 1 or lengths != {rows}:
            raise ValueError(f"columns have {rows} and {lengths}; expected one length (rows,).")
        if not all(np.issubdtype(each.dtype, np.floating) for each in self.columns()):
            raise ValueError(f"x1 is {self.x1.dtype}; expected float columns. Cast all four.")
        offsets = self.offsets
        if offsets.ndim != 1 or offsets.size == 0 or np.any(np.diff(offsets) < 0):
            raise ValueError(f"offsets {offsets} do not ascend; expected (k + 1,) row numbers.")
        if offsets[0] < 0 or offsets[-1] > rows[0]:
            raise ValueError(
                f"offsets run from {offsets[0]} to {offsets[-1]}; expected 0 .. {rows[0]} (rows)."
            )
        if self.first is not None and self.first.shape != (len(self),):
            raise ValueError(f"first has shape {self.first.shape}; expected ({len(self)},).")

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    def columns(self) -> tuple[Column, Column, Column, Column]:
        """Return x1, y1, x2, y2."""
        return self.x1, self.y1, self.x2, self.y2

    @classmethod
    def from_tubes(
        cls, boxes: Sequence[npt.ArrayLike], states: Sequence[npt.ArrayLike]
    ) -> "TubeColumns":
        """Return columns of tubes that are each boxes (n, 4) and states (n,), n may differ."""
        rows = [np.asarray(each, dtype=np.float64).reshape(-1, 4) for each in boxes]
        flat = np.concatenate([np.empty((0, 4)), *rows])
        seen = np.concatenate([np.empty(0, dtype=np.int8), *(np.asarray(each) for each in states)])
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in rows])]).astype(np.intp)
        x1, y1, x2, y2 = np.ascontiguousarray(flat.T)
        return cls(x1, y1, x2, y2, offsets, visible=seen == VISIBLE)


def tube_iou_batch(a: TubeColumns, b: TubeColumns) -> FloatArray:
    """Return the vIoU (k,) of tube i of `a` with tube i of `b`, as `tubes.tube_iou` defines it.

    Grid times outside a tube's rows count as not visible. Box IoU is computed in the columns' own
    type (float32 agrees with float64 to 1e-6 for boxes that are not tiny), sums in float64.

    Raises:
        ValueError: `a` and `b` hold different numbers of tubes.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} tubes against {len(b)}; expected pairs. Select or repeat rows.")
    pairs = _Pairs.of(a, b)
    a_mask, b_mask = _mask(a), _mask(b)
    shared, common = np.zeros(len(a)), pairs.lengths.astype(np.float64)
    for block in _blocks(pairs.lengths):
        lengths = pairs.lengths[block]
        a_rows = _rows(pairs.a_start[block], lengths)
        b_rows = _rows(pairs.b_start[block], lengths)
        iou = _iou(a, a_rows, b, b_rows)
        both = _both(a_mask, a_rows, b_mask, b_rows)
        if both is not None:
            np.copyto(iou, 0, where=~both)
            common[block] = _sums(both, lengths)
        shared[block] = _sums(iou, lengths)
    either = _visible_counts(a, a_mask) + _visible_counts(b, b_mask) - common
    found: FloatArray = np.zeros(len(a))
    np.divide(shared, either, out=found, where=either > 0)
    return found


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The rows where both tubes of a pair have one: their number, and the first of each side."""

    lengths: Indices
    a_start: Indices
    b_start: Indices

    @classmethod
    def of(cls, a: TubeColumns, b: TubeColumns) -> "_Pairs":
        (a_row, a_first, a_end), (b_row, b_first, b_end) = _spans(a), _spans(b)
        start: Indices = np.maximum(a_first, b_first)
        lengths: Indices = np.maximum(np.minimum(a_end, b_end) - start, 0)
        return cls(lengths, a_row + (start - a_first), b_row + (start - b_first))


def _spans(tubes: TubeColumns) -> tuple[Indices, Indices, Indices]:
    """Return each tube's first row, and the grid indices where it begins and ends."""
    offsets = tubes.offsets.astype(np.intp, copy=False)
    if tubes.first is None:
        first = np.zeros(len(tubes), dtype=np.intp)
    else:
        first = tubes.first.astype(np.intp, copy=False)
    return offsets[:-1], first, first + (offsets[1:] - offsets[:-1])


def _blocks(lengths: Indices) -> list[slice]:
    """Return runs of whole pairs of at most BLOCK_ROWS rows; a longer pair is a run of its own."""
    ends = np.cumsum(lengths)
    runs, low, done = [], 0, 0
    while low < lengths.size:
        high = int(np.searchsorted(ends, done + BLOCK_ROWS, side="right"))
        high = max(high, low + 1)
        runs.append(slice(low, high))
        low, done = high, int(ends[high - 1])
    return runs


def _rows(starts: Indices, lengths: Indices) -> Rows:
    """Return the rows of a block's pairs one behind the other: a slice where they are, or indices.

    A slice is a view of the column; indices cost a gather of each of the four.
    """
    held = lengths > 0
    starts, lengths = starts[held], lengths[held]
    if starts.size == 0:
        return slice(0, 0)
    if np.array_equal(starts[:-1] + lengths[:-1], starts[1:]):
        return slice(int(starts[0]), int(starts[-1] + lengths[-1]))
    before = np.cumsum(lengths) - lengths
    rows: Indices = np.repeat(starts - before, lengths)
    rows += np.arange(rows.size)
    return rows


def _pick(column: Column, rows: Rows) -> Column:
    # The rows are in range; mode="clip" spares take a second pass over them.
    return column[rows] if isinstance(rows, slice) else column.take(rows, mode="clip")


def _iou(a: TubeColumns, a_rows: Rows, b: TubeColumns, b_rows: Rows) -> Column:
    """Return the box IoU of the rows of `a` with those of `b`; 0 where either has no area."""
    ax1, ay1, ax2, ay2 = (_pick(column, a_rows) for column in a.columns())
    bx1, by1, bx2, by2 = (_pick(column, b_rows) for column in b.columns())
    # Rows that are not visible may hold anything, NaN and infinity too.
    with np.errstate(invalid="ignore", over="ignore"):
        iou = _overlap(ax1, ax2, bx1, bx2)
        iou *= _overlap(ay1, ay2, by1, by2)
        whole = (ax2 - ax1) * (ay2 - ay1)
        whole += (bx2 - bx1) * (by2 - by1)
        whole -= iou
        np.fmax(whole, np.finfo(whole.dtype).tiny, out=whole)
        iou /= whole
    return np.fmax(iou, 0, out=iou)


def _overlap(a_low: Column, a_high: Column, b_low: Column, b_high: Column) -> Column:
    side = np.minimum(a_high, b_high)
    side -= np.maximum(a_low, b_low)
    return np.maximum(side, 0, out=side)


def _mask(tubes: TubeColumns) -> Mask | None:
    """Return where the tubes are visible, or None if they are in every row."""
    mask = ~np.isnan(tubes.x1) if tubes.visible is None else tubes.visible
    return None if bool(mask.all()) else mask


def _both(a: Mask | None, a_rows: Rows, b: Mask | None, b_rows: Rows) -> Mask | None:
    if a is None:
        return None if b is None else b[b_rows]
    return a[a_rows] if b is None else a[a_rows] & b[b_rows]


def _visible_counts(tubes: TubeColumns, mask: Mask | None) -> FloatArray:
    _, begin, end = _spans(tubes)
    lengths = end - begin
    if mask is None:
        return lengths.astype(np.float64)
    return _sums(mask[tubes.offsets[0] : tubes.offsets[-1]], lengths)


def _sums(values: Column | Mask, lengths: Indices) -> FloatArray:
    """Return the sum of each run of `lengths` values, 0 for an empty run."""
    found = np.zeros(lengths.size)
    # reduceat gives an empty run its neighbour's value, so it only sees the others.
    held = lengths > 0
    if held.any():
        starts = (np.cumsum(lengths) - lengths)[held]
        found[held] = np.add.reduceat(values, starts, dtype=np.float64)
    return found
