"""Takes a tube's samples and gives the stretches in which it is visible, as an interval set.

The continuous counterpart of `tubes.at`: what `at` says at any time inside the window, collected
into intervals. Never looks at boxes.
"""

import numpy as np
import numpy.typing as npt

from earshot.geometry.intervals import Interval, Normalised, clip, length_s
from earshot.geometry.tubes import TOLERANCE_S, VISIBLE, native_step_s


def visible_intervals(
    times_s: npt.ArrayLike, states: npt.ArrayLike, window_s: Interval
) -> Normalised:
    """Return when a tube is visible inside its window, in seconds (CONTRACTS 5, V(o)).

    A visible sample speaks for half a native step on both sides, two visible neighbours at most two
    steps apart for all between (CONTRACTS 4); the first and the last sample reach to the window's
    edge where that is at most one step away, since no other sample could have been there.

    Raises:
        ValueError: the arrays have not one common length (n,).
    """
    times, seen = np.asarray(times_s, dtype=np.float64), np.asarray(states) == VISIBLE
    if times.ndim != 1 or times.shape != seen.shape:
        raise ValueError(
            f"{times.shape} times for {seen.shape} states; expected one time a sample, shape (n,)."
        )
    step = native_step_s(times)
    found = [(time - step / 2, time + step / 2) for time in times[seen].tolist()]
    near = np.diff(times) <= 2 * step + TOLERANCE_S
    both = np.flatnonzero(seen[:-1] & seen[1:] & near)
    found += zip(times[both].tolist(), times[both + 1].tolist(), strict=True)
    found += _edges(times, seen, window_s, step + TOLERANCE_S)
    return clip(found, *window_s)


def visible_share(times_s: npt.ArrayLike, states: npt.ArrayLike, window_s: Interval) -> float:
    """Return the share in [0, 1] of its window in which a tube is visible."""
    return length_s(visible_intervals(times_s, states, window_s)) / length_s([window_s])


def _edges(
    times: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], window_s: Interval, reach_s: float
) -> list[Interval]:
    """Return what lies between the window's edges and the outer samples, where these see it."""
    if times.size < 2:
        return []
    start, end = window_s
    first, last = float(times[0]), float(times[-1])
    edges = []
    if seen[0] and 0 < first - start <= reach_s:
        edges.append((start, first))
    if seen[-1] and 0 < end - last <= reach_s:
        edges.append((last, end))
    return edges
