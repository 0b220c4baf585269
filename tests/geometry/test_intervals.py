"""Interval sets, against the plain sets of half-open unit cells that they stand for."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.intervals import (
    IntervalSet,
    Normalised,
    clip,
    contains,
    intersect,
    interval_iou,
    length_s,
    normalise,
    subtract,
    union,
)

ends = st.integers(-12, 12)
interval_sets = st.lists(st.tuples(ends, ends), max_size=6)
cheap = settings(max_examples=80, deadline=None)


def cells(intervals: IntervalSet) -> set[int]:
    """Return the unit cells that integer intervals cover: the model they are tested against."""
    return {cell for start, end in intervals for cell in range(int(start), int(end))}


def is_normal(intervals: Normalised) -> bool:
    """Say whether intervals are sorted, disjoint, apart and each of positive length."""
    flat = [end for pair in intervals for end in pair]
    return all(a < b for a, b in itertools.pairwise(flat))


def test_normalise_merges_and_drops() -> None:
    """Overlapping and touching intervals become one; empty and reversed ones go."""
    given_set = [(5.0, 6.0), (0.0, 1.0), (1.0, 2.0), (1.5, 3.0), (4.0, 4.0), (9.0, 8.0)]
    assert normalise(given_set) == ((0.0, 3.0), (5.0, 6.0))


@given(interval_sets, interval_sets)
@cheap
def test_operations_are_those_of_sets(a: IntervalSet, b: IntervalSet) -> None:
    """Union, intersection and difference hold exactly the times that set algebra says."""
    for result, expected in (
        (union(a, b), cells(a) | cells(b)),
        (intersect(a, b), cells(a) & cells(b)),
        (subtract(a, b), cells(a) - cells(b)),
    ):
        assert is_normal(result)
        assert cells(result) == expected


@given(interval_sets, ends, ends)
@cheap
def test_clip_keeps_what_lies_inside(a: IntervalSet, start: int, end: int) -> None:
    """Clipping is intersection with one window; an empty window leaves nothing."""
    assert cells(clip(a, start, end)) == cells(a) & set(range(start, end))


@given(interval_sets, interval_sets)
@cheap
def test_iou_is_the_exact_quotient(a: IntervalSet, b: IntervalSet) -> None:
    """With integer ends the IoU is the correctly rounded quotient of the measures."""
    whole = len(cells(a) | cells(b))
    expected = float(Fraction(len(cells(a) & cells(b)), whole)) if whole else 0.0
    assert interval_iou(a, b) == expected == interval_iou(b, a)
    assert length_s(a) == len(cells(a))


@given(interval_sets)
@cheap
def test_a_set_equals_itself(a: IntervalSet) -> None:
    """IoU with itself is 1 where there is any time at all, however it is cut up; else 0."""
    halves = [(s, (s + e) / 2) for s, e in a] + [((s + e) / 2, e) for s, e in a]
    assert interval_iou(a, halves) == (1.0 if cells(a) else 0.0)


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60)), max_size=5))
@cheap
def test_normalise_is_idempotent_on_floats(a: IntervalSet) -> None:
    """Normalising twice changes nothing, and no set has an IoU above 1 with itself."""
    once = normalise(a)
    assert is_normal(once)
    assert normalise(once) == once
    assert interval_iou(a, once) in (0.0, 1.0)


@given(interval_sets, st.lists(st.integers(-30, 30).map(lambda n: n / 2), max_size=10))
@cheap
def test_contains_is_half_open(a: IntervalSet, times: list[float]) -> None:
    """A time lies in the set if some interval starts at or before it and ends behind it."""
    expected = [any(start <= t < end for start, end in a) for t in times]
    assert contains(a, times).tolist() == expected


def test_contains_keeps_the_shape_and_knows_nan() -> None:
    """Times may have any shape; NaN and an empty set hold nothing."""
    times = np.array([[0.0, 1.0], [np.nan, 0.5]])
    assert contains([(0.0, 1.0)], times).tolist() == [[True, False], [False, True]]
    assert not contains([], times).any()


@pytest.mark.parametrize("bad", [(0.0, float("nan")), (float("-inf"), 1.0)])
def test_ends_must_be_finite(bad: tuple[float, float]) -> None:
    """An interval without a real start or end raises instead of vanishing."""
    with pytest.raises(ValueError, match="is not finite"):
        normalise([(0.0, 1.0), bad])
