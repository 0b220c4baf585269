"""Takes a double and gives it rounded half-up, as every rendered time and box is (CONTRACTS 4).

Rounds the *shortest decimal* of the double, exactly: 0.15 becomes 0.2 though its binary value is
below 0.15. Standard library only; never depends on the decimal context.
"""

import math
from decimal import Decimal


def half_up_units(x: float, decimals: int) -> int:
    """Return floor(x * 10**decimals + 1/2) of the shortest decimal of `x`, as an exact integer.

    The result counts units of 10**-decimals: `half_up_units(2.35, 1) == 24`. A tie goes up, also
    below zero: `half_up_units(-2.5, 0) == -2`. Any real number is read as a double first.

    Raises:
        ValueError: `x` is NaN or infinite, or `decimals` is negative.
    """
    if decimals < 0:
        raise ValueError(f"decimals is {decimals}; expected 0 or more. Pass the number of places.")
    value = float(x)
    if not math.isfinite(value):
        raise ValueError(
            f"cannot round {value}; expected a finite number. Drop or mend it before rounding."
        )
    numerator, denominator = Decimal(repr(value)).as_integer_ratio()
    return (2 * numerator * int(10**decimals) + denominator) // (2 * denominator)


def half_up(x: float, decimals: int) -> float:
    """Return `x` rounded half-up to `decimals` places: the double nearest to that decimal.

    Zero is never negative. Raises ValueError as `half_up_units` does.
    """
    return float(half_up_units(x, decimals) / 10**decimals)


def format_half_up(x: float, decimals: int) -> str:
    """Return `x` rounded half-up as text with exactly `decimals` places; zero has no sign.

    Raises ValueError as `half_up_units` does.
    """
    units = half_up_units(x, decimals)
    sign = "-" if units < 0 else ""
    if decimals == 0:
        return f"{units}"
    whole, fraction = divmod(abs(units), 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}"
