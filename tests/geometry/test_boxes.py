"""Box IoU, against counted cells and exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.boxes import IntegerBox, area, box_iou, integer_iou, pairwise_iou

cheap = settings(max_examples=80, deadline=None)
side = st.integers(0, 8)
integer_boxes = st.tuples(side, side, side, side)
coordinate = st.floats(-10, 10)
float_boxes = st.tuples(coordinate, coordinate, coordinate, coordinate)
box_lists = st.lists(float_boxes, max_size=5)


def cells(box: IntegerBox) -> set[tuple[int, int]]:
    """Return the unit cells of an integer box, none for a reversed one."""
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@given(integer_boxes, integer_boxes)
@cheap
def test_iou_counts_cells(a: IntegerBox, b: IntegerBox) -> None:
    """IoU is common cells by all cells, symmetric, and 0 for boxes without area."""
    common, whole = cells(a) & cells(b), cells(a) | cells(b)
    expected = float(Fraction(len(common), len(whole))) if common else 0.0
    assert integer_iou(a, b) == expected == integer_iou(b, a)
    assert float(box_iou(a, b)) == expected == float(box_iou(b, a))
    assert float(area(a)) == len(cells(a))


@given(float_boxes, float_boxes)
@cheap
def test_iou_stays_in_range(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    """IoU lies in [0, 1], and a box with area has exactly 1 with itself."""
    assert 0.0 <= float(box_iou(a, b)) <= 1.0
    assert float(box_iou(a, a)) == (1.0 if area(a) > 0 else 0.0)


@given(float_boxes, float_boxes, st.integers(-4, 4))
@cheap
def test_iou_does_not_depend_on_the_unit(
    a: tuple[float, ...], b: tuple[float, ...], power: int
) -> None:
    """Scaling both boxes by a power of two changes no bit, barring what underflows."""
    scaled = box_iou(np.array(a) * 2.0**power, np.array(b) * 2.0**power)
    assert float(scaled) == pytest.approx(float(box_iou(a, b)), abs=1e-15)


@given(box_lists, box_lists)
@cheap
def test_pairwise_is_every_pair(a: list[tuple[float, ...]], b: list[tuple[float, ...]]) -> None:
    """The matrix holds box_iou of each row with each column, also where one side is empty."""
    left, right = np.array(a).reshape(-1, 4), np.array(b).reshape(-1, 4)
    expected = [[float(box_iou(x, y)) for y in right] for x in left]
    matrix = pairwise_iou(left, right)
    assert matrix.shape == (len(a), len(b))
    assert matrix.tolist() == expected


def test_rows_that_are_not_visible_overlap_nothing() -> None:
    """NaN rows, partly NaN rows and infinite boxes give 0 without a warning."""
    good = np.array([0.0, 0.0, 2.0, 2.0])
    odd = np.array([[np.nan] * 4, [0, 0, np.nan, 2], [-np.inf, -np.inf, np.inf, np.inf]])
    assert box_iou(good, odd).tolist() == [0.0, 0.0, 0.0]
    assert box_iou(odd, odd).tolist() == [0.0, 0.0, 0.0]
    assert area(odd[:2]).tolist() == [0.0, 0.0]


def test_reversed_on_both_axes_is_not_a_box() -> None:
    """Two negative sides make no positive area."""
    flipped = [2.0, 2.0, 0.0, 0.0]
    assert area(flipped) == 0.0
    assert box_iou(flipped, flipped) == 0.0
    assert integer_iou((2, 2, 0, 0), (2, 2, 0, 0)) == 0.0


def test_integers_hit_a_threshold_that_floats_miss() -> None:
    """In units of 1e-6 an IoU of exactly 0.3 is 0.3, with areas beyond 64 bits."""
    unit = 10**12
    assert integer_iou((0, 0, 10 * unit, 10 * unit), (0, 0, 3 * unit, 10 * unit)) == 0.3


def test_leading_axes_broadcast() -> None:
    """Boxes of shape (frames, 1, 4) against (tracks, 4) give (frames, tracks)."""
    assert box_iou(np.zeros((3, 1, 4)), np.zeros((2, 4))).shape == (3, 2)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    """What has not four columns raises with its shape."""
    with pytest.raises(ValueError, match="expected \\(\\.\\.\\., 4\\)"):
        area(np.zeros(shape))


def test_pairwise_wants_two_lists() -> None:
    """A single box is refused by the pairwise form, which points to box_iou."""
    with pytest.raises(ValueError, match="Use box_iou"):
        pairwise_iou(np.zeros(4), np.zeros((1, 4)))
