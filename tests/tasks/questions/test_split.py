"""Splits: by name alone, stable, with the shares that were asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.schemas.config import QuestionsConfig
from earshot.tasks.questions.split import split_of


def test_known_videos_stay_where_they_are() -> None:
    """Golden values: another hash would move videos of published releases between splits."""
    names = [f"video-{index}" for index in range(12)]
    splits = [split_of(n, seed=0, validation_share=0.1, test_share=0.2) for n in names]
    assert splits == [
        "test",
        "train",
        "test",
        "test",
        "test",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
    ]


def test_shares_are_met() -> None:
    """Of 5,000 groups about 20 % are test and 10 % validation."""
    splits = Counter(
        split_of(f"g{index}", seed=3, validation_share=0.1, test_share=0.2) for index in range(5000)
    )
    assert abs(splits["test"] - 1000) < 90
    assert abs(splits["validation"] - 500) < 70


@settings(max_examples=60, deadline=None)
@given(group=st.text(min_size=1), low=st.floats(0, 0.4), high=st.floats(0.4, 0.8))
def test_a_larger_test_share_only_moves_videos_into_test(
    group: str, low: float, high: float
) -> None:
    """What was test stays test."""
    if split_of(group, seed=0, validation_share=0.1, test_share=low) == "test":
        assert split_of(group, seed=0, validation_share=0.1, test_share=high) == "test"


def test_shares_that_leave_nothing_are_refused() -> None:
    """By the function and by the configuration."""
    with pytest.raises(ValueError, match="sum below 1"):
        split_of("a", seed=0, validation_share=0.5, test_share=0.5)
    with pytest.raises(ValueError, match="sum below 1"):
        QuestionsConfig(validation_share=0.5, test_share=0.6)
