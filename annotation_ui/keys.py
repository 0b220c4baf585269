"""Key frames of one box as Label Studio has them, and what they show at each frame.

Takes tubes or exported sequences, gives key frames and boxes in shares of the picture. The rules
were measured on 1.23.2: linear between keys, the last box stays to the end, and a disabled key is
itself still shown. Exported `time` is one frame late and is never read.

    {"frame": 51, "time": 2.0, "x": 78.1, "y": 63.9, "width": 9.4, "height": 16.7, "rotation": 0,
     "enabled": true}
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.annotation_ui.clip import Clock, Frames
from earshot.geometry.tubes import VISIBLE, native_step_s, thin

MIN_IOU = 0.9
"""What thinning keeps of every sample that it drops."""
_ROUNDED = 1e-6  # of an IoU, lost with the digits

# The editor hands numbers through pixels and back; 0.01 % of 1280 px is an eighth of a pixel.
_SAME_PERCENT = 0.01
# A millionth of a percent: what is behind it is noise of the floats, and a third of the bytes.
_DIGITS = 6
# As `geometry.tubes.at`: samples farther apart than two steps say nothing of what is between.
_HOLE_STEPS = 2.001

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Key:
    """A key frame: box in percent of the picture, turned about its top left corner."""

    frame: int
    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0
    enabled: bool = True

    @property
    def numbers(self) -> tuple[float, float, float, float, float]:
        """What is interpolated."""
        return (self.x, self.y, self.width, self.height, self.rotation)

    def to_json(self, fps: float) -> dict[str, Any]:
        """Return it as predictions have it; without `time` the export fails as a whole."""
        return {
            "frame": self.frame,
            "time": (self.frame - 1) / fps,
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "rotation": self.rotation,
            "enabled": self.enabled,
        }


def keys_of(
    times_s: FloatArray, boxes: FloatArray, states: npt.ArrayLike, clock: Clock
) -> list[Key]:
    """Return the fewest keys that show a tube in a clip with IoU >= 0.9; none where it is unseen.

    Args:
        times_s, boxes, states: the tube, boxes (n, 4) xyxy in shares of the picture.
        clock: of the clip.
    """
    frames = clock.frames(times_s)
    _, first = np.unique(frames, return_index=True)
    there = first[clock.holds(frames[first])]
    keys: list[Key] = []
    for run in _runs(np.asarray(states)[there], times_s[there], native_step_s(times_s)):
        at = there[run]
        shown = np.full(at.size, VISIBLE, dtype=np.int8)
        kept = at[thin(frames[at], boxes[at], shown, MIN_IOU + _ROUNDED)]
        corners = 100 * boxes[kept]
        numbers = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).round(_DIGITS)
        last = int(frames[kept[-1]])
        keys += [
            Key(frame, x, y, width, height, 0.0, frame != last)
            for frame, (x, y, width, height) in zip(
                frames[kept].tolist(), numbers.tolist(), strict=True
            )
        ]
    return keys


def _runs(states: npt.NDArray[np.int8], times_s: FloatArray, step_s: float) -> list[Any]:
    """Return the places of each visible stretch."""
    visible = np.flatnonzero(states == VISIBLE)
    if not visible.size:
        return []
    holes = np.diff(times_s[visible]) > _HOLE_STEPS * step_s
    cuts = np.flatnonzero((np.diff(visible) > 1) | holes) + 1
    return np.split(visible, cuts)


def read_keys(sequence: Sequence[Mapping[str, Any]]) -> list[Key]:
    """Return the keys of an exported sequence by frame; of two on one frame the later counts.

    Raises:
        ValueError: if a key has no frame or no box.
    """
    found: dict[int, Key] = {}
    for each in sequence:
        try:
            numbers = [float(each[name]) for name in ("x", "y", "width", "height")]
            frame, turn = int(each["frame"]), float(each.get("rotation") or 0.0)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"key frame {dict(each)!r}: expected frame, x, y, width, height"
            ) from error
        if not all(map(math.isfinite, [*numbers, turn])):
            raise ValueError(f"key frame {dict(each)!r}: expected finite numbers")
        x, y, width, height = numbers
        enabled = bool(each.get("enabled", True))
        found[frame] = Key(frame, x, y, width, height, turn, enabled)
    return [found[frame] for frame in sorted(found)]


def boxes_at(
    keys: Sequence[Key], frames: Frames, aspect: float
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return boxes (m, 4) in shares of the picture, NaN where hidden, and where it is shown (m,).

    A turned box becomes the upright one around it.

    Args:
        keys: by frame.
        frames: (m,) 1-based.
        aspect: width of the picture over its height: turning happens in pixels.
    """
    boxes = np.full((frames.size, 4), np.nan)
    shown = np.zeros(frames.size, dtype=bool)
    if not keys:
        return boxes, shown
    at = np.array([key.frame for key in keys])
    before = np.searchsorted(at, frames, side="right") - 1
    for row, (frame, index) in enumerate(zip(frames.tolist(), before.tolist(), strict=True)):
        if index < 0 or not (keys[index].enabled or keys[index].frame == frame):
            continue
        after = keys[min(index + 1, len(keys) - 1)]
        boxes[row] = _upright(_between(keys[index], after, frame), aspect)
        shown[row] = boxes[row, 0] < boxes[row, 2] and boxes[row, 1] < boxes[row, 3]
    boxes[~shown] = np.nan
    return boxes, shown


