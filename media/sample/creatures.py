"""Draws the animals and the robot of the sample world, looking to the right.

Takes a brush, a colour and a pose; leaves the shapes on the brush. Never decides when they move.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.media.sample.brush import Brush, shade, turned
from earshot.media.sample.kinds import RGB

EYE: RGB = (28, 24, 30)
LIGHT: RGB = (250, 248, 240)


@dataclass(frozen=True)
class Pose:
    """How a thing holds itself: `drive` in [0, 1] is effort, `swing` in [-1, 1] an oscillation."""

    drive: float
    swing: float


def _eye(brush: Brush, x: float, y: float, r: float) -> None:
    brush.ellipse(x, y, r, r, LIGHT)
    brush.ellipse(x + r * 0.3, y, r * 0.62, r * 0.62, EYE)


def draw_dog(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A dog in profile; effort opens the jaw, lifts the head and the tail."""
    dark, drive = shade(colour, 0.72), pose.drive
    brush.line([(0.22, 0.56), (0.12, 0.46), (0.07, 0.42 - 0.18 * drive)], 0.06, dark)
    for x, tone in ((0.33, dark), (0.62, dark), (0.25, colour), (0.55, colour)):
        brush.line([(x, 0.64), (x, 0.92)], 0.085, tone)
        brush.ellipse(x + 0.02, 0.94, 0.055, 0.03, tone)
    brush.ellipse(0.43, 0.6, 0.27, 0.15, colour)
    brush.ellipse(0.42, 0.66, 0.18, 0.07, shade(colour, 1.3))
    lift = 0.06 * drive
    brush.line([(0.58, 0.56), (0.68, 0.42 - lift)], 0.17, colour)
    brush.line([(0.6, 0.56), (0.69, 0.49 - lift)], 0.04, (196, 40, 44))
    brush.ellipse(0.84, 0.45 - lift + 0.085 * drive, 0.085, 0.035, dark)
    if drive > 0.3:
        brush.poly(
            [(0.74, 0.4), (0.93, 0.4 - lift), (0.9, 0.46 - lift + 0.07 * drive)], (150, 40, 48)
        )
    brush.ellipse(0.71, 0.35 - lift, 0.14, 0.13, colour)
    brush.ellipse(0.84, 0.38 - lift, 0.11, 0.06, shade(colour, 1.22))
    brush.ellipse(0.94, 0.355 - lift, 0.035, 0.03, EYE)
    flap = 0.08 * drive
    brush.poly([(0.6, 0.25 - lift), (0.7, 0.24 - lift), (0.62 - flap, 0.5 - lift - flap)], dark)
    _eye(brush, 0.76, 0.31 - lift, 0.033)


