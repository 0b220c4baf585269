"""Takes interval sets in seconds and gives their union, intersection, difference and IoU.

A set is any sequence of (start, end) pairs, half-open; every result is sorted, disjoint and has
start < end. Never rounds: integers in (such as units of 1e-6 s) are integers out.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Interval: TypeAlias = tuple[float, float]
IntervalSet: TypeAlias = Sequence[Interval]
Normalised: TypeAlias = tuple[Interval, ...]


def normalise(intervals: IntervalSet) -> Normalised:
    """Return the set sorted, with overlapping and touching intervals merged.

    Intervals with start >= end are dropped (CONTRACTS 7, temporal).

    Raises:
        ValueError: an end is NaN or infinite.
    """
    if len(intervals) == 1:  # most sets of events and questions
        start, end = _finite(intervals[0])
        return ((start, end),) if start < end else ()
    merged: list[Interval] = []
    for start, end in sorted(_finite(pair) for pair in intervals):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def union(a: IntervalSet, b: IntervalSet) -> Normalised:
    """Return the times that lie in `a` or in `b`."""
    return normalise([*a, *b])


def intersect(a: IntervalSet, b: IntervalSet) -> Normalised:
    """Return the times that lie in `a` and in `b`."""
    left, right = normalise(a), normalise(b)
    found: list[Interval] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            found.append((start, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def subtract(a: IntervalSet, b: IntervalSet) -> Normalised:
    """Return the times that lie in `a` and not in `b`."""
    holes = normalise(b)
    left: list[Interval] = []
    for start, end in normalise(a):
        cursor = start
        for hole_start, hole_end in holes:
            if hole_end <= cursor or hole_start >= end:
                continue
            if hole_start > cursor:
                left.append((cursor, hole_start))
            cursor = hole_end
        if cursor < end:
            left.append((cursor, end))
    return tuple(left)


def clip(intervals: IntervalSet, start_s: float, end_s: float) -> Normalised:
    """Return what lies of the set inside [start_s, end_s); empty where start_s >= end_s."""
    return intersect(intervals, [(start_s, end_s)])


def length_s(intervals: IntervalSet) -> float:
    """Return the seconds that the set covers, overlaps once; the sum is correctly rounded."""
    return math.fsum(end - start for start, end in normalise(intervals))


def interval_iou(a: IntervalSet, b: IntervalSet) -> float:
    """Return |a and b| / |a or b| in [0, 1] (CONTRACTS 7, temporal); two empty sets give 0.

    With integer ends the result is the correctly rounded quotient, which floats miss at exact
    thresholds such as 0.3.
    """
    whole = length_s(union(a, b))
    return min(length_s(intersect(a, b)) / whole, 1.0) if whole > 0 else 0.0


def contains(intervals: IntervalSet, times_s: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say for each time whether it lies in the set; an interval holds its start, not its end.

    Takes times of any shape in seconds and returns booleans of that shape; NaN lies nowhere.
    """
    times = np.asarray(times_s, dtype=np.float64)
    ends = np.asarray(normalise(intervals), dtype=np.float64).reshape(-1)
    # In the flat list start, end, start, ... a time inside has passed an odd number of ends.
    return (np.searchsorted(ends, times, side="right") % 2).astype(bool)


def _finite(pair: Interval) -> Interval:
    """Return the pair, or raise if one of its ends is not a finite number."""
    start, end = pair
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"interval [{start}, {end}] is not finite; expected two numbers in seconds. "
            "Mend or drop it where it was read."
        )
    return start, end
