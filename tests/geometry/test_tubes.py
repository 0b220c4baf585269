"""Tubes: resampling against a scalar reading of CONTRACTS 4, IoU, agreement and key frames."""

import itertools
from statistics import median

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.boxes import box_iou
from earshot.geometry.tubes import (
    ABSENT,
    UNKNOWN,
    VISIBLE,
    agree,
    at,
    interpolate,
    native_step_s,
    thin,
    tube_iou,
)

cheap = settings(max_examples=80, deadline=None)
NAN_BOX = [float("nan")] * 4
Array = npt.NDArray[np.float64]
Tube = tuple[Array, Array, npt.NDArray[np.int8]]

tenths = st.lists(st.integers(0, 40), unique=True, max_size=9).map(sorted)
some_states = st.sampled_from([UNKNOWN, ABSENT, VISIBLE, VISIBLE])


@st.composite
def tubes(draw: st.DrawFn, times: list[int] | None = None) -> Tube:
    """Return a tube whose times are whole tenths of a second, with boxes that drift."""
    units = draw(tenths) if times is None else times
    n = len(units)
    states = np.array(draw(st.lists(some_states, min_size=n, max_size=n)), dtype=np.int8)
    moves = draw(st.lists(st.floats(-0.2, 0.2), min_size=n, max_size=n))
    left = np.cumsum(moves)
    boxes = np.stack([left, left * 0.5, left + 1.0, left * 0.5 + 0.7], axis=1).reshape(-1, 4)
    return np.array(units) / 10, np.where((states == VISIBLE)[:, None], boxes, np.nan), states


@st.composite
def grid_pairs(draw: st.DrawFn) -> tuple[Tube, Tube]:
    """Return two tubes on one grid."""
    times = draw(tenths)
    return draw(tubes(times)), draw(tubes(times))


def reference_at(tube: Tube, query_tenths: int) -> tuple[int, list[float]]:
    """Return state and box at one time, read literally from CONTRACTS 4 in integers."""
    units = [round(10 * t) for t in tube[0]]
    if not units:
        return UNKNOWN, NAN_BOX
    gaps = [b - a for a, b in itertools.pairwise(units)]
    step = median(gaps) if gaps else 0
    near = min(range(len(units)), key=lambda i: (abs(units[i] - query_tenths), i))
    distance = abs(units[near] - query_tenths)
    if 2 * distance <= step:
        return int(tube[2][near]), tube[1][near].tolist()
    before = [i for i, unit in enumerate(units) if unit < query_tenths]
    if before and before[-1] + 1 < len(units):
        i, j = before[-1], before[-1] + 1
        if tube[2][i] == tube[2][j] == VISIBLE and units[j] - units[i] <= 2 * step:
            share = (query_tenths - units[i]) / (units[j] - units[i])
            return VISIBLE, ((1 - share) * tube[1][i] + share * tube[1][j]).tolist()
    if tube[2][near] == ABSENT and distance <= step:
        return ABSENT, NAN_BOX
    return UNKNOWN, NAN_BOX


@given(tubes(), st.lists(st.integers(-5, 45), max_size=12))
@settings(max_examples=250, deadline=None)
def test_at_follows_the_contract(tube: Tube, queries: list[int]) -> None:
    """Every query, in any order, gets what the contract says when it is read one at a time."""
    boxes, states = at(*tube, np.array(queries) / 10)
    expected = [reference_at(tube, query) for query in queries]
    assert states.tolist() == [state for state, _ in expected]
    wanted = np.array([box for _, box in expected]).reshape(-1, 4)
    np.testing.assert_allclose(boxes, wanted, rtol=0, atol=1e-12)


@given(tubes())
@cheap
def test_at_its_own_times_is_the_tube(tube: Tube) -> None:
    """Resampling at the native times gives the samples bit for bit."""
    boxes, states = at(*tube, tube[0])
    np.testing.assert_array_equal(boxes, tube[1])
    np.testing.assert_array_equal(states, tube[2])


