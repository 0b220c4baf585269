"""When a tube is visible, as intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.intervals import contains
from earshot.geometry.tubes import VISIBLE, at
from earshot.geometry.visible import visible_intervals, visible_share

STATES = st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=30)


def test_samples_speak_for_half_a_step_and_reach_the_window() -> None:
    """Visible at 2, 3 of 1 fps in [2, 6): from the window's start to half a step behind 3."""
    found = visible_intervals([2, 3, 4, 5], [1, 1, 0, 0], (2, 6))
    assert found == ((2, 3.5),)
    assert visible_intervals([2, 3, 4, 5], [0, 0, 1, 1], (2, 6)) == ((3.5, 6),)


def test_a_window_far_from_the_samples_is_not_visible_there() -> None:
    """What lies more than a step behind the last sample was never looked at."""
    assert visible_intervals([2, 3], [1, 1], (0, 10)) == ((1.5, 3.5),)
    assert visible_share([2, 3], [1, 1], (0, 10)) == 0.2


def test_lengths_that_differ_are_refused() -> None:
    """A state without a time is an error."""
    with pytest.raises(ValueError, match="one time a sample"):
        visible_intervals([1, 2], [1], (0, 3))


@settings(max_examples=60, deadline=None)
@given(states=STATES, start=st.integers(0, 20))
def test_it_says_what_resampling_says(states: list[int], start: int) -> None:
    """Between the first and the last sample a time is inside iff `at` calls it visible."""
    times = start + np.arange(len(states)) / 5
    boxes = np.tile([0.1, 0.1, 0.2, 0.2], (len(states), 1))
    found = visible_intervals(times, states, (start, start + len(states) / 5))
    # Off the borders of half steps, where half-open and closed ends differ.
    query = start + np.arange(0, len(states) - 1, 0.37) / 5 + 0.0123
    query = query[query < times[-1]]
    _, seen = at(times, boxes, states, query)
    assert contains(found, query).tolist() == (seen == VISIBLE).tolist()
