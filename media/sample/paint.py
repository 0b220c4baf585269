"""Paints the frames of a script and measures, on the very pixels, where each actor is seen.

Takes a script, gives RGB frames one by one; the boxes come from a map of which actor owns which
pixel, so that they are exact by construction. Never encodes anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from earshot.media.sample.scenery import view_of
from earshot.media.sample.script import Actor, Floats, Script
from earshot.media.sample.sprites import Sprite, Wardrobe

# An actor of which less than this part of its pixels is seen counts as absent.
SEEN_PART = 0.1
FOOT = 0.95
MARGIN_PX = 6
PHASES = 4

Frame = npt.NDArray[np.uint8]
Rect = tuple[slice, slice]


class Backdrop:
    """A place filmed by an unsteady hand: a view that pans by a few pixels, smoothly."""

    def __init__(self, script: Script, rng: np.random.Generator) -> None:
        self._shape = (script.height, script.width)
        tall, wide = (side + 2 * MARGIN_PX + 1 for side in self._shape)
        view = view_of(script.theme, (tall, wide), rng).astype(np.float32)
        self._views: dict[tuple[int, int], Frame] = {}
        for down in range(PHASES):
            for right in range(PHASES):
                v, u = down / PHASES, right / PHASES
                rows = view[:-1] * (1 - v) + view[1:] * v
                self._views[down, right] = (rows[:, :-1] * (1 - u) + rows[:, 1:] * u).astype(
                    np.uint8
                )
        times_s, turns = script.times_s, rng.uniform(0, 6, 2)
        self._down = MARGIN_PX + 1.6 * np.sin(2 * np.pi * times_s / rng.uniform(5, 7) + turns[0])
        self._right = MARGIN_PX + 3.0 * np.sin(2 * np.pi * times_s / rng.uniform(7, 9) + turns[1])

    def frame(self, at: int) -> Frame:
        """Return a fresh copy of the view at a frame."""
        down, right = (int(place[at] * PHASES) for place in (self._down, self._right))
        view = self._views[down % PHASES, right % PHASES]
        top, left = down // PHASES, right // PHASES
        return view[top : top + self._shape[0], left : left + self._shape[1]].copy()


def _cut(left: int, top: int, size: tuple[int, int], frame: tuple[int, int]) -> tuple[Rect, Rect]:
    """Return the part of the frame that a board covers and the part of the board inside it."""
    y1, y2 = max(top, 0), min(top + size[0], frame[0])
    x1, x2 = max(left, 0), min(left + size[1], frame[1])
    y2, x2 = max(y1, y2), max(x1, x2)
    inside = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    return (slice(y1, y2), slice(x1, x2)), inside


class Player:
    """An actor on the set: where its board is and what it wears at every frame."""

    def __init__(self, actor: Actor, script: Script, rng: np.random.Generator) -> None:
        self.actor = actor
        self._frame = (script.height, script.width)
        self._wardrobe = Wardrobe(actor, script.width, script.height, rng)
        times_s, kind = script.times_s, actor.kind
        self._drive, self._swing = actor.drive_at(times_s), actor.swing_at(times_s)
        size_px = self._wardrobe.size_px
        x = actor.x_at(times_s)
        self._middle = np.round(x * script.width + kind.shake * self._swing * size_px).astype(int)
        foot = actor.foot_y * script.height - kind.jump * self._drive * size_px
        self._foot = np.round(foot).astype(int)
        self._flip = _facing(x, flip=actor.flip)
        self._shadow = _shadow(size_px)

    def sprite(self, at: int) -> Sprite:
        """Return what the actor wears at a frame."""
        return self._wardrobe.wear(
            float(self._drive[at]), float(self._swing[at]), flip=bool(self._flip[at])
        )

    def rects(self, at: int, sprite: Sprite) -> tuple[Rect, Rect]:
        """Return where the sprite lies on the frame and which part of it is inside."""
        tall, wide = sprite.mask.shape
        left = int(self._middle[at]) - wide // 2
        if tall == self._frame[0]:
            return _cut(left, 0, (tall, wide), self._frame)
        return _cut(left, int(self._foot[at] - FOOT * tall), (tall, wide), self._frame)

    def cast_shadow(self, frame: Frame, at: int) -> None:
        """Darken the ground below the actor, in place."""
        if self.actor.kind.stands != "ground" or self.actor.size >= 1:
            return
        tall, wide = self._shadow.shape[:2]
        ground = round(self.actor.foot_y * self._frame[0])
        corner = (int(self._middle[at]) - wide // 2, ground - tall // 2)
        where, inside = _cut(*corner, (tall, wide), self._frame)
        frame[where] = (frame[where] * self._shadow[inside]) >> 8


def _shadow(size_px: int) -> npt.NDArray[np.uint16]:
    """Return factors of 256 for a soft flat ellipse, (size / 6, size, 1)."""
    y = np.linspace(-1, 1, max(3, size_px // 6))[:, None]
    x = np.linspace(-1, 1, size_px)[None, :]
    dark = np.clip(1.1 - np.hypot(x, y), 0, 0.5)
    return np.asarray(256 * (1 - 0.8 * dark), dtype=np.uint16)[..., None]


def _facing(x: Floats, *, flip: bool) -> npt.NDArray[np.bool_]:
    """Return for each frame whether the actor looks to the left; walkers look where they go."""
    step = np.diff(x, prepend=x[0])
    walks = np.abs(step) > 0.004
    if not walks.any():
        return np.full(x.shape, flip)
    last = np.maximum.accumulate(np.where(walks, np.arange(len(x)), -1))
    first = int(np.argmax(walks))
    return np.asarray(step[np.where(last >= 0, last, first)] < 0)


class Painter:
    """Paints one script; `boxes_px` is complete when all frames have been taken."""

    def __init__(self, script: Script, rng: np.random.Generator) -> None:
        self._script = script
        self._backdrop = Backdrop(script, rng)
        actors = script.scene.actors
        players = [(k, Player(a, script, rng)) for k, a in enumerate(actors) if a.is_seen]
        self._players = sorted(players, key=lambda p: (p[1].actor.depth, p[1].actor.foot_y))
        self.boxes_px = np.full((len(actors), script.n_frames, 4), np.nan)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order, (height, width, 3) uint8 RGB."""
        for at in range(self._script.n_frames):
            yield self._frame(at)

    def _frame(self, at: int) -> Frame:
        frame = self._backdrop.frame(at)
        owner = np.zeros(frame.shape[:2], dtype=np.uint8)
        for _, player in self._players:
            player.cast_shadow(frame, at)
        seen: list[tuple[int, Sprite, Rect]] = []
        for key, player in self._players:
            sprite = player.sprite(at)
            where, inside = player.rects(at, sprite)
            frame[where] = (sprite.colour[inside] + frame[where] * sprite.rest[inside]) >> 8
            owner[where][sprite.mask[inside]] = key + 1
            seen.append((key, sprite, where))
        for key, sprite, where in seen:
            self.boxes_px[key, at] = _box(owner[where] == key + 1, where, sprite.area_px)
        return frame


def _box(mine: npt.NDArray[np.bool_], where: Rect, area_px: int) -> tuple[float, ...]:
    """Return the extent of the pixels that an actor owns, or NaN where too few are seen."""
    if np.count_nonzero(mine) < max(1.0, SEEN_PART * area_px):
        return (np.nan,) * 4
    rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    top, left = where[0].start, where[1].start
    return (
        float(left + columns[0]),
        float(top + rows[0]),
        float(left + columns[-1] + 1),
        float(top + rows[-1] + 1),
    )
