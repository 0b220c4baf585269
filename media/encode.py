"""Encodes frames and a sound track as H.264 and AAC in MP4, with PyAV alone.

Takes an iterator of frames and an array of samples, writes one file that is whole or not there.
The same input gives the same bytes: one encoder thread, no dates, no random names inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

# A key frame at least this often keeps sparse sampling quick (research: 3-11 times).
GOP_FRAMES = 30
AUDIO_BITS_PER_S = 96_000
# x264's macroblock tree reads memory that nobody has written (seen with MALLOC_PERTURB_): with it
# the same frames give different bytes now and then.
VIDEO_OPTIONS = {"preset": "veryfast", "crf": "20", "mbtree": "0"}


def write_mp4(
    path: Path,
    frames: Iterator[npt.NDArray[np.uint8]],
    fps: Fraction,
    size: tuple[int, int],
    sound: tuple[npt.NDArray[np.float32], int] | None,
    *,
    gop_frames: int = GOP_FRAMES,
    is_streamed: bool = False,
) -> None:
    """Write a video file.

    Args:
        path: the file to make; written under another name first.
        frames: (height, width, 3) uint8 RGB, one each 1/fps seconds from time zero.
        fps: frames a second.
        size: (width, height) in pixels, both even.
        sound: ((channels, samples) float32 in [-1, 1], samples a second), or None for no track.
        gop_frames: a key frame at least this often.
        is_streamed: the index goes before the data, so that a browser may begin at once.

    Raises:
        ValueError: if a side is odd, which H.264 with 4:2:0 colour cannot hold.
    """
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"frame size {size[0]}x{size[1]}: expected even sides; round them to even")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if is_streamed else {})
    try:
        with av.open(str(partial), "w", format="mp4", container_options=options) as out:
            video = out.add_stream("libx264", rate=fps, options=VIDEO_OPTIONS)
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
            video.gop_size = gop_frames
            video.codec_context.thread_count = 1
            sound_packets = _encode_sound(out, sound) if sound else []
            for at, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = at, 1 / fps
                out.mux(video.encode(frame))
            out.mux(video.encode())
            out.mux(sound_packets)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _encode_sound(
    out: av.container.OutputContainer, sound: tuple[npt.NDArray[np.float32], int]
) -> list[av.Packet[av.AudioStream]]:
    samples, rate_hz = sound
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    stream = out.add_stream("aac", rate=rate_hz, layout=layout)
    stream.bit_rate = AUDIO_BITS_PER_S
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    return [*stream.encode(frame), *stream.encode()]