def draw_cat(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A sitting cat; effort stretches the neck and opens the mouth, the tail follows the swing."""
    dark, lift = shade(colour, 0.66), 0.07 * pose.drive
    tip = 0.9 + 0.06 * pose.swing
    brush.line([(0.6, 0.9), (0.8, 0.86), (0.86, 0.7), (tip, 0.52)], 0.07, dark)
    brush.ellipse(0.48, 0.7, 0.21, 0.24, colour)
    brush.ellipse(0.48, 0.76, 0.11, 0.15, shade(colour, 1.4))
    for x in (0.4, 0.56):
        brush.line([(x, 0.74), (x, 0.92)], 0.085, colour)
        brush.ellipse(x, 0.93, 0.06, 0.03, LIGHT)
    for y in (0.58, 0.66, 0.74):
        brush.line([(0.29, y), (0.37, y + 0.015)], 0.024, dark)
        brush.line([(0.67, y), (0.59, y + 0.015)], 0.024, dark)
    brush.line([(0.48, 0.55), (0.48, 0.36 - lift)], 0.2, colour)
    head = 0.32 - lift
    for side in (-1, 1):
        ear = [(0.48 + side * 0.19, head - 0.22), (0.48 + side * 0.18, head), (0.49, head - 0.1)]
        brush.poly(ear, dark)
    brush.ellipse(0.48, head, 0.2, 0.16, colour)
    for x in (0.43, 0.48, 0.53):
        brush.line([(x, head - 0.15), (x, head - 0.1)], 0.02, dark)
    brush.ellipse(0.48, head + 0.07, 0.09, 0.06, LIGHT)
    brush.ellipse(0.48, head + 0.09, 0.035, 0.012 + 0.045 * pose.drive, (140, 36, 48))
    brush.ellipse(0.48, head + 0.045, 0.025, 0.018, (222, 112, 122))
    for side in (-1, 1):
        brush.ellipse(0.48 + side * 0.085, head - 0.015, 0.035, 0.04, (176, 206, 92))
        brush.ellipse(0.48 + side * 0.085, head - 0.015, 0.012, 0.035, EYE)
        for drop in (0.06, 0.09):
            start, end = (0.48 + side * 0.08, head + drop), (0.48 + side * 0.25, head + drop - 0.01)
            brush.line([start, end], 0.01, LIGHT)


def draw_bird(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A songbird; effort opens the beak and raises the wing."""
    dark, drive = shade(colour, 0.66), pose.drive
    for x in (0.46, 0.56):
        brush.line([(x, 0.74), (x, 0.93)], 0.028, (222, 138, 52))
        brush.line([(x - 0.04, 0.94), (x + 0.06, 0.94)], 0.028, (222, 138, 52))
    brush.poly([(0.3, 0.56), (0.04, 0.5 - 0.1 * drive), (0.08, 0.66), (0.32, 0.7)], dark)
    brush.ellipse(0.48, 0.6, 0.25, 0.19, colour)
    brush.ellipse(0.56, 0.67, 0.15, 0.11, shade(colour, 1.55))
    beak = (244, 166, 44)
    brush.poly([(0.8, 0.35), (0.99, 0.35 - 0.09 * drive), (0.83, 0.41)], beak)
    brush.poly([(0.8, 0.4), (0.97, 0.4 + 0.07 * drive), (0.79, 0.44)], shade(beak, 0.8))
    brush.ellipse(0.71, 0.38, 0.15, 0.14, colour)
    brush.ellipse(0.78, 0.43, 0.06, 0.05, shade(colour, 1.55))
    _eye(brush, 0.76, 0.34, 0.036)
    wing = turned([(0.58, 0.52), (0.2, 0.52), (0.12, 0.62), (0.34, 0.72)], (0.58, 0.54), 62 * drive)
    brush.poly(wing, dark)
    stripe = turned([(0.48, 0.58), (0.22, 0.6)], (0.58, 0.54), 62 * drive)
    brush.line(stripe, 0.025, shade(colour, 1.5))


def draw_frog(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A frog from the front; effort swells the throat."""
    dark, pale = shade(colour, 0.64), shade(colour, 1.6)
    for side in (-1, 1):
        brush.ellipse(0.5 + side * 0.3, 0.74, 0.17, 0.15, dark)
        brush.ellipse(0.5 + side * 0.34, 0.92, 0.14, 0.045, colour)
    brush.ellipse(0.5, 0.66, 0.33, 0.26, colour)
    for x, y in ((0.3, 0.6), (0.68, 0.58), (0.4, 0.52), (0.62, 0.7), (0.34, 0.74)):
        brush.ellipse(x, y, 0.035, 0.028, dark)
    brush.ellipse(0.5, 0.8, 0.16 + 0.09 * pose.drive, 0.1 + 0.08 * pose.drive, pale)
    brush.line([(0.27, 0.62), (0.5, 0.68), (0.73, 0.62)], 0.022, EYE)
    for side in (-1, 1):
        x = 0.5 + side * 0.18
        brush.ellipse(x, 0.41, 0.11, 0.11, colour)
        brush.ellipse(x, 0.4, 0.07, 0.07, (246, 224, 120))
        brush.ellipse(x, 0.4, 0.045, 0.026, EYE)
        brush.line([(x + side * 0.02, 0.88), (x + side * 0.02, 0.95)], 0.07, colour)


def draw_robot(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A toy robot; effort raises both arms and lights lamp and eyes."""
    dark, steel, drive = shade(colour, 0.62), (120, 126, 136), pose.drive
    lamp = (255, 236, 110) if drive > 0.3 else (150, 48, 44)
    brush.line([(0.5, 0.2), (0.5, 0.08)], 0.025, steel)
    brush.ellipse(0.5, 0.07, 0.045, 0.045, lamp)
    for side in (-1, 1):
        elbow = (0.5 + side * 0.36, 0.62 - 0.22 * drive)
        hand = (0.5 + side * 0.4, 0.76 - 0.5 * drive)
        brush.line([(0.5 + side * 0.2, 0.52), elbow, hand], 0.07, steel)
        brush.ellipse(*hand, 0.055, 0.055, dark)
        brush.box(0.5 + side * 0.12 - 0.06, 0.78, 0.5 + side * 0.12 + 0.06, 0.93, 0.01, steel)
        brush.box(0.5 + side * 0.14 - 0.09, 0.9, 0.5 + side * 0.14 + 0.09, 0.97, 0.02, dark)
    brush.box(0.29, 0.46, 0.71, 0.82, 0.03, colour)
    brush.box(0.36, 0.54, 0.64, 0.7, 0.02, dark)
    for x, tone in ((0.42, (230, 70, 60)), (0.5, (240, 200, 60)), (0.58, (90, 200, 110))):
        brush.ellipse(x, 0.62, 0.03, 0.03, tone)
    brush.line([(0.36, 0.76), (0.64, 0.76)], 0.02, dark)
    brush.box(0.31, 0.18, 0.69, 0.45, 0.05, colour)
    glow = (140, 240, 250) if drive > 0.3 else (70, 110, 130)
    for x in (0.41, 0.59):
        brush.ellipse(x, 0.28, 0.055, 0.055, EYE)
        brush.ellipse(x, 0.28, 0.037, 0.037, glow)
    brush.box(0.4, 0.36, 0.6, 0.4 + 0.02 * drive, 0.01, EYE)
    for x in (0.45, 0.5, 0.55):
        brush.line([(x, 0.365), (x, 0.395)], 0.012, glow)
