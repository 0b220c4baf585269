"""Perceptual hashes of a video's pictures, by which near duplicates are found.

Takes decoded frames, gives PDQ hashes (Meta, 256 bits each) of up to 16 of them, evenly apart. Two
files that show the same differ in few bits, whatever their codec, size and rate.
"""

from __future__ import annotations

import av
import numpy as np

from earshot.media.display import Picture

FRAMES = 16
SIDE_PX = 128
"""PDQ looks at 64 x 64 means; more pixels change nothing but the cost."""

MAX_BITS = 31
"""Two frames are alike up to this distance of 256: the threshold that PDQ's authors recommend."""

MIN_SHARE = 0.5
"""So many of the frames of the one with fewer have to be found in the other."""

MIN_FRAMES = 4
"""With fewer frames that can be told apart, nothing is said of a video."""

MIN_QUALITY = 50
"""Below this (of 100) a picture has too few edges to be told from others: a black frame."""


class Fingerprint:
    """Gathers hashes while a video of `duration_s` seconds is decoded once, in any order."""

    def __init__(self, duration_s: float) -> None:
        self._step_s = duration_s / FRAMES
        self._picture = Picture(SIDE_PX, SIDE_PX)
        self._hashes: dict[int, str] = {}
        self._seen: set[int] = set()

    def see(self, frame: av.VideoFrame, time_s: float) -> None:
        """Take in a frame, if it is the first in the latter half of its sixteenth."""
        if self._step_s <= 0:
            return
        place = time_s / self._step_s
        index = int(place)
        if not 0 <= index < FRAMES or place - index < 0.5 or index in self._seen:
            return
        self._seen.add(index)
        # C++ that only the decoder's child has to load.
        import pdqhash

        bits, quality = pdqhash.compute(np.ascontiguousarray(self._picture.array(frame)))
        if quality >= MIN_QUALITY:
            self._hashes[index] = np.packbits(bits.astype(bool)).tobytes().hex()

    @property
    def text(self) -> str | None:
        """Hashes as 64 hex digits each, in time's order, with spaces; None without any."""
        return " ".join(self._hashes[index] for index in sorted(self._hashes)) or None


def shared_frames(one: str, other: str) -> float | None:
    """Return which share of the frames of the one with fewer is found in the other.

    None where one of them has too few frames that can be told apart.
    """
    fewer, more = sorted(
        ([int(each, 16) for each in {*text.split()}] for text in (one, other)), key=len
    )
    if len(fewer) < MIN_FRAMES:
        return None
    found = [any((a ^ b).bit_count() <= MAX_BITS for b in more) for a in fewer]
    return sum(found) / len(found)
