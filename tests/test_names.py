"""The comparison form of names: what it folds, and that it is a fixed point."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.names import norm


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("  The  Old-Man's dog ", "old man s dog"),
        ("ＤＯＧ", "dog"),
        ("ﬁre truck", "fire truck"),
        ("cafe\u0301 bell", "café bell"),
        ("STRASSE", "strasse"),
        ('"the dog"', "dog"),
        ("the a dog", "dog"),
        ("the", "the"),
        ("andog", "andog"),
        ("dog the", "dog the"),
        ("dog+", "dog+"),
        ("fire\u00a0truck", "fire truck"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_norm_gives_the_comparison_form(name: str, expected: str) -> None:
    """Width, case, punctuation, white space and leading articles do not tell two names apart."""
    assert norm(name) == expected


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["the", "A", "an", "-", "dog", " "])).map("".join)
)
def test_norm_is_idempotent(name: str) -> None:
    """The comparison form of a comparison form is itself (CONTRACTS 1)."""
    assert norm(norm(name)) == norm(name)


@pytest.mark.parametrize(
    "name", ["H\u0331", "J\u030c", "T\u0308", "W\u030a", "Y\u030a", "\u0130\u0316"]
)
def test_norm_is_idempotent_where_only_lower_case_composes(name: str) -> None:
    """A capital with a mark that only its small letter composes with comes out composed."""
    assert norm(norm(name)) == norm(name)


def test_ascii_is_treated_as_all_other_text_is() -> None:
    """The short way for ASCII gives what the long one gives, for each of its characters."""
    for char in map(chr, range(128)):
        assert norm(f"X{char}y é") == f"{norm(f'X{char}y')} é"