def test_at_each_rule_in_turn() -> None:
    """Nearest sample, line between visible neighbours, absent within a step, else unknown."""
    times = [0.0, 1.0, 2.0, 4.0, 5.0, 8.0]
    boxes = [[t, 0.0, t + 1, 1.0] for t in times]
    states = [ABSENT, VISIBLE, VISIBLE, VISIBLE, ABSENT, VISIBLE]
    found, seen = at(times, boxes, states, [0.5, 0.6, 3.0, 5.9, 6.5, -0.9, -1.1, 8.6])
    assert seen.tolist() == [
        ABSENT,  # a tie goes to the earlier sample
        VISIBLE,
        VISIBLE,  # two steps apart
        ABSENT,
        UNKNOWN,
        ABSENT,
        UNKNOWN,
        UNKNOWN,
    ]
    assert found[1].tolist() == [1.0, 0.0, 2.0, 1.0]
    assert found[2].tolist() == [3.0, 0.0, 4.0, 1.0]
    assert np.isnan(found[seen != VISIBLE]).all()


def test_ties_do_not_drift() -> None:
    """0.2 is as near to 0.1 as to 0.3, though not in doubles: the earlier sample decides."""
    _, states = at([0.1, 0.3], [NAN_BOX, [0, 0, 1, 1]], [ABSENT, VISIBLE], [0.2])
    assert states.tolist() == [ABSENT]


def test_one_sample_speaks_for_its_instant() -> None:
    """Without spacing only the exact time is known, unless the caller states the native step."""
    tube = ([3.1], [[0, 0, 1, 1]], [VISIBLE])
    assert at(*tube, [3.1, 3.11])[1].tolist() == [VISIBLE, UNKNOWN]
    assert at(*tube, [3.6, 3.7], step_s=1.0)[1].tolist() == [VISIBLE, UNKNOWN]
    assert native_step_s([3.1]) == native_step_s([]) == 0.0
    assert native_step_s([0.0, 1.0, 2.0, 9.0]) == 1.0


@given(grid_pairs())
@cheap
def test_tube_iou_is_the_mean_over_either(pair: tuple[Tube, Tube]) -> None:
    """vIoU sums IoU where both are visible and divides by the times where either is."""
    (_, a_boxes, a_states), (_, b_boxes, b_states) = pair
    total, either = 0.0, 0
    for i in range(len(a_states)):
        both = a_states[i] == b_states[i] == VISIBLE
        either += VISIBLE in (a_states[i], b_states[i])
        total += float(box_iou(a_boxes[i], b_boxes[i])) if both else 0.0
    found = tube_iou(a_boxes, a_states, b_boxes, b_states)
    assert found == pytest.approx(total / either if either else 0.0)
    assert found == tube_iou(b_boxes, b_states, a_boxes, a_states)
    assert tube_iou(a_boxes, a_states, a_boxes, a_states) == float(VISIBLE in a_states)


def test_one_right_box_is_not_a_whole_track() -> None:
    """A tube that is right at one of four times scores a quarter."""
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (4, 1))
    one = [VISIBLE, ABSENT, ABSENT, ABSENT]
    assert tube_iou(boxes, [VISIBLE] * 4, boxes, one) == 0.25


@given(grid_pairs())
@cheap
def test_agreement_needs_every_time(pair: tuple[Tube, Tube]) -> None:
    """Tubes agree iff states are equal and each visible box is; each agrees with itself."""
    (_, a_boxes, a_states), (_, b_boxes, b_states) = pair
    near = all(
        a == b and (a != VISIBLE or float(box_iou(x, y)) >= 0.9)
        for a, b, x, y in zip(a_states, b_states, a_boxes, b_boxes, strict=True)
    )
    assert agree(a_boxes, a_states, b_boxes, b_states) == near
    assert agree(a_boxes, a_states, a_boxes, a_states)


def test_agreement_at_its_edge() -> None:
    """An IoU of exactly 0.9 agrees, though doubles miss it; unknown is not the same as absent."""
    one, other = [[0.3, 0.0, 1.3, 1.0]], [[0.3, 0.0, 1.2, 1.0]]
    assert float(box_iou(one, other)[0]) < 0.9
    assert agree(one, [VISIBLE], other, [VISIBLE])
    assert not agree(one, [VISIBLE], [[0.3, 0.0, 1.19, 1.0]], [VISIBLE])
    assert not agree([NAN_BOX], [UNKNOWN], [NAN_BOX], [ABSENT])


