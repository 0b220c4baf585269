"""Turns decoded frames into what a player shows: upright, unmirrored, with square pixels, in RGB.

Takes PyAV frames of one stream, gives uint8 arrays of one size. Never crops and never keeps more
than the last frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

Frame = npt.NDArray[np.uint8]

# A pixel longer than this is a broken header: real pixels lie between 0.5 and 2.4.
MAX_PIXEL_ASPECT = 4


@dataclass(frozen=True)
class Orientation:
    """How the stored picture lies: what has to be done to it, in this order."""

    is_transposed: bool = False
    is_flipped_x: bool = False
    is_flipped_y: bool = False

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are swapped, beside any rotation."""
        return self.is_transposed ^ self.is_flipped_x ^ self.is_flipped_y

    def upright(self, array: Frame) -> Frame:
        """Return the array (h, w, 3) as it is shown, contiguous."""
        if self.is_transposed:
            array = array.transpose(1, 0, 2)
        array = array[:, ::-1] if self.is_flipped_x else array
        array = array[::-1] if self.is_flipped_y else array
        return np.ascontiguousarray(array)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation that a frame's display matrix asks for, to quarter turns.

    The matrix (a b; c d) shows the stored point (x, y) at (a x + c y, b x + d y), y downwards
    (libavutil/display.h).
    """
    stored = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    if stored is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(bytes(stored), np.int32, 5).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a stored pixel over its height; 1 where it is unknown or absurd."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else Fraction(1)


def displayed_size(
    width: int, height: int, aspect: Fraction, orientation: Orientation
) -> tuple[int, int]:
    """Return the (width, height) in pixels that a player shows of a stored picture.

    Pixels that are not square stretch the shorter of their sides, as browsers do, so that no line
    is lost; boxes in parts of the frame are the same in both shapes.
    """
    if aspect > 1:
        width = max(round(width * aspect), 1)
    else:
        height = max(round(height / aspect), 1)
    return (height, width) if orientation.is_transposed else (width, height)


def scaled_size(width: int, height: int, long_side_px: int | None) -> tuple[int, int]:
    """Return (width, height) scaled down so that the longer side is at most `long_side_px`."""
    longer = max(width, height)
    if long_side_px is None or longer <= long_side_px:
        return width, height
    scale = long_side_px / longer
    return max(round(width * scale), 1), max(round(height * scale), 1)


class Picture:
    """Converts frames of one stream to arrays (height_px, width_px, 3) of one displayed size."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._size_px = width_px, height_px
        self._reformatter = VideoReformatter()
        self._orientation: Orientation | None = None
        self._last: tuple[av.VideoFrame, Frame] | None = None

    def array(self, frame: av.VideoFrame) -> Frame:
        """Return a frame as RGB; the same array while the frame is the same."""
        if self._last is None or self._last[0] is not frame:
            self._last = (frame, self._convert(frame))
        return self._last[1]

    def _convert(self, frame: av.VideoFrame) -> Frame:
        # Once a stream: a frame whose side data was asked for refers to itself, and stays in memory
        # until the garbage collector comes by.
        orientation = self._orientation = self._orientation or orientation_of(frame)
        width, height = self._size_px
        if orientation.is_transposed:
            width, height = height, width
        rgb = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA"
        )
        return orientation.upright(rgb.to_ndarray().astype(np.uint8, copy=False))
