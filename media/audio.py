"""Takes a video file and gives its sound as a loudness envelope with onsets, from the same origin
as the picture.

One curve for all channels, the root mean square of 10 ms hops; keeps no samples, so memory follows
the length in hops (16 bytes each), not the sample rate. Never mixes channels before squaring: what
sounds in opposite phase left and right would vanish.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from earshot.errors import MediaError
from earshot.media.container import open_media, origin_s, sound_stream, why_of

HOP_S = 0.01
# Loudness below this (-80 dB) is floor: the logarithm must not turn its ripples into onsets.
_FLOOR = 1e-4
# An onset is a rise against what was loud this many hops ago: attacks take 10 to 50 ms.
_RISE_HOPS = 3
# A sound that is stamped so much behind the container's end has broken times.
_SLACK_S = 60.0
_LONGEST_S = 24 * 3600.0

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Envelope:
    """Loudness over time.

    Attributes:
        rms: (n,) root mean square, over samples and channels, of hop i, which covers
            [i, i + 1) * HOP_S seconds from the container's start; full scale is 1, and a stretch
            without samples is 0.
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
        start_s = origin_s(container)
        latest_s = container.duration / av.time_base + _SLACK_S if container.duration else None
        tally = _Hops(path, latest_s or _LONGEST_S)
        try:
            for frame in container.decode(sound):
                if frame.is_corrupt:
                    raise _fault(path, "the decoder concealed damage")
                time_s = None if frame.time is None else frame.time - start_s
                tally.add(samples_of(frame), time_s, frame.sample_rate)
        except av.FFmpegError as error:
            raise _fault(path, why_of(error)) from error
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


def _fault(path: Path, why: str) -> MediaError:
    return MediaError(
        "decode_error", f"{path.name}: its sound fails to decode ({why}); re-encode the file.", why
    )


class _Hops:
    """Sums of squares and counts of samples, hop by hop, in arrays that grow."""

    def __init__(self, path: Path, latest_s: float) -> None:
        self.peak = 0.0
        self._path = path
        self._latest_s = latest_s
        self._end_s = 0.0
        self._size = 0
        self._squares = np.zeros(1024)
        self._counts = np.zeros(1024)

    def add(self, samples: npt.NDArray[np.float32], time_s: float | None, rate: int) -> None:
        """Add samples (channels, n) whose first is at `time_s`; what lies before 0 is left out.

        Samples without a time follow those before.
        """
        start_s = self._end_s if time_s is None else time_s
        self._end_s = start_s + samples.shape[1] / rate
        if self._end_s > self._latest_s:
            raise _fault(self._path, f"a time of {start_s:g} s lies far behind the end")
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))
        power = np.square(samples, dtype=np.float64).mean(axis=0)
        # 1e-6: container times are rounded to microseconds, and hop edges fall on samples.
        hops = np.floor((start_s + 1e-6 + np.arange(power.size) / rate) / HOP_S).astype(np.int64)
        power, hops = power[hops >= 0], hops[hops >= 0]
        if power.size:
            first, end = int(hops[0]), int(hops[-1]) + 1
            self._grow(end)
            self._squares[first:end] += np.bincount(hops - first, weights=power)
            self._counts[first:end] += np.bincount(hops - first)

    def rms(self) -> FloatArray:
        """Return the root mean square of each hop."""
        squares, counts = self._squares[: self._size], self._counts[: self._size]
        rms: FloatArray = np.sqrt(squares / np.maximum(counts, 1))
        return rms

    def _grow(self, end: int) -> None:
        self._size = max(self._size, end)
        if end > self._squares.size:
            more = np.zeros(max(end, 2 * self._squares.size) - self._squares.size)
            self._squares = np.concatenate([self._squares, more])
            self._counts = np.concatenate([self._counts, more])
