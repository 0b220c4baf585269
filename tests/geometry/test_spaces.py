"""Conversions between box spaces: known values and round trips."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.boxes import area, box_iou
from earshot.geometry.spaces import NORM, REL1000, BoxSpace, Layout, convert

cheap = settings(max_examples=80, deadline=None)
NATIVE = BoxSpace("native_px", 1280, 720)
RESIZED = BoxSpace("resized_px", 1008, 560)
sizes = st.integers(1, 4096)
spaces = st.one_of(
    st.builds(
        BoxSpace,
        kind=st.sampled_from(["norm", "rel1000"]),
        layout=st.sampled_from(["xyxy", "xywh"]),
    ),
    st.builds(
        BoxSpace,
        kind=st.sampled_from(["native_px", "resized_px"]),
        width=sizes,
        height=sizes,
        layout=st.sampled_from(["xyxy", "xywh", "xyxy_inclusive"]),
    ),
)
norm_boxes = st.lists(
    st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4), min_size=1, max_size=5
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (NORM, [0.25, 0.5, 0.5, 1.0]),
        (REL1000, [250, 500, 500, 1000]),
        (RESIZED, [252, 280, 504, 560]),
        (BoxSpace("native_px", layout="xywh", width=1280, height=720), [320, 360, 320, 360]),
        (
            BoxSpace("native_px", layout="xyxy_inclusive", width=1280, height=720),
            [320, 360, 639, 719],
        ),
    ],
)
def test_known_conversions(target: BoxSpace, expected: list[float]) -> None:
    """One box of a 1280 x 720 frame reads as it should in every space and layout."""
    assert convert([320, 360, 640, 720], NATIVE, target).tolist() == expected


@given(norm_boxes, spaces, spaces)
@cheap
def test_round_trips(boxes: list[list[float]], one: BoxSpace, other: BoxSpace) -> None:
    """Going through any two spaces and back gives the same boxes, to rounding of doubles."""
    there = convert(convert(boxes, NORM, one), one, other)
    back = convert(convert(there, other, one), one, NORM)
    np.testing.assert_allclose(back, boxes, rtol=0, atol=1e-9)


@given(norm_boxes, spaces)
@cheap
def test_iou_survives_a_change_of_unit(boxes: list[list[float]], space: BoxSpace) -> None:
    """IoU is the same in every space, since all scale each axis by one factor."""
    half_open = BoxSpace(space.kind, space.width, space.height)
    moved = convert(boxes, NORM, half_open)
    big = area(boxes) > 1e-3
    before = box_iou(boxes[:1], boxes)[big]
    np.testing.assert_allclose(box_iou(moved[:1], moved)[big], before, atol=1e-9)


@pytest.mark.parametrize("layout", get_args(Layout))
@given(boxes=st.lists(st.tuples(*[st.integers(0, 4096)] * 4), min_size=1, max_size=5))
@cheap
def test_layouts_of_integers_are_exact(layout: Layout, boxes: list[tuple[int, ...]]) -> None:
    """Changing only the layout keeps integers bit for bit, and needs no frame size."""
    plain, other = BoxSpace("native_px"), BoxSpace("native_px", layout=layout)
    there = convert(boxes, plain, other)
    assert convert(there, other, plain).tolist() == [list(box) for box in boxes]


@given(spaces, spaces)
@cheap
def test_nan_stays_nan(one: BoxSpace, other: BoxSpace) -> None:
    """A row that is not visible stays so, its neighbours do not, and the input is not changed."""
    boxes = np.array([[[np.nan] * 4, [0.1, 0.2, 0.3, 0.4]]])
    before = boxes.copy()
    moved = convert(boxes, one, other)
    assert moved.shape == (1, 2, 4)
    assert np.isnan(moved[0, 0]).all()
    assert np.isfinite(moved[0, 1]).all()
    np.testing.assert_array_equal(boxes, before)


def test_frame_corners_land_exactly() -> None:
    """The whole frame is the whole frame in every space, without a last-bit error."""
    for width, height in ((854, 480), (1920, 1080), (333, 77)):
        native = BoxSpace("native_px", width, height)
        assert convert([0, 0, 1, 1], NORM, native).tolist() == [0, 0, width, height]
        assert convert([0, 0, width, height], native, NORM).tolist() == [0, 0, 1, 1]
        assert convert([0, 0, width, height], native, REL1000).tolist() == [0, 0, 1000, 1000]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (BoxSpace("native_px"), NORM),
        (NORM, BoxSpace("native_px")),
        (BoxSpace("native_px", 640, None), REL1000),
        (BoxSpace("native_px"), RESIZED),
        (NATIVE, BoxSpace("native_px")),
    ],
)
def test_unknown_frame_size_is_refused(source: BoxSpace, target: BoxSpace) -> None:
    """Pixels of a frame without size cannot be rescaled; the message names the space."""
    with pytest.raises(ValueError, match=r"size of native_px is .*None; expected width"):
        convert([0, 0, 1, 1], source, target)


def test_impossible_spaces_are_refused() -> None:
    """A space that means nothing raises when it is made."""
    with pytest.raises(ValueError, match="width is 0"):
        BoxSpace("native_px", 0, 10)
    with pytest.raises(ValueError, match="only whole pixels have a last one"):
        BoxSpace("norm", layout="xyxy_inclusive")
    with pytest.raises(ValueError, match="kind is 'pixels'; expected one of norm"):
        BoxSpace("pixels")  # type: ignore[arg-type]
