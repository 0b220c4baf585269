"""Batched tube IoU, against the one-pair function on every pair."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry import tube_columns
from earshot.geometry.tube_columns import TubeColumns, tube_iou_batch
from earshot.geometry.tubes import ABSENT, UNKNOWN, VISIBLE, tube_iou

cheap = settings(max_examples=100, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def random_tubes(rng: np.random.Generator, lengths: list[int]) -> TubeColumns:
    """Return tubes of the given lengths, partly not visible, with rubbish in those rows."""
    boxes = [rng.uniform([0, 0, 1, 1], [1, 1, 2, 2], (n, 4)) for n in lengths]
    states = [rng.choice([UNKNOWN, ABSENT, VISIBLE, VISIBLE], n) for n in lengths]
    for box, state in zip(boxes, states, strict=True):
        # Absent rows keep a box that would overlap; unknown ones hold what cannot be computed with.
        box[state == UNKNOWN] = rng.choice([np.nan, np.inf])
    return TubeColumns.from_tubes(boxes, states)


def one_tube(tubes: TubeColumns, i: int, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tube i as boxes and states on a grid of `grid` times."""
    boxes, states = np.full((grid, 4), np.nan), np.full(grid, ABSENT)
    rows = slice(int(tubes.offsets[i]), int(tubes.offsets[i + 1]))
    start = 0 if tubes.first is None else int(tubes.first[i])
    there = slice(start, start + rows.stop - rows.start)
    boxes[there] = np.stack(tubes.columns(), axis=1)[rows]
    visible = ~np.isnan(tubes.x1) if tubes.visible is None else tubes.visible
    states[there] = np.where(visible[rows], VISIBLE, ABSENT)
    return boxes, states


def pair_by_pair(a: TubeColumns, b: TubeColumns, grid: int) -> list[float]:
    """Return tube_iou of each pair."""
    return [tube_iou(*one_tube(a, i, grid), *one_tube(b, i, grid)) for i in range(len(a))]


@given(seeds, st.lists(st.integers(0, 6), max_size=12), st.integers(1, 20))
@cheap
def test_one_grid(seed: int, lengths: list[int], block: int) -> None:
    """On common grids the batch equals the one-pair function, empty tubes and any block size."""
    rng = np.random.default_rng(seed)
    a, b = random_tubes(rng, lengths), random_tubes(rng, lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tube_columns, "BLOCK_ROWS", block)
        found = tube_iou_batch(a, b)
    np.testing.assert_allclose(found, pair_by_pair(a, b, 6), rtol=0, atol=1e-12)


@given(seeds, st.integers(0, 10), st.integers(1, 20))
@cheap
def test_windows_anywhere(seed: int, k: int, block: int) -> None:
    """Tubes whose rows begin anywhere are compared at their common grid times only."""
    rng = np.random.default_rng(seed)
    sides = [
        dataclasses.replace(
            random_tubes(rng, rng.integers(0, 7, k).tolist()), first=rng.integers(0, 9, k)
        )
        for _ in range(2)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tube_columns, "BLOCK_ROWS", block)
        found = tube_iou_batch(sides[0], sides[1])
    np.testing.assert_allclose(found, pair_by_pair(*sides, 16), rtol=0, atol=1e-12)


@given(seeds)
@cheap
def test_float32_columns_with_nan_rows(seed: int) -> None:
    """Columns as Arrow keeps them, float32 and int32 offsets, agree to 1e-6; NaN is not visible."""
    rng = np.random.default_rng(seed)
    offsets = np.array([0, 5, 5, 12], dtype=np.int32)
    sides = []
    for _ in range(2):
        x1, y1 = rng.uniform(0, 1, (2, 12)).astype(np.float32)
        x1[rng.random(12) < 0.3] = np.nan
        size = np.float32(0.5)
        sides.append(TubeColumns(x1, y1, x1 + size, y1 + size, offsets))
    found = tube_iou_batch(*sides)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, pair_by_pair(*sides, 12), rtol=0, atol=1e-6)


def test_a_slice_of_a_larger_buffer() -> None:
    """Offsets need not begin at 0 nor reach the end: a slice of shared columns is scored alone."""
    rng = np.random.default_rng(1)
    whole = random_tubes(rng, [3, 4, 2, 5])
    part = dataclasses.replace(whole, offsets=whole.offsets[1:4])
    np.testing.assert_array_equal(tube_iou_batch(part, part), tube_iou_batch(whole, whole)[1:3])


def test_boxes_without_area_count_as_visible() -> None:
    """A visible box without area overlaps nothing, not even itself, but its time counts."""
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    tubes = TubeColumns.from_tubes([boxes], [np.full(3, VISIBLE)])
    assert tube_iou_batch(tubes, tubes).tolist() == pytest.approx([1 / 3])


def test_columns_that_do_not_fit_are_refused() -> None:
    """Unequal lengths, integer columns, odd offsets and unequal numbers of tubes raise."""
    x, offsets = np.zeros(3), np.array([0, 3])
    with pytest.raises(ValueError, match="expected one length"):
        TubeColumns(x, x, x, np.zeros(2), offsets)
    with pytest.raises(ValueError, match="expected float columns"):
        TubeColumns(x, x, x, x.astype(int), offsets)
    with pytest.raises(ValueError, match="do not ascend"):
        TubeColumns(x, x, x, x, np.array([0, 3, 2]))
    with pytest.raises(ValueError, match="offsets run from 0 to 4"):
        TubeColumns(x, x, x, x, np.array([0, 4]))
    with pytest.raises(ValueError, match="first has shape"):
        TubeColumns(x, x, x, x, offsets, first=np.array([0, 1]))
    with pytest.raises(ValueError, match="1 tubes against 2"):
        tube_iou_batch(
            TubeColumns(x, x, x, x, offsets), TubeColumns(x, x, x, x, np.array([0, 1, 3]))
        )
