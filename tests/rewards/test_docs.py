"""The examples of the page about rewards, and of the modules, give the output that they show."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest


def test_the_page_is_true() -> None:
    """docs/answers-and-rewards.md runs as written."""
    page = Path(__file__).parents[2] / "docs" / "answers-and-rewards.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 10
    assert failed == 0


@pytest.mark.parametrize("name", ["functions", "matching", "scoring"])
def test_examples_of_a_module(name: str) -> None:
    """The docstrings' examples run as written."""
    failed, tried = doctest.testmod(import_module(f"earshot.rewards.{name}"))
    assert tried > 0
    assert failed == 0
