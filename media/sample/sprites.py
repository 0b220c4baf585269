"""Makes the pictures of one actor in all poses that it takes, once each.

Takes an actor and a frame size, gives blend-ready sprites; where they are put is `paint`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.media.sample.brush import RIM, Brush
from earshot.media.sample.creatures import Pose
from earshot.media.sample.scenery import noise
from earshot.media.sample.script import Actor
from earshot.media.sample.things import DRAWINGS

DRIVE_STEPS = 8
SWING_STEPS = 6
PILLAR_WIDTH = 0.4


@dataclass(frozen=True)
class Sprite:
    """One pose: colours times alpha and 256 - alpha (uint16), and what counts as the thing."""

    colour: npt.NDArray[np.uint16]
    rest: npt.NDArray[np.uint16]
    mask: npt.NDArray[np.bool_]
    area_px: int


def reach_px(width: int, height: int) -> float:
    """Return the length that an actor's `size` is a part of, so that portrait frames fit too."""
    return min(height, 0.8 * width)


def _sprite(pixels: npt.NDArray[np.uint8]) -> Sprite:
    alpha = pixels[..., 3:].astype(np.uint16)
    alpha += alpha > 127
    mask = pixels[..., 3] > 127
    colour = pixels[..., :3].astype(np.uint16) * alpha
    return Sprite(colour, np.asarray(256 - alpha, dtype=np.uint16), mask, int(mask.sum()))


def _texture(actor: Actor, size_px: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    shape = (size_px, size_px)
    factor = 1 + 0.05 * noise(shape, 3, rng)
    if actor.kind.texture == "fur":
        factor += 0.13 * noise(shape, 4, rng) + 0.1 * noise((size_px, max(2, size_px)), 7, rng)
    if actor.kind.texture == "wood":
        factor += 0.1 * np.sin(np.linspace(0, 40, size_px) + 3 * noise(shape, 30, rng))
    if actor.kind.texture == "metal":
        factor += 0.1 * np.sin(np.linspace(0, 9, size_px))[None, :] + 0.04 * noise(shape, 2, rng)
    return np.asarray(factor, dtype=np.float32)


def _pillar(actor: Actor, width: int, height: int, rng: np.random.Generator) -> Sprite:
    """A column as high as the frame, round by its shading, with a dark rim at both sides."""
    wide = round(PILLAR_WIDTH * reach_px(width, height))
    across = np.linspace(-1, 1, wide, dtype=np.float32)
    light = 0.62 + 0.42 * np.sqrt(1 - (across * 0.96) ** 2) - 0.12 * across
    if actor.kind.texture == "wood":
        grain = noise((max(2, height // 10), wide), 3, rng)
        tone = 1 + 0.28 * np.repeat(grain, 10 + 1, axis=0)[:height]
    else:
        tone = 1 + 0.08 * noise((height, wide), 3, rng) + 0.1 * noise((height, wide), 24, rng)
        tone[(np.arange(height) % max(24, height // 6)) < 2] *= 0.7
    pixels = np.full((height, wide, 4), 255, dtype=np.uint8)
    colour = np.array(actor.look.rgb, dtype=np.float32) * (tone * light[None, :])[..., None]
    pixels[..., :3] = np.clip(colour, 0, 255).astype(np.uint8)
    pixels[:, :1, :3] = RIM
    pixels[:, -1:, :3] = RIM
    return _sprite(pixels)


class Wardrobe:
    """The sprites of one actor, drawn when first worn."""

    def __init__(self, actor: Actor, width: int, height: int, rng: np.random.Generator) -> None:
        self._actor = actor
        self.size_px = max(16, round(actor.size * reach_px(width, height)))
        self._worn: dict[tuple[int, int, bool], Sprite] = {}
        self._still: Sprite | None = None
        if actor.kind.name in DRAWINGS:
            self._texture = _texture(actor, self.size_px, rng)
        else:
            self._still = _pillar(actor, width, height, rng)

    def wear(self, drive: float, swing: float, *, flip: bool) -> Sprite:
        """Return the sprite of the pose nearest to drive in [0, 1] and swing in [-1, 1]."""
        if self._still is not None:
            return self._still
        key = (round(drive * DRIVE_STEPS), round(swing * SWING_STEPS), flip)
        if key not in self._worn:
            self._worn[key] = self._draw(*key)
        return self._worn[key]

    def _draw(self, drive_step: int, swing_step: int, flip: bool) -> Sprite:
        kind = self._actor.kind
        pose = Pose(drive_step / DRIVE_STEPS, swing_step / SWING_STEPS)
        brush = Brush(self.size_px)
        DRAWINGS[kind.name](brush, self._actor.look.rgb, pose)
        pixels = brush.sprite(self._texture, kind.tilt_deg * pose.swing)
        return _sprite(np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels)
