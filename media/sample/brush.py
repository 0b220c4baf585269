"""A small drawing board in unit coordinates: shapes in, a textured RGBA sprite out.

The board is the unit square, y down; everything is drawn three times too large and scaled down,
gets a dark rim and a texture. It never knows what it draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from earshot.media.sample.kinds import RGB

OVERSAMPLE = 3
RIM: RGB = (38, 30, 34)
Point = tuple[float, float]


def shade(colour: RGB, factor: float) -> RGB:
    """Return the colour darkened (factor < 1) or lightened towards white (factor > 1)."""
    if factor <= 1:
        return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))
    part = min(factor - 1, 1.0)
    red, green, blue = (int(c + (255 - c) * part) for c in colour)
    return (red, green, blue)


def turned(points: Sequence[Point], centre: Point, angle_deg: float) -> list[Point]:
    """Return points turned clockwise (as seen) about a centre."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    cx, cy = centre
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in points
    ]


def _grown(alpha: npt.NDArray[np.uint8], reach_px: int) -> npt.NDArray[np.uint8]:
    """Return the largest value within a square; Pillow's MaxFilter takes ten times as long."""
    wide = np.pad(alpha, reach_px)
    tall, long = alpha.shape
    steps = range(2 * reach_px + 1)
    rows = np.maximum.reduce([wide[at : at + tall] for at in steps])
    return np.asarray(np.maximum.reduce([rows[:, at : at + long] for at in steps]))


class Brush:
    """Draws shapes of the unit square on a board of `size_px` pixels a side."""

    def __init__(self, size_px: int) -> None:
        self._side = size_px * OVERSAMPLE
        self._size = size_px
        self._image = Image.new("RGBA", (self._side, self._side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)

    def _px(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._side, y * self._side) for x, y in points]

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, fill: RGB) -> None:
        """Fill an ellipse with centre and half axes."""
        self._draw.ellipse(self._px([(cx - rx, cy - ry), (cx + rx, cy + ry)]), fill=fill)

    def wedge(self, centre: Point, r: float, start_deg: float, end_deg: float, fill: RGB) -> None:
        """Fill a slice of a disc, degrees clockwise from three o'clock."""
        cx, cy = centre
        square = self._px([(cx - r, cy - r), (cx + r, cy + r)])
        self._draw.pieslice((*square[0], *square[1]), start_deg, end_deg, fill=fill)

    def poly(self, points: Sequence[Point], fill: RGB) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._px(points), fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: RGB) -> None:
        """Draw a line with round ends and joints."""
        pixels = self._px(points)
        self._draw.line(pixels, fill=fill, width=max(1, round(width * self._side)), joint="curve")
        for x, y in pixels:
            r = width * self._side / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def box(self, x1: float, y1: float, x2: float, y2: float, radius: float, fill: RGB) -> None:
        """Fill a box with round corners."""
        self._draw.rounded_rectangle(
            self._px([(x1, y1), (x2, y2)]), radius=radius * self._side, fill=fill
        )

    def sprite(self, texture: npt.NDArray[np.float32], tilt_deg: float) -> npt.NDArray[np.uint8]:
        """Return the drawing as (size, size, 4) uint8, textured, rimmed and leaning.

        Args:
            texture: (size, size) factors about 1 that the colours are multiplied with.
            tilt_deg: clockwise, about the middle of the board.
        """
        image = self._image
        if tilt_deg:
            image = image.rotate(-tilt_deg, resample=Image.Resampling.BILINEAR)
        alpha = Image.fromarray(_grown(np.asarray(image.getchannel("A")), 2))
        board = Image.merge("RGBA", [*(Image.new("L", image.size, c) for c in RIM), alpha])
        board.alpha_composite(image)
        small = board.resize((self._size, self._size), Image.Resampling.BOX)
        pixels = np.array(small)
        light = np.linspace(1.1, 0.88, self._size, dtype=np.float32)[:, None]
        lit = pixels[..., :3] * (texture * light)[..., None]
        pixels[..., :3] = np.clip(lit, 0, 255).astype(np.uint8)
        return pixels
