"""Finds videos that show the same, by the hashes of their frames.

Takes fingerprints (`media.fingerprint`), gives pairs of video ids. Every frame is compared with
every other: some 20 s for 5,000 videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

MAX_BITS = 31
"""Two frames are alike up to this distance of 256: the threshold that PDQ's authors recommend."""

MIN_SHARE = 0.5
"""So many of the frames of the one with fewer have to be found in the other."""

MIN_FRAMES = 4
"""With fewer frames that can be told apart, nothing is said of a video."""

_CHUNK = 512

Words = npt.NDArray[np.uint64]


def near_duplicates(fingerprints: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Return the pairs (a, b), a < b, of videos that show the same.

    Args:
        fingerprints: by video id; a video without one is near to none.
    """
    known = {
        video_id: hashes
        for video_id, text in sorted(fingerprints.items())
        if text is not None and len(hashes := sorted(set(text.split()))) >= MIN_FRAMES
    }
    names = list(known)
    counts = [len(known[name]) for name in names]
    owners = np.repeat(np.arange(len(names)), counts)
    data = bytes.fromhex("".join("".join(hashes) for hashes in known.values()))
    words = np.frombuffer(data, dtype=np.uint64).reshape(-1, 4)
    found: dict[tuple[int, int], int] = {}
    for frame_owner, other in _alike(words, owners):
        found[frame_owner, other] = found.get((frame_owner, other), 0) + 1
    return tuple(
        (names[a], names[b]) for a, b in sorted(found) if a < b and _is_near(found, a, b, counts)
    )


def _is_near(found: Mapping[tuple[int, int], int], a: int, b: int, counts: list[int]) -> bool:
    fewer, more = (a, b) if counts[a] <= counts[b] else (b, a)
    return found.get((fewer, more), 0) >= MIN_SHARE * counts[fewer]


def _alike(words: Words, owners: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield (owner, other) for each frame and each other video that has a frame like it."""
    for first in range(0, len(words), _CHUNK):
        rows = words[first : first + _CHUNK]
        # One word of four says no for nearly all pairs.
        near = np.bitwise_count(rows[:, None, 0] ^ words[None, :, 0]) <= MAX_BITS
        here, there = np.nonzero(near)
        distance = np.bitwise_count(rows[here] ^ words[there]).sum(axis=1)
        fits = (distance <= MAX_BITS) & (owners[here + first] != owners[there])
        frames = np.unique(np.stack([here[fits], owners[there[fits]]]), axis=1)
        for frame, other in frames.T.tolist():
            yield int(owners[first + frame]), other
