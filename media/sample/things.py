"""Draws the instruments, the machines and the silent toys of the sample world.

Takes a brush, a colour and a pose; leaves the shapes on the brush. Never decides when they move.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from earshot.media.sample.brush import Brush, Point, shade, turned
from earshot.media.sample.creatures import (
    EYE,
    LIGHT,
    Pose,
    draw_bird,
    draw_cat,
    draw_dog,
    draw_frog,
    draw_robot,
)
from earshot.media.sample.kinds import RGB

STEEL: RGB = (128, 132, 142)
WOOD: RGB = (206, 164, 104)


def draw_drum(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A drum with two sticks that rebound from the head in turn."""
    dark = shade(colour, 0.66)
    for x in (0.24, 0.76):
        brush.line([(0.5, 0.8), (x, 0.96)], 0.035, STEEL)
    brush.poly([(0.16, 0.5), (0.84, 0.5), (0.8, 0.84), (0.2, 0.84)], colour)
    brush.ellipse(0.5, 0.84, 0.3, 0.09, colour)
    zigzag = [(0.17 + 0.11 * i, 0.6 if i % 2 else 0.86) for i in range(7)]
    brush.line(zigzag, 0.02, LIGHT)
    brush.ellipse(0.5, 0.5, 0.36, 0.12, dark)
    brush.ellipse(0.5, 0.485, 0.33, 0.1, (244, 236, 214))
    brush.ellipse(0.5, 0.485, 0.14, 0.04, (226, 214, 184))
    left, right = (pose.drive, pose.drive * 0.35) if pose.swing >= 0 else (pose.drive * 0.35, 0.0)
    right = max(right, pose.drive if pose.swing < 0 else 0.0)
    for side, rise in ((-1, left), (1, right)):
        tip = (0.5 + side * 0.1, 0.46)
        end = (0.5 + side * 0.46, 0.28)
        tip, end = turned([tip, end], end, side * 42 * rise)
        brush.line([tip, end], 0.035, WOOD)
        brush.ellipse(*tip, 0.035, 0.035, shade(WOOD, 1.3))


