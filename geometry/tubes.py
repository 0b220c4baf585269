"""Takes tubes as arrays and gives them resampled, compared, thinned to key frames and restored.

A tube is `times_s` (n,) strictly ascending, `boxes` (n, 4) xyxy in any one space with NaN rows
where nothing is visible, and `states` (n,) int8. Nothing here keeps, reads or writes a file.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import FloatArray, as_boxes, box_iou

UNKNOWN = -1
ABSENT = 0
VISIBLE = 1

# Times closer than this are the same time: finer than any container's clock (1/90,000 s), coarser
# than what float sums of frame times lose. Without it, 0.2 would be nearer to 0.3 than to 0.1.
TOLERANCE_S = 1e-6

# What a threshold on an IoU forgives: floats put some IoUs of exactly 0.9 below 0.9.
IOU_TOLERANCE = 1e-9

# Of so many samples at most are lines tried number by number, of more as arrays.
_SCALAR_UP_TO = 48

States: TypeAlias = npt.NDArray[np.int8]
Indices: TypeAlias = npt.NDArray[np.intp]

# Times and boxes as arrays, and both once more as lists.
_Listed: TypeAlias = tuple[FloatArray, FloatArray, list[float], list[list[float]]]


def native_step_s(times_s: npt.ArrayLike) -> float:
    """Return the median spacing of the samples in seconds; 0 for fewer than two samples."""
    times = np.asarray(times_s, dtype=np.float64)
    return float(np.median(np.diff(times))) if times.size > 1 else 0.0


def at(
    times_s: npt.ArrayLike,
    boxes: npt.ArrayLike,
    states: npt.ArrayLike,
    query_s: npt.ArrayLike,
    *,
    step_s: float | None = None,
) -> tuple[FloatArray, States]:
    """Return the tube's boxes (m, 4) and states (m,) at the query times (m,), in any order.

    CONTRACTS 4: the nearest sample within half a native step decides; else linear interpolation
    between two visible neighbours at most two steps apart; else absent if the nearest sample
    within one step is absent; else unknown. Distances and gaps are inclusive to TOLERANCE_S, and
    of two equally near samples the earlier counts.

    `step_s` is the native step where the caller knows it (1 / fps); by default it is the median
    spacing. A tube of one sample has no spacing: its step is 0, so it speaks for its own instant
    only and is unknown elsewhere. An empty tube is unknown everywhere.

    Raises:
        ValueError: the arrays are no tube, a query is not finite, or the step is negative.
    """
    times, samples, seen = checked_tube(times_s, boxes, states)
    query = _query(query_s)
    step = native_step_s(times) if step_s is None else step_s
    if not 0 <= step < np.inf:
        raise ValueError(f"step_s is {step}; expected 0 or more seconds. Pass 1 / fps, or None.")
    found, found_states = _nowhere(query.size)
    if times.size == 0:
        return found, found_states
    left, right, nearest = _neighbours(times, query)
    distance = np.abs(times[nearest] - query)
    decided = distance <= step / 2 + TOLERANCE_S
    both = (seen[left] == VISIBLE) & (seen[right] == VISIBLE) & (left < right)
    between = ~decided & both & (times[right] - times[left] <= 2 * step + TOLERANCE_S)
    gone = ~decided & ~between & (seen[nearest] == ABSENT) & (distance <= step + TOLERANCE_S)
    found[decided] = samples[nearest[decided]]
    found[between] = _lerp(times, samples, left[between], right[between], query[between])
    found_states[decided] = seen[nearest[decided]]
    found_states[between] = VISIBLE
    found_states[gone] = ABSENT
    return found, found_states


def tube_iou(
    a_boxes: npt.ArrayLike, a_states: npt.ArrayLike, b_boxes: npt.ArrayLike, b_states: npt.ArrayLike
) -> float:
    """Return the vIoU in [0, 1] of two tubes on one time grid (n,).

    The sum of box IoU over the times where both are visible, divided by the number of times where
    either is (vIoU of HC-STVG, arXiv 2011.05049; CONTRACTS 7, s(g, p)). 0 where neither is
    visible. Many tubes at once: `earshot.geometry.tube_columns`.

    Raises:
        ValueError: the arrays have not one common length.
    """
    iou, a_visible, b_visible = _on_grid(a_boxes, a_states, b_boxes, b_states)
    either = int(np.count_nonzero(a_visible | b_visible))
    return float(iou[a_visible & b_visible].sum()) / either if either else 0.0


def agree(
    a_boxes: npt.ArrayLike,
    a_states: npt.ArrayLike,
    b_boxes: npt.ArrayLike,
    b_states: npt.ArrayLike,
    min_iou: float = 0.9,
) -> bool:
    """Say whether two tubes on one time grid (n,) agree, so that a person's verdict survives.

    They do if box IoU >= min_iou at every time where either is visible, and the same times are
    absent (CONTRACTS 2). So all states are equal: unknown does not stand in for absent.

    Raises:
        ValueError: the arrays have not one common length, or min_iou is not in [0, 1].
    """
    _check_iou(min_iou)
    iou, a_visible, b_visible = _on_grid(a_boxes, a_states, b_boxes, b_states)
    if not np.array_equal(np.asarray(a_states), np.asarray(b_states)):
        return False
    return bool(np.all(iou[a_visible | b_visible] >= min_iou - IOU_TOLERANCE))


def thin(
    times_s: npt.ArrayLike, boxes: npt.ArrayLike, states: npt.ArrayLike, min_iou: float = 0.9
) -> Indices:
    """Return the ascending indices of the key frames to keep.

    Between two kept visible neighbours linear interpolation has IoU >= min_iou with every dropped
    sample. The first and last sample are kept, and both sides of every change of state. Greedy,
    with a doubling search for the farthest next key: few keys, not provably the fewest.

    Raises:
        ValueError: the arrays are no tube, or min_iou is not in [0, 1].
    """
    times, samples, seen = checked_tube(times_s, boxes, states)
    _check_iou(min_iou)
    if times.size == 0:
        return np.empty(0, dtype=np.intp)
    changes = np.flatnonzero(np.diff(seen)) + 1
    tube = (times, samples, times.tolist(), samples.tolist())
    kept: list[int] = []
    for first, last in zip([0, *changes], [*(changes - 1), times.size - 1], strict=True):
        key = int(first)
        kept.append(key)
        while key < last:
            key = int(last)
            if seen[first] == VISIBLE:
                key = _farthest(tube, kept[-1], key, min_iou)
            kept.append(key)
    return np.asarray(kept, dtype=np.intp)


def interpolate(
    key_times_s: npt.ArrayLike,
    key_boxes: npt.ArrayLike,
    key_states: npt.ArrayLike,
    query_s: npt.ArrayLike,
) -> tuple[FloatArray, States]:
    """Return boxes (m, 4) and states (m,) at the query times (m,) from key frames: `thin` undone.

    Between two visible keys the box moves linearly, however far they are apart; between two keys
    of one other state that state holds; between different states the nearer key decides (the
    earlier on a tie). Outside the keys the tube is unknown. Meant for the sample times of the
    thinned tube: a hole in its sampling is not visible in its keys.

    Raises:
        ValueError: the arrays are no tube, or a query is not finite.
    """
    times, samples, seen = checked_tube(key_times_s, key_boxes, key_states)
    query = _query(query_s)
    found, found_states = _nowhere(query.size)
    if times.size == 0:
        return found, found_states
    left, right, nearest = _neighbours(times, query)
    inside = (query >= times[0] - TOLERANCE_S) & (query <= times[-1] + TOLERANCE_S)
    found[inside] = samples[nearest[inside]]
    found_states[inside] = seen[nearest[inside]]
    moving = inside & (seen[left] == VISIBLE) & (seen[right] == VISIBLE) & (left < right)
    found[moving] = _lerp(times, samples, left[moving], right[moving], query[moving])
    return found, found_states


def checked_tube(
    times_s: npt.ArrayLike, boxes: npt.ArrayLike, states: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, States]:
    """Return times (n,), boxes (n, 4) and states (n,) as arrays of the right type.

    Boxes of samples that are not visible come back as NaN, whatever stood there.

    Raises:
        ValueError: lengths differ, times are not finite and strictly ascending, a state is none
            of UNKNOWN, ABSENT and VISIBLE, or a visible sample has no finite box.
    """
    times = np.asarray(times_s, dtype=np.float64)
    samples, seen = _boxes_and_states(boxes, states)
    if times.shape != seen.shape:
        raise ValueError(
            f"{times.shape} times for {seen.shape} states; expected one time a sample, shape (n,)."
        )
    if not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise ValueError(
            "times_s are not finite and strictly ascending; expected each sample once, in order. "
            f"Sort and deduplicate them: {np.array2string(times, threshold=8)}."
        )
    visible = seen == VISIBLE
    bare = np.flatnonzero(visible & ~np.isfinite(samples).all(axis=1))
    if bare.size:
        raise ValueError(
            f"sample {bare[0]} at {times[bare[0]]} s is visible with box {samples[bare[0]]}; "
            "expected four finite numbers. Make it absent or unknown, or give the box."
        )
    return times, np.where(visible[:, None], samples, np.nan), seen


def _boxes_and_states(boxes: npt.ArrayLike, states: npt.ArrayLike) -> tuple[FloatArray, States]:
    samples, given = as_boxes(boxes), np.asarray(states)
    if samples.ndim != 2 or given.shape != samples.shape[:1]:
        raise ValueError(
            f"boxes have shape {samples.shape} and states {given.shape}; expected (n, 4) and (n,)."
        )
    if not np.all((given == UNKNOWN) | (given == ABSENT) | (given == VISIBLE)):
        raise ValueError(
            f"states hold {np.unique(given).tolist()}; expected only UNKNOWN ({UNKNOWN}), "
            f"ABSENT ({ABSENT}) and VISIBLE ({VISIBLE}). Map them with the constants of tubes."
        )
    return samples, given.astype(np.int8)


def _on_grid(
    a_boxes: npt.ArrayLike, a_states: npt.ArrayLike, b_boxes: npt.ArrayLike, b_states: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the IoU at each time of the common grid and where each of the two is visible."""
    a, a_seen = _boxes_and_states(a_boxes, a_states)
    b, b_seen = _boxes_and_states(b_boxes, b_states)
    if a.shape != b.shape:
        raise ValueError(
            f"tubes have {len(a)} and {len(b)} samples; expected one common time grid. "
            "Resample both with `at` first."
        )
    return box_iou(a, b), a_seen == VISIBLE, b_seen == VISIBLE


