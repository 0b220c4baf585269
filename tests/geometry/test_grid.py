"""The question grid, against CONTRACTS 4 in exact tenths."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.grid import Grid, question_grid
from earshot.geometry.rounding import half_up, half_up_units

cheap = settings(max_examples=80, deadline=None)
seconds = st.floats(0, 120)
intervals = st.tuples(seconds, seconds).map(lambda pair: (min(pair), max(pair)))


@pytest.mark.parametrize(
    ("given_intervals", "times"),
    [
        ([(3.14, 6.1)], (3.1, 4.1, 5.1)),
        ([(3.15, 6.25)], (3.2, 4.2, 5.2, 6.2)),
        ([(0.0, 3.0)], (0.0, 1.0, 2.0)),
        ([(2.0, 2.3)], (2.0,)),
        ([(2.01, 2.04)], (2.0,)),
        ([(7.5, 9.0), (1.0, 2.5)], (1.0, 2.0, 7.5, 8.5)),
        ([(0.0, 2.1), (1.0, 3.5)], (0.0, 1.0, 2.0, 3.0)),
    ],
)
def test_known_grids(given_intervals: list[tuple[float, float]], times: tuple[float, ...]) -> None:
    """Ends are rendered first, the end is left out, one time is left at least, unions sort."""
    assert question_grid(given_intervals) == Grid(times[0], 1.0, times)


@given(st.lists(intervals, min_size=1, max_size=4), st.integers(1, 30))
@cheap
def test_grid_is_the_union_of_its_parts(parts: list[tuple[float, float]], tenths: int) -> None:
    """Times ascend, are whole tenths, and are exactly those of the single intervals together."""
    grid = question_grid(parts, tenths / 10)
    together = {t for part in parts for t in question_grid([part], tenths / 10).times_s}
    assert grid.times_s == tuple(sorted(together))
    assert grid.anchor_s == grid.times_s[0] == min(half_up(start, 1) for start, _ in parts)
    assert all(half_up(t, 1) == t for t in grid.times_s)


@given(intervals, st.integers(1, 30))
@cheap
def test_one_interval_is_an_even_ladder(interval: tuple[float, float], tenths: int) -> None:
    """The times are anchor, anchor + step, ... and stop just before the rendered end."""
    grid = question_grid([interval], tenths / 10)
    units = [half_up_units(t, 1) for t in grid.times_s]
    end = half_up_units(interval[1], 1)
    assert all(b - a == tenths for a, b in itertools.pairwise(units))
    assert units[-1] + tenths >= end
    assert units[-1] < end or len(units) == 1


@given(intervals)
@cheap
def test_rendering_first_changes_nothing(interval: tuple[float, float]) -> None:
    """A grid made from the rendered interval is the grid of the interval."""
    rendered = (half_up(interval[0], 1), half_up(interval[1], 1))
    assert question_grid([rendered]) == question_grid([interval])


@pytest.mark.parametrize(
    ("given_intervals", "step_s", "message"),
    [
        ([], 1.0, "no intervals"),
        ([(3.0, 2.0)], 1.0, "is reversed"),
        ([(0.0, float("inf"))], 1.0, "finite"),
        ([(0.0, 1.0)], 0.0, "step_s is 0.0"),
        ([(0.0, 1.0)], 0.25, "step_s is 0.25"),
        ([(0.0, 1.0)], -1.0, "step_s is -1.0"),
    ],
)
def test_what_makes_no_grid_is_refused(
    given_intervals: list[tuple[float, float]], step_s: float, message: str
) -> None:
    """Missing or reversed intervals and steps that tenths cannot express raise."""
    with pytest.raises(ValueError, match=message):
        question_grid(given_intervals, step_s)
