"""Makes a perceptual fingerprint of a video's pictures: the same for another encoding of it.

Five frames at fixed shares of the length, each a 64-bit hash of its coarse brightness (the sign of
the 8x8 lowest cosine terms against their median). Takes a local file, keeps no frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from earshot.media.frames import read_frames

ALGORITHM = "dct64"
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
SAME_BITS = 10
"""Hashes of one frame in two encodings differ by a few bits of 64; of two frames by about 32."""

_SIDE, _TERMS = 32, 8


def fingerprint(path: Path, duration_s: float) -> str:
    """Return `dct64:` and five hashes in hex, with commas between.

    Raises:
        MediaError: the file can't be opened or decoded.
    """
    times_s = tuple(round(share * duration_s, 3) for share in SHARES)
    hashes = [_hash(frame) for _, frame in read_frames(path, times_s, _SIDE, _SIDE)]
    return f"{ALGORITHM}:{','.join(f'{each:016x}' for each in hashes)}"


def distance(one: str, other: str) -> float | None:
    """Return the median number of bits in which frames differ; None for other algorithms."""
    if not (one.startswith(f"{ALGORITHM}:") and other.startswith(f"{ALGORITHM}:")):
        return None
    pairs = zip(_hashes(one), _hashes(other), strict=False)
    return float(np.median([(a ^ b).bit_count() for a, b in pairs]))


def _hashes(text: str) -> list[int]:
    return [int(each, 16) for each in text.partition(":")[2].split(",")]


def _hash(frame: npt.NDArray[np.uint8]) -> int:
    grey = frame.astype(np.float64) @ (0.299, 0.587, 0.114)
    low = dctn(grey, norm="ortho")[:_TERMS, :_TERMS].ravel()
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
