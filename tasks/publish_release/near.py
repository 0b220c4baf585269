"""Finds videos that show the same, by the hashes of their frames.

Takes fingerprints (`media.fingerprint`), gives pairs of video ids. Exact, and yet no frame is
compared with every other: of 16 words of two hashes that differ in 31 bits or fewer, one at least
differs in no more than one bit, so candidates are looked up word by word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from earshot.media.fingerprint import MAX_BITS, MIN_FRAMES, MIN_SHARE

_WORDS, _WORD_BITS = 16, 16
_FLIPS = (0, *(1 << bit for bit in range(_WORD_BITS)))
_PAIRS = 4_000_000
"""Candidates that are compared at a time: some 300 MB."""

Words = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]


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
    parts = [np.empty((2, 0), dtype=np.intp)]
    for one, other in _candidates(words):
        apart = owners[one] != owners[other]
        one, other = one[apart], other[apart]
        distance = np.bitwise_count(words[one] ^ words[other]).sum(axis=1)
        fits = distance <= MAX_BITS
        parts.append(np.unique(np.stack([one[fits], owners[other[fits]]]), axis=1))
    frames = np.unique(np.concatenate(parts, axis=1), axis=1)
    for frame, other_owner in frames.T.tolist():
        yield int(owners[frame]), other_owner


def _candidates(words: Words) -> Iterator[tuple[Indices, Indices]]:
    """Yield pairs of frames with a word that differs in at most one bit, each pair both ways."""
    short = words.view(np.uint16).reshape(len(words), _WORDS)
    for place in range(_WORDS):
        order = np.argsort(short[:, place], kind="stable")
        keys = short[order, place]
        for flip in _FLIPS:
            wanted = short[:, place] ^ np.uint16(flip)
            first = np.searchsorted(keys, wanted, "left")
            counts = np.searchsorted(keys, wanted, "right") - first
            ends = np.cumsum(counts)
            low = 0
            while low < len(words):
                # At least one frame, however common its word is.
                base = ends[low - 1] if low else 0
                high = max(low + 1, int(np.searchsorted(ends, base + _PAIRS, "right")))
                one = np.repeat(np.arange(low, high), counts[low:high])
                before = np.repeat(ends[low:high] - counts[low:high], counts[low:high])
                nth = np.arange(base, ends[high - 1]) - before
                yield one, order[first[one] + nth]
                low = high