@given(tubes(), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
@settings(max_examples=150, deadline=None)
def test_thinning_is_undone_by_interpolation(tube: Tube, min_iou: float) -> None:
    """From the key frames every sample comes back: same state, and IoU of at least min_iou."""
    times, boxes, states = tube
    keys = thin(*tube, min_iou)
    restored, restored_states = interpolate(times[keys], boxes[keys], states[keys], times)
    np.testing.assert_array_equal(restored_states, states)
    np.testing.assert_array_equal(restored[keys], boxes[keys])
    assert np.all(box_iou(restored, boxes)[states == VISIBLE] >= min_iou)


@given(tubes())
@cheap
def test_thinning_keeps_ends_and_changes(tube: Tube) -> None:
    """Kept indices ascend; first, last and both sides of each change of state are among them."""
    states = tube[2]
    keys = thin(*tube).tolist()
    changes = [i for i in range(1, len(states)) if states[i] != states[i - 1]]
    ends = [0, len(states) - 1] if len(states) else []
    assert keys == sorted(set(keys))
    assert {*ends, *changes, *(i - 1 for i in changes)} <= set(keys)


def test_thinning_a_straight_line_keeps_two_keys() -> None:
    """300 samples on one line need their ends only; one sharp turn needs about one key more."""
    times = np.arange(300) / 30
    left = np.where(times < 5, times, 10 - times)
    line = np.stack([times, times, times + 4, times + 4], axis=1)
    turn = np.stack([left, left, left + 1, left + 1], axis=1)
    assert thin(times, line, np.full(300, VISIBLE)).tolist() == [0, 299]
    assert len(thin(times, turn, np.full(300, VISIBLE), 0.9)) <= 4


def test_interpolation_between_keys() -> None:
    """Visible keys make a line, equal states hold, unequal ones split halfway; outside unknown."""
    times = [0.0, 4.0, 5.0, 9.0]
    boxes = [[0, 0, 1, 1], [4, 0, 5, 1], NAN_BOX, NAN_BOX]
    states = [VISIBLE, VISIBLE, ABSENT, ABSENT]
    found, seen = interpolate(times, boxes, states, [1.0, 4.5, 4.6, 7.0, 9.1, -0.1])
    assert seen.tolist() == [VISIBLE, VISIBLE, ABSENT, ABSENT, UNKNOWN, UNKNOWN]
    assert found[:2].tolist() == [[1.0, 0.0, 2.0, 1.0], [4.0, 0.0, 5.0, 1.0]]


def test_boxes_of_unseen_samples_never_come_back() -> None:
    """What stands in the row of an absent sample, such as zeros, is not a box."""
    boxes, states = at([0.0, 1.0], np.zeros((2, 4)), [ABSENT, UNKNOWN], [0.0, 1.0])
    assert np.isnan(boxes).all()
    assert states.tolist() == [ABSENT, UNKNOWN]


@pytest.mark.parametrize(
    ("times", "boxes", "states", "message"),
    [
        ([0.0, 0.0], [NAN_BOX] * 2, [ABSENT] * 2, "strictly ascending"),
        ([0.0, float("nan")], [NAN_BOX] * 2, [ABSENT] * 2, "strictly ascending"),
        ([0.0], [NAN_BOX] * 2, [ABSENT] * 2, "one time a sample"),
        ([0.0], [NAN_BOX], [ABSENT] * 2, r"expected \(n, 4\) and \(n,\)"),
        ([0.0], [NAN_BOX], [VISIBLE], "is visible with box"),
        ([0.0], [NAN_BOX], [2], "states hold"),
    ],
)
def test_what_is_no_tube_is_refused(
    times: list[float], boxes: list[list[float]], states: list[int], message: str
) -> None:
    """Wrong order, lengths, states and visible samples without a box raise."""
    for call in (lambda: at(times, boxes, states, [0.0]), lambda: thin(times, boxes, states)):
        with pytest.raises(ValueError, match=message):
            call()


def test_wrong_arguments_are_refused() -> None:
    """Queries that are not finite, odd steps, thresholds and unequal grids raise."""
    tube = ([0.0], [[0, 0, 1, 1]], [VISIBLE])
    with pytest.raises(ValueError, match="query_s"):
        at(*tube, [float("nan")])
    with pytest.raises(ValueError, match="step_s is -1"):
        at(*tube, [0.0], step_s=-1)
    with pytest.raises(ValueError, match="min_iou is 90"):
        thin(*tube, min_iou=90)
    with pytest.raises(ValueError, match="one common time grid"):
        tube_iou(tube[1], tube[2], np.empty((0, 4)), [])