def draw_bell(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A bell in a wooden frame, swinging about its yoke; the clapper swings further."""
    frame, pivot = (112, 76, 46), (0.5, 0.16)
    for x in (0.12, 0.88):
        brush.line([(x, 0.12), (x, 0.95)], 0.07, frame)
        brush.line([(x - 0.07, 0.95), (x + 0.07, 0.95)], 0.06, shade(frame, 0.8))
    brush.line([(0.08, 0.13), (0.92, 0.13)], 0.07, shade(frame, 1.15))
    angle = 22 * pose.swing
    clapper = turned([(0.5, 0.5), (0.5, 0.8)], pivot, angle * 1.35)
    brush.line(clapper, 0.035, shade(colour, 0.45))
    brush.ellipse(*clapper[1], 0.05, 0.05, shade(colour, 0.5))
    half: list[Point] = [
        (0.0, 0.2), (0.1, 0.22), (0.15, 0.32), (0.17, 0.48), (0.21, 0.62), (0.29, 0.72),
    ]  # fmt: skip
    outline = [(0.5 + x, y) for x, y in half] + [(0.5 - x, y) for x, y in reversed(half)]
    brush.poly(turned(outline, pivot, angle), colour)
    gleam = [(0.42, 0.28), (0.4, 0.5), (0.34, 0.66)]
    brush.line(turned(gleam, pivot, angle), 0.04, shade(colour, 1.55))
    for y, reach in ((0.6, 0.2), (0.7, 0.28)):
        band = turned([(0.5 - reach, y), (0.5 + reach, y)], pivot, angle)
        brush.line(band, 0.022, shade(colour, 0.62))
    brush.line(turned([(0.5, 0.13), (0.5, 0.22)], pivot, angle), 0.06, STEEL)


def draw_guitar(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A guitar on a stand with a plectrum hand that sweeps across the strings."""
    dark = shade(colour, 0.5)
    brush.line([(0.3, 0.95), (0.45, 0.7), (0.62, 0.95)], 0.03, EYE)
    neck = (0.62, 0.08)
    brush.line([(0.46, 0.5), neck], 0.065, dark)
    brush.line([neck, (0.645, 0.02)], 0.1, shade(colour, 0.7))
    brush.ellipse(0.42, 0.72, 0.22, 0.2, colour)
    brush.ellipse(0.46, 0.5, 0.165, 0.15, colour)
    brush.ellipse(0.42, 0.72, 0.18, 0.16, shade(colour, 1.18))
    brush.ellipse(0.445, 0.58, 0.075, 0.07, (52, 34, 24))
    brush.line([(0.35, 0.79), (0.46, 0.81)], 0.035, dark)
    for shift in (-0.02, 0.0, 0.02):
        brush.line([(0.405 + shift, 0.8), (0.62 + shift, 0.06)], 0.007, LIGHT)
    hand_y = 0.56 + 0.2 * pose.drive
    brush.line([(0.86, hand_y + 0.12), (0.62, hand_y + 0.03), (0.52, hand_y)], 0.075, (54, 92, 150))
    brush.ellipse(0.5, hand_y, 0.065, 0.05, (226, 172, 132))
    brush.poly([(0.44, hand_y), (0.48, hand_y - 0.02), (0.48, hand_y + 0.04)], (236, 70, 60))


def _wheel(brush: Brush, x: float, angle_deg: float) -> None:
    brush.ellipse(x, 0.83, 0.115, 0.115, EYE)
    brush.ellipse(x, 0.83, 0.065, 0.065, (200, 204, 210))
    for step in range(3):
        spoke = turned([(x - 0.06, 0.83), (x + 0.06, 0.83)], (x, 0.83), angle_deg + 60 * step)
        brush.line(spoke, 0.016, STEEL)


def draw_car(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A car in profile; effort puffs the exhaust and lights the lamps."""
    dark, drive = shade(colour, 0.64), pose.drive
    if drive > 0.2:
        brush.ellipse(0.045, 0.82 - 0.03 * drive, 0.04 * drive, 0.035 * drive, (188, 186, 184))
        brush.ellipse(0.03, 0.75, 0.028 * drive, 0.026 * drive, (206, 204, 202))
    brush.line([(0.06, 0.85), (0.14, 0.85)], 0.028, STEEL)
    cabin = [(0.24, 0.58), (0.33, 0.36), (0.64, 0.36), (0.77, 0.58)]
    brush.poly(cabin, colour)
    brush.box(0.09, 0.55, 0.96, 0.83, 0.07, colour)
    brush.poly([(0.31, 0.57), (0.37, 0.41), (0.49, 0.41), (0.49, 0.57)], (176, 216, 234))
    brush.poly([(0.52, 0.57), (0.52, 0.41), (0.62, 0.41), (0.71, 0.57)], (176, 216, 234))
    brush.line([(0.4, 0.55), (0.45, 0.44)], 0.014, LIGHT)
    brush.line([(0.1, 0.72), (0.95, 0.72)], 0.02, dark)
    brush.line([(0.505, 0.58), (0.505, 0.78)], 0.012, dark)
    brush.ellipse(0.93, 0.64, 0.035, 0.04, (255, 244, 150) if drive > 0.3 else (224, 222, 206))
    brush.box(0.09, 0.6, 0.13, 0.68, 0.01, (236, 50, 44))
    _wheel(brush, 0.27, 40 * pose.swing)
    _wheel(brush, 0.77, 40 * pose.swing)


def draw_phone(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A rotary telephone; effort lifts the receiver off its cradle."""
    dark, pale = shade(colour, 0.6), shade(colour, 1.25)
    brush.poly([(0.32, 0.5), (0.68, 0.5), (0.9, 0.93), (0.1, 0.93)], colour)
    brush.line([(0.13, 0.92), (0.87, 0.92)], 0.06, dark)
    for x in (0.38, 0.62):
        brush.line([(x, 0.5), (x, 0.4)], 0.05, dark)
    brush.ellipse(0.5, 0.71, 0.18, 0.165, LIGHT)
    for step in range(10):
        angle = math.radians(36 * step)
        brush.ellipse(
            0.5 + 0.13 * math.cos(angle), 0.71 + 0.12 * math.sin(angle), 0.026, 0.025, EYE
        )
    brush.ellipse(0.5, 0.71, 0.07, 0.065, pale)
    lift = 0.12 * pose.drive
    grip = [(0.14, 0.4), (0.26, 0.31), (0.5, 0.28), (0.74, 0.31), (0.86, 0.4)]
    turned_grip = turned([(x, y - lift) for x, y in grip], (0.5, 0.32), 9 * pose.swing)
    brush.line(turned_grip, 0.095, dark)
    for x, y in (turned_grip[0], turned_grip[-1]):
        brush.ellipse(x, y + 0.03, 0.095, 0.07, colour)


def draw_ball(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A beach ball with six panels, a little flat where it rests."""
    squash = 0.04 * (1 - pose.drive)
    brush.ellipse(0.5, 0.54 + squash, 0.42, 0.42 - squash, colour)
    for step in range(3):
        tone = LIGHT if step != 1 else shade(colour, 0.6)
        brush.wedge((0.5, 0.54 + squash), 0.4 - squash, 120 * step, 120 * step + 60, tone)
    brush.ellipse(0.5, 0.54, 0.07, 0.07, LIGHT)
    brush.ellipse(0.36, 0.36, 0.07, 0.05, shade(colour, 1.75))


def draw_balloon(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A balloon whose string curls behind it."""
    bend = 0.1 * pose.swing
    string = [(0.5, 0.66), (0.5 + bend, 0.76), (0.5 - bend, 0.86), (0.5 + bend / 2, 0.97)]
    brush.line(string, 0.018, (92, 84, 80))
    brush.ellipse(0.5, 0.33, 0.28, 0.31, colour)
    brush.poly([(0.5, 0.6), (0.44, 0.69), (0.56, 0.69)], shade(colour, 0.7))
    brush.ellipse(0.39, 0.2, 0.06, 0.09, shade(colour, 1.7))
    brush.line([(0.32, 0.44), (0.5, 0.5), (0.68, 0.44)], 0.03, shade(colour, 0.72))


def draw_kite(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A kite of four panels with a tail of bows."""
    bend = 0.09 * pose.swing
    tail = [(0.5, 0.66), (0.5 + bend, 0.76), (0.5 - bend, 0.86), (0.5 + bend, 0.96)]
    brush.line(tail, 0.018, (90, 82, 80))
    for x, y in tail[1:]:
        brush.poly([(x - 0.06, y - 0.03), (x + 0.06, y + 0.03), (x + 0.06, y - 0.03),
                    (x - 0.06, y + 0.03)], shade(colour, 0.75))  # fmt: skip
    top, right, low, left, mid = (0.5, 0.03), (0.8, 0.28), (0.5, 0.68), (0.2, 0.28), (0.5, 0.28)
    brush.poly([top, right, mid], colour)
    brush.poly([top, left, mid], LIGHT)
    brush.poly([low, right, mid], LIGHT)
    brush.poly([low, left, mid], shade(colour, 0.8))
    brush.line([top, low], 0.02, WOOD)
    brush.line([left, right], 0.02, WOOD)


def draw_pinwheel(brush: Brush, colour: RGB, pose: Pose) -> None:
    """A paper windmill on a stick; effort turns it."""
    brush.line([(0.5, 0.34), (0.5, 0.95)], 0.04, WOOD)
    hub = (0.5, 0.34)
    for step in range(4):
        angle = 90 * step + 88 * pose.drive
        sail = turned([hub, (0.5, 0.03), (0.72, 0.1), (0.62, 0.26)], hub, angle)
        brush.poly(sail, colour if step % 2 else LIGHT)
        brush.poly(turned([hub, (0.5, 0.03), (0.57, 0.14)], hub, angle), shade(colour, 0.66))
    brush.ellipse(*hub, 0.045, 0.045, (240, 206, 80))


DRAWINGS: dict[str, Callable[[Brush, RGB, Pose], None]] = {
    "dog": draw_dog,
    "cat": draw_cat,
    "bird": draw_bird,
    "frog": draw_frog,
    "robot": draw_robot,
    "drum": draw_drum,
    "bell": draw_bell,
    "guitar": draw_guitar,
    "car": draw_car,
    "phone": draw_phone,
    "ball": draw_ball,
    "balloon": draw_balloon,
    "kite": draw_kite,
    "pinwheel": draw_pinwheel,
}