def _query(query_s: npt.ArrayLike) -> FloatArray:
    query = np.asarray(query_s, dtype=np.float64)
    if query.ndim != 1 or not np.all(np.isfinite(query)):
        raise ValueError(
            f"query_s is {np.array2string(query, threshold=8)}; expected finite seconds of "
            "shape (m,)."
        )
    return query


def _nowhere(count: int) -> tuple[FloatArray, States]:
    return np.full((count, 4), np.nan), np.full(count, UNKNOWN, dtype=np.int8)


def _neighbours(times: FloatArray, query: FloatArray) -> tuple[Indices, Indices, Indices]:
    """Return the samples before and behind each query (equal outside the tube), and the nearer."""
    behind = np.searchsorted(times, query, side="left")
    left = np.clip(behind - 1, 0, times.size - 1)
    right = np.clip(behind, 0, times.size - 1)
    later = np.abs(times[right] - query) < np.abs(query - times[left]) - TOLERANCE_S
    return left, right, np.where(later, right, left)


def _lerp(
    times: FloatArray, boxes: FloatArray, left: Indices, right: Indices, query: FloatArray
) -> FloatArray:
    """Return the boxes on the straight line between samples; exact at both of them."""
    weight = ((query - times[left]) / (times[right] - times[left]))[:, None]
    line = boxes[left] + weight * (boxes[right] - boxes[left])
    return np.where(weight == 1.0, boxes[right], line)


