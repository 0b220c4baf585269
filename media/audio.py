"""Takes a video file and gives its sound as a loudness envelope with onsets, from the same origin
as the picture.

Mono, root mean square of 10 ms hops; keeps no samples, so memory follows hops, not sample rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from earshot.errors import MediaError
from earshot.media.container import open_media, origin_s, sound_stream

HOP_S = 0.01
# Loudness below this (-80 dB) is floor: the logarithm must not turn its ripples into onsets.
_FLOOR = 1e-4
# An onset is a rise against what was loud this many hops ago: attacks take 10 to 50 ms.
_RISE_HOPS = 3

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Envelope:
    """Loudness over time.

    Attributes:
        rms: (n,) root mean square of hop i, which covers [i, i + 1) * HOP_S seconds from the
            container's start; full scale is 1, and a stretch without samples is 0.
        is_silent: the peak of the whole track lies below the silence level.
    """

    rms: FloatArray
    is_silent: bool

    @property
    def times_s(self) -> FloatArray:
        """(n,) middles of the hops in seconds."""
        return np.asarray((np.arange(self.rms.size) + 0.5) * HOP_S, dtype=np.float64)

    @property
    def onsets(self) -> FloatArray:
        """(n,) onset strength >= 0: rise of the log loudness over 30 ms; 0 in silence."""
        loud = np.log(np.maximum(self.rms, _FLOOR))
        before = np.concatenate([np.full(_RISE_HOPS, loud[:1]), loud])[: loud.size]
        return np.asarray(np.maximum(loud - before, 0.0), dtype=np.float64)


def read_envelope(path: Path, silence_dbfs: float) -> Envelope | None:
    """Return the envelope of the file's sound, or None where it has no audio track.

    Raises:
        MediaError: `not_found`, `forbidden`, `unreadable` or `decode_error`.
    """
    with open_media(path) as container:
        sound = sound_stream(container)
        if sound is None:
            return None
        start_s, tally = origin_s(container), _Hops()
        try:
            for frame in container.decode(sound):
                if frame.time is not None:
                    tally.add(samples_of(frame), frame.time - start_s, frame.sample_rate)
        except av.FFmpegError as error:
            raise MediaError(
                "decode_error",
                f"{path.name}: its sound fails to decode ({error}); re-encode the file.",
                str(error),
            ) from error
        return Envelope(rms=tally.rms(), is_silent=dbfs(tally.peak) < silence_dbfs)


def samples_of(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Return the samples (channels, n) of an audio frame, full scale at 1; NaN becomes 0."""
    raw: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    if raw.dtype == np.uint8:
        raw, full_scale = raw.astype(np.float32) - 128, 128.0
    elif raw.dtype.kind == "i":
        full_scale = 2.0 ** (8 * raw.dtype.itemsize - 1)
    else:
        full_scale = 1.0
    samples = (raw / full_scale).astype(np.float32)
    return np.nan_to_num(samples, copy=False, posinf=0.0, neginf=0.0)


def dbfs(level: float) -> float:
    """Return a level in [0, 1] in decibels of full scale; -infinity for 0."""
    return 20 * math.log10(level) if level > 0 else -math.inf


class _Hops:
    """Sums of squares and counts of samples, hop by hop."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._squares: list[FloatArray] = []
        self._counts: list[npt.NDArray[np.int64]] = []
        self._firsts: list[int] = []

    def add(self, samples: npt.NDArray[np.float32], time_s: float, rate: int) -> None:
        """Add samples (channels, n) whose first is at `time_s`; what lies before 0 is left out."""
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))
        mono = samples.mean(axis=0, dtype=np.float64)
        # 1e-6: container times are rounded to microseconds, and hop edges fall on samples.
        hops = np.floor((time_s + 1e-6 + np.arange(mono.size) / rate) / HOP_S).astype(np.int64)
        mono, hops = mono[hops >= 0], hops[hops >= 0]
        if mono.size:
            first = int(hops[0])
            self._firsts.append(first)
            squares = np.bincount(hops - first, weights=mono * mono)
            self._squares.append(np.asarray(squares, dtype=np.float64))
            self._counts.append(np.bincount(hops - first).astype(np.int64))

    def rms(self) -> FloatArray:
        """Return the root mean square of each hop."""
        size = max((end for _, end in self._spans()), default=0)
        squares, counts = np.zeros(size), np.zeros(size)
        for (first, end), square, count in zip(
            self._spans(), self._squares, self._counts, strict=True
        ):
            squares[first:end] += square
            counts[first:end] += count
        rms: FloatArray = np.sqrt(squares / np.maximum(counts, 1))
        return rms

    def _spans(self) -> Iterator[tuple[int, int]]:
        for first, counts in zip(self._firsts, self._counts, strict=True):
            yield first, first + counts.size
