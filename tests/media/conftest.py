"""Small video files, written frame by frame, whose every property a test can choose."""

from __future__ import annotations

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
) -> Path:
    """Write frames whose brightness is 8 times their index, left half; the right half is black.

    `tone` gives the amplitude of a 440 Hz tone for each tenth of a second, from `tone_at_s` on.
    """
    times_s = [i / 10 for i in range(20)] if times_s is None else times_s
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as out:
        if not audio_only:
            video = out.add_stream(codec, rate=10)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            video.codec_context.time_base = video.time_base = Fraction(1, 1000)
            video.codec_context.gop_size = gop
            video.options = {"crf": "10"} if codec == "libx264" else {}
        if tone is not None:
            sound = out.add_stream("aac", rate=16000, layout="mono")
        if not audio_only:
            for index, time_s in enumerate(times_s):
                picture = np.zeros((size[1], size[0], 3), np.uint8)
                picture[:, : size[0] // 2] = 8 * index % 256
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if tone is not None:
            levels = np.repeat(np.array(tone), 1600)
            wave = levels * np.sin(2 * np.pi * 440 * np.arange(levels.size) / 16000)
            samples = av.AudioFrame.from_ndarray(
                wave.astype(np.float32)[None], format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts = 16000, round(tone_at_s * 16000)
            out.mux(sound.encode(samples))
            out.mux(sound.encode(None))
    return path


@pytest.fixture
def make_video(tmp_path: Path) -> Maker:
    """A function that writes a small video file below the test's folder and returns its path."""

    def make(name: str = "clip.mp4", **options: object) -> Path:
        return write_video(tmp_path / name, **options)  # type: ignore[arg-type]

    return make