def _farthest(tube: _Listed, first: int, last: int, min_iou: float) -> int:
    """Return a far sample up to `last` from which the line back to `first` fits all between."""
    fits, reach = first + 1, 2
    misfit = last + 1
    while fits < last and misfit > last:
        candidate = min(first + reach, last)
        if _line_fits(tube, first, candidate, min_iou):
            fits, reach = candidate, reach * 2
        else:
            misfit = candidate
    while misfit - fits > 1 and fits < last:
        middle = (fits + misfit) // 2
        if _line_fits(tube, first, middle, min_iou):
            fits = middle
        else:
            misfit = middle
    return fits


def _line_fits(tube: _Listed, first: int, last: int, min_iou: float) -> bool:
    times, boxes, listed_times, listed = tube
    if last - first > _SCALAR_UP_TO:
        inner = slice(first + 1, last)
        weight = (times[inner] - times[first]) / (times[last] - times[first])
        line = boxes[first] + weight[:, None] * (boxes[last] - boxes[first])
        return bool(np.all(box_iou(line, boxes[inner]) >= min_iou))
    # Thinning asks for this dozens of times a tube, of a few samples each: numbers beat arrays.
    start, end, begun = listed[first], listed[last], listed_times[first]
    whole = listed_times[last] - begun
    for at in range(first + 1, last):
        weight_at = (listed_times[at] - begun) / whole
        if _iou_on_line(start, end, weight_at, listed[at]) < min_iou:
            return False
    return True


def _iou_on_line(start: list[float], end: list[float], weight: float, box: list[float]) -> float:
    """Return the IoU of a box with the one at a share of the way; the numbers of `box_iou`."""
    a, b, c, d = start
    x1, y1 = a + weight * (end[0] - a), b + weight * (end[1] - b)
    x2, y2 = c + weight * (end[2] - c), d + weight * (end[3] - d)
    left, top, right, bottom = box
    width = (x2 if x2 < right else right) - (x1 if x1 > left else left)  # noqa: FURB136
    height = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)  # noqa: FURB136
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    whole = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - shared
    return shared / whole if shared > 0 else 0.0


def _check_iou(min_iou: float) -> None:
    if not 0 <= min_iou <= 1:
        raise ValueError(f"min_iou is {min_iou}; expected a number in [0, 1], such as 0.9.")
