"""Small video files, written frame by frame, whose every property a test can choose."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

Maker = Callable[..., Path]


def write_video(
    path: Path,
    times_s: list[float] | None = None,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    tone: list[float] | None = None,
    tone_at_s: float = 0.0,
    gop: int = 10,
    audio_only: bool = False,
    movflags: str | None = None,
    matrix: tuple[int, int, int, int] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    second_size: tuple[int, int] | None = None,
    sound: tuple[str, int, str] = ("aac", 16000, "mono"),
    noise: bool = False,
) -> Path:
    """Write frames whose brightness is 8 times their index, left half; the right half is black.

    `tone` gives the amplitude of a 440 Hz tone for each tenth of a second, from `tone_at_s` on, and
    `sound` its codec, rate and layout; all channels but the first are silent. `matrix` is the
    display matrix (a, b, c, d) of an mp4 or mov, `aspect` that of a pixel, `second_size` the size
    of a second picture stream. With `noise` the right half is noise, so that frames are large.
    """
    times_s = [i / 10 for i in range(20)] if times_s is None else times_s
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as out:
        if not audio_only:
            video = out.add_stream(codec, rate=10)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            video.codec_context.time_base = video.time_base = Fraction(1, 1000)
            video.codec_context.gop_size = gop
            video.options = options or ({"crf": "10"} if codec == "libx264" else {})
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
        if second_size is not None:
            second = out.add_stream("libx264", rate=10)
            second.width, second.height, second.pix_fmt = *second_size, "yuv420p"
        if tone is not None:
            kind, rate, layout = sound
            track = out.add_stream(kind, rate=rate, layout=layout)
        if not audio_only:
            for index, time_s in enumerate(times_s):
                picture = np.zeros((size[1], size[0], 3), np.uint8)
                picture[:, : size[0] // 2] = 8 * index % 256
                if noise:
                    half = picture[:, size[0] // 2 :]
                    half[...] = rng.integers(0, 255, half.shape)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if second_size is not None:
            for _ in times_s:
                grey = np.full((second_size[1], second_size[0], 3), 128, np.uint8)
                out.mux(second.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            out.mux(second.encode(None))
        if tone is not None:
            levels = np.repeat(np.array(tone), rate // 10)
            wave = np.zeros((track.codec_context.channels, levels.size), np.float32)
            wave[0] = levels * np.sin(2 * np.pi * 440 * np.arange(levels.size) / rate)
            whole = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
            whole.sample_rate, whole.pts = rate, round(tone_at_s * rate)
            for samples in av.AudioResampler(track.format, layout, rate).resample(whole):
                out.mux(track.encode(samples))
            out.mux(track.encode(None))
    if matrix is not None:
        path.write_bytes(_with_matrix(path.read_bytes(), matrix))
    return path


def _with_matrix(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Set the first track's matrix; it lies 40 bytes behind the type in a `tkhd` of version 0."""
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (part << 16 for part in matrix)
    return data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :]


@pytest.fixture
def make_video(tmp_path: Path) -> Maker:
    """A function that writes a small video file below the test's folder and returns its path."""

    def make(name: str = "clip.mp4", **options: object) -> Path:
        return write_video(tmp_path / name, **options)  # type: ignore[arg-type]

    return make