def _between(key: Key, after: Key, frame: int) -> list[float]:
    if after.frame <= key.frame:
        return list(key.numbers)
    weight = (frame - key.frame) / (after.frame - key.frame)
    line = [a + weight * (b - a) for a, b in zip(key.numbers, after.numbers, strict=True)]
    turn = (after.rotation - key.rotation + 180) % 360 - 180
    return [*line[:4], key.rotation + weight * turn]


def _upright(numbers: Sequence[float], aspect: float) -> tuple[float, float, float, float]:
    """Return the upright box around a turned one, inside the picture, in shares of it."""
    x, y, width, height, rotation = numbers
    turn = math.radians(rotation)
    cos, sin = math.cos(turn), math.sin(turn)
    # In units of the picture's height both axes have one scale.
    wide, high = width * aspect, height
    corners = [(0.0, 0.0), (wide * cos, wide * sin), (-high * sin, high * cos)]
    corners.append((corners[1][0] + corners[2][0], corners[1][1] + corners[2][1]))
    xs = [x + corner[0] / aspect for corner in corners]
    ys = [y + corner[1] for corner in corners]
    x1, y1, x2, y2 = (min(max(v / 100, 0.0), 1.0) for v in (min(xs), min(ys), max(xs), max(ys)))
    return (x1, y1, x2, y2)


def without_leftovers(sent: Sequence[Key], left: Sequence[Key]) -> list[Key]:
    """Return a person's keys without the ends of stretches that they cut off.

    Who ends a box at frame 60 leaves the key that ended it at 100: disabled and behind a hidden
    stretch, it would show the box for one frame.
    """
    began = {key.frame: before for before, key in zip([None, *sent], sent, strict=False)}
    kept: list[Key] = []
    for key in left:
        before = began.get(key.frame)
        ended = not key.enabled and before is not None and before.enabled
        if ended and (not kept or not kept[-1].enabled):
            continue
        kept.append(key)
    return kept


def is_touched(sent: Sequence[Key], left: Sequence[Key], frames: Frames) -> npt.NDArray[np.bool_]:
    """Tell of each frame whether a person's keys show anything else there than those sent.

    Both are linear between the key frames of either, so equal at two neighbours is equal between.
    """
    at = np.array(sorted({key.frame for key in (*sent, *left)}), dtype=np.int64)
    if not at.size:
        return np.zeros(frames.size, dtype=bool)
    same = np.array([_is_same(_state(sent, frame), _state(left, frame)) for frame in at.tolist()])
    # Outside the first and last key nothing but those two can make a difference.
    before = np.clip(np.searchsorted(at, frames, side="right") - 1, 0, None)
    after = np.clip(np.searchsorted(at, frames, side="left"), None, at.size - 1)
    touched: npt.NDArray[np.bool_] = ~(same[before] & same[after])
    return touched


def _state(keys: Sequence[Key], frame: int) -> tuple[list[float] | None, bool]:
    """Return the numbers shown at a frame (None: hidden), and whether it is shown after it."""
    index = bisect_right(keys, frame, key=lambda key: key.frame) - 1
    if index < 0:
        return None, False
    key, after = keys[index], keys[min(index + 1, len(keys) - 1)]
    is_shown = key.enabled or key.frame == frame
    return (_between(key, after, frame) if is_shown else None), key.enabled


def _is_same(one: tuple[list[float] | None, bool], other: tuple[list[float] | None, bool]) -> bool:
    (mine, goes_on), (theirs, they_go_on) = one, other
    if goes_on != they_go_on or mine is None or theirs is None:
        return goes_on == they_go_on and mine is theirs
    return all(abs(a - b) <= _SAME_PERCENT for a, b in zip(mine, theirs, strict=True))
