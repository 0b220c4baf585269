"""Cuts windows into pieces of bounded length and packs pieces of several windows together.

Takes lengths in frames, gives which frames are decoded and held at a time, and which of them are
key frames. One pack is all that a tracker holds: its size does not grow with the video.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Frames [first, stop) of a window, followed with the frames from `reach` on still held."""

    window: int
    first: int
    stop: int
    reach: int


def pack(lengths: Sequence[int], frames: int, overlap: int) -> list[list[Piece]]:
    """Return packs of pieces, windows in order; a pack holds at most `frames` frames.

    Each piece but a window's first also holds the `overlap` frames before it.

    Raises:
        ValueError: not frames > overlap >= 0.
    """
    if not frames > overlap >= 0:
        raise ValueError(f"pieces of {frames} frames with {overlap} held: expected frames > held")
    packs: list[list[Piece]] = []
    room = 0
    for window, length in enumerate(lengths):
        first = 0
        while first < length:
            held = min(overlap, first)
            if room <= held:
                packs.append([])
                room = frames
            stop = min(first + room - held, length)
            packs[-1].append(Piece(window, first, stop, first - held))
            room -= stop - first + held
            first = stop
    return packs


def key_frames(length: int, fps: float, every_s: float) -> list[int]:
    """Return the frames of a window on which things are detected: its first and last too.

    They are spread evenly, at most `every_s` seconds apart.
    """
    if length < 2:
        return list(range(length))
    steps = max(math.ceil((length - 1) / max(every_s * fps, 1.0) - 1e-9), 1)
    return sorted({round(at * (length - 1) / steps) for at in range(steps + 1)})
