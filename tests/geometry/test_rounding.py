"""Half-up rounding of the shortest decimal, against exact fractions."""

import subprocess
import sys
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.rounding import format_half_up, half_up, half_up_units

doubles = st.floats(allow_nan=False, allow_infinity=False)
places = st.integers(0, 6)
moderate = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("x", "decimals", "text"),
    [
        (0.15, 1, "0.2"),
        (0.25, 1, "0.3"),
        (2.675, 2, "2.68"),
        (1.005, 2, "1.01"),
        (0.0005, 3, "0.001"),
        (0.00049999, 3, "0.000"),
        (-0.05, 1, "0.0"),
        (-0.06, 1, "-0.1"),
        (-0.0, 1, "0.0"),
        (-2.5, 0, "-2"),
        (2.5, 0, "3"),
        (9.96, 1, "10.0"),
        (1e22, 1, "10000000000000000000000.0"),
        (5e-324, 3, "0.000"),
        (59.95, 1, "60.0"),
    ],
)
def test_known_values(x: float, decimals: int, text: str) -> None:
    """Ties of the written decimal go up, whatever side of the tie the binary value lies on."""
    assert format_half_up(x, decimals) == text


@given(doubles, places)
@settings(max_examples=200, deadline=None)
def test_equals_the_definition(x: float, decimals: int) -> None:
    """The units are floor(x * 10^k + 1/2) of the shortest decimal, exactly, for every double."""
    assert half_up_units(x, decimals) == floor(Fraction(repr(x)) * 10**decimals + Fraction(1, 2))


@given(moderate, places)
@settings(max_examples=200, deadline=None)
def test_text_reads_back_as_the_rounded_number(x: float, decimals: int) -> None:
    """The text has the stated places, never a signed zero, and reads back as `half_up`."""
    text = format_half_up(x, decimals)
    assert float(text) == half_up(x, decimals)
    assert len(text.partition(".")[2]) == decimals
    assert not (text.startswith("-") and float(text) == 0)


@given(moderate, places)
@settings(max_examples=200, deadline=None)
def test_rounding_twice_changes_nothing(x: float, decimals: int) -> None:
    """A rounded number is its own rounding."""
    once = half_up(x, decimals)
    assert half_up(once, decimals) == once


@given(moderate, moderate, places)
@settings(max_examples=100, deadline=None)
def test_order_is_kept(x: float, y: float, decimals: int) -> None:
    """Rounding never swaps two numbers."""
    low, high = sorted((x, y))
    assert half_up_units(low, decimals) <= half_up_units(high, decimals)


@pytest.mark.parametrize("x", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(x: float) -> None:
    """NaN and infinity raise with their value in the message."""
    with pytest.raises(ValueError, match=f"cannot round {x}; expected a finite number"):
        format_half_up(x, 1)


def test_negative_places_are_refused() -> None:
    """Rounding to tens is not offered."""
    with pytest.raises(ValueError, match="decimals is -1"):
        half_up_units(1.0, -1)


def test_numpy_is_not_loaded() -> None:
    """The answer grammar can import the module with the standard library alone."""
    code = "import sys, earshot.geometry.rounding; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
