"""Takes the intervals that a question is about and gives the times at which boxes are asked for.

Computed in integer tenths of a second, so no time drifts and rendering it changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from earshot.geometry.rounding import half_up, half_up_units


@dataclass(frozen=True)
class Grid:
    """The question grid of CONTRACTS 4: `times_s` ascending, each a whole number of tenths."""

    anchor_s: float
    step_s: float
    times_s: tuple[float, ...]


def question_grid(intervals_s: Sequence[tuple[float, float]], step_s: float = 1.0) -> Grid:
    """Return the grid of one or several intervals, in seconds.

    Each start and end is rendered half-up to 0.1 s; its times are start, start + step, ... below
    the end, at least one. Several intervals have one grid each: `times_s` is their sorted union
    and `anchor_s` its first time (CONTRACTS 4).

    Raises:
        ValueError: there is no interval, one has start > end or an end that is not finite, or the
            step is not a positive whole number of tenths.
    """
    if not intervals_s:
        raise ValueError("no intervals; expected at least one. A question without a time has none.")
    step = _step_tenths(step_s)
    tenths: set[int] = set()
    for start_s, end_s in intervals_s:
        if start_s > end_s:
            raise ValueError(
                f"interval [{start_s}, {end_s}] is reversed; expected start <= end. Swap its ends."
            )
        start, end = half_up_units(start_s, 1), half_up_units(end_s, 1)
        tenths.update(range(start, max(end, start + 1), step))
    times_s = tuple(tenth / 10 for tenth in sorted(tenths))
    return Grid(anchor_s=times_s[0], step_s=step / 10, times_s=times_s)


def _step_tenths(step_s: float) -> int:
    """Return the step in tenths of a second, refusing what 0.1 s cannot express."""
    step = half_up_units(step_s, 1)
    if step < 1 or half_up(step_s, 1) != step_s:
        raise ValueError(
            f"step_s is {step_s}; expected a positive multiple of 0.1 s, the unit of rendered "
            "times. Choose one, such as 0.5 or 1.0."
        )
    return step
