"""Blind answers score what the geometry says they score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.intervals import normalise
from earshot.tasks.constant_interval import CANDIDATES, Search, Timed, m_tiou
from earshot.tasks.publish_release.baselines import measure
from earshot.tasks.publish_release.facts import Fact
from earshot.tasks.publish_release.tally import Tally


def _fact(intervals, split="train", task="temporal", duration_s=20.0, faults=()):
    centres = np.empty((0, 2), dtype=np.float32)
    return Fact("q", "v", split, task, duration_s, tuple(intervals), centres, faults)


def _search(facts):
    found = Search()
    for fact in facts:
        found.add(fact.duration_s, fact.intervals)
    return found.best()


TENTHS = st.tuples(st.integers(0, 190), st.integers(1, 200)).map(
    lambda pair: (pair[0] / 10, min(20.0, (pair[0] + pair[1]) / 10))
)
FACTS = st.builds(
    _fact, st.lists(TENTHS, min_size=1, max_size=3).map(normalise), duration_s=st.just(20.0)
)


@given(st.lists(FACTS, min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_no_candidate_is_better_than_the_one_found(facts):
    """The array search agrees with `geometry.intervals.interval_iou` on every candidate."""
    timed = Timed()
    for fact in facts:
        timed.add(fact.duration_s, fact.intervals)
    assert list(timed) == [(fact.duration_s, fact.intervals) for fact in facts]
    best = m_tiou(timed, _search(facts))
    assert best == pytest.approx(max(m_tiou(timed, candidate) for candidate in CANDIDATES))


def test_candidates_are_all_intervals_on_the_grid():
    """Starts and lengths in steps of 0.05, none beyond the end: 20 * 21 / 2."""
    assert len(set(CANDIDATES)) == 210
    assert all(0 <= start < end <= 1 for start, end in CANDIDATES)


def test_of_equal_candidates_the_first_is_taken():
    """Two questions that are apart: each interval alone scores a half."""
    assert _search([_fact([(0.0, 1.0)]), _fact([(10.0, 11.0)])]) == (0.0, 0.05)


def test_it_is_searched_on_train_and_scored_on_test():
    """Validation is for nothing, spatial questions have no time, broken rows are left out."""
    facts = [
        _fact([(2.0, 6.0)]),
        _fact([(4.0, 6.0)], "test"),
        _fact([(0.0, 20.0)], "validation"),
        _fact([], "test", "spatial"),
        _fact([(9.0, 8.0)], faults=(("span", "reversed"),)),
    ]
    constant = measure(Tally.of(facts)).constant("temporal")
    assert constant.answer == "10 % to 30 % of the video"
    assert constant.score == pytest.approx(0.5)
    assert (constant.n_searched, constant.n_scored) == (1, 1)


def test_the_whole_video_scores_the_mean_cover():
    """Events of 2 and 10 s in videos of 20 s: (0.1 + 0.5) / 2."""
    facts = [_fact([(4.0, 6.0)], "test"), _fact([(0.0, 5.0), (10.0, 15.0)], "test")]
    whole = next(row for row in measure(Tally.of(facts)).rows if row.name == "whole video")
    assert whole.score == pytest.approx(0.3)


def test_without_train_or_test_there_is_no_score():
    """Nothing is made up; the counts say why."""
    no_train = measure(Tally.of([_fact([(1.0, 2.0)], "test")])).constant("temporal")
    no_test = measure(Tally.of([_fact([(1.0, 2.0)])])).constant("temporal")
    assert (no_train.score, no_train.n_searched, no_train.n_scored) == (None, 0, 1)
    assert (no_test.score, no_test.n_searched, no_test.n_scored) == (None, 1, 0)
