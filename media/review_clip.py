"""Cuts the clip of a video that people look at: re-encoded, so that a browser shows frame n at n.

Takes a local file and a plan, writes one MP4 (H.264, AAC) that is whole and checked, or not there.
A browser counts frames right only where the rate is constant, the first is at 0 and sound and
picture end together: stream copies, WebM and over-long sound were all seen to be off.
"""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from earshot.errors import MediaError
from earshot.media.container import open_media, origin_s, sound_stream, why_of
from earshot.media.display import scaled_size
from earshot.media.encode import write_mp4
from earshot.media.frames import read_frames

AUDIO_HZ = 48_000
LONG_SIDE_PX = 1280
# The page shows a clip no larger than it is: what is smaller than its place there is scaled up.
PLACE_PX = (854, 360)
KEY_FRAME_S = 2
CANT_WRITE = "errno "
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
# The whole video where a clip would be hardly shorter.
_WHOLE_SHARE = 0.8
_SLOWEST, _FASTEST = 5, 60
# Seconds to start decoding sound before it is wanted: AAC and Opus need some run-up.
_RUN_UP_S = 1.0


@dataclass(frozen=True)
class ClipPlan:
    """What a clip will be: frame i shows what the video shows at `offset_s` + i / `fps`.

    `width` and `height` are even; the picture is scaled to them whole, so shares of it stay.
    """

    offset_s: float
    fps: Fraction
    n_frames: int
    width: int
    height: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.n_frames / self.fps)


def plan_clip(
    duration_s: float,
    fps: float,
    size_px: tuple[int, int],
    window_s: tuple[float, float],
    margin_s: float,
) -> ClipPlan:
    """Return the clip of a window and a margin on both sides, on the video's own frame grid.

    Args:
        duration_s, fps, size_px: of the video; size is displayed (width, height).
        window_s: what has to be seen, in the video's seconds.
        margin_s: seconds before and after it.
    """
    rate = exact_rate(fps)
    start_s = max(window_s[0] - margin_s, 0.0)
    end_s = min(window_s[1] + margin_s, duration_s)
    if end_s - start_s >= _WHOLE_SHARE * duration_s:
        start_s, end_s = 0.0, duration_s
    first = math.floor(start_s * rate + Fraction(1, 1000))
    last = math.ceil(end_s * rate - Fraction(1, 1000))
    return ClipPlan(float(first / rate), rate, max(last - first, 1), *_size_px(*size_px))


def exact_rate(fps: float) -> Fraction:
    """Return the frame rate that a measured one means, such as 30000/1001 for 29.97003."""
    fps = min(max(fps, _SLOWEST), _FASTEST)
    near = (Fraction(round(fps)), Fraction(round(fps * 1.001) * 1000, 1001))
    best = min(near, key=lambda rate: abs(rate - fps))
    return best if abs(best - fps) < 1e-3 else Fraction(fps).limit_denominator(1000)


def _size_px(width: int, height: int) -> tuple[int, int]:
    wide, high = scaled_size(width, height, LONG_SIDE_PX)
    larger = max(min(PLACE_PX[0] / wide, PLACE_PX[1] / high), 1.0)
    return _even(wide * larger), _even(high * larger)


def _even(side: float) -> int:
    return max(2 * round(side / 2), 2)


def cut_clip(source: Path, out: Path, plan: ClipPlan) -> None:
    """Write the clip and check it. Meant to run in a child (`earshot.media.child`).

    Raises:
        MediaError: as `read_frames`; `bad_clip` if what came out is not exact, or if the disk does
            not take it: then the value is `CANT_WRITE` and the error's number.
    """
    n_samples = round(plan.n_frames / plan.fps * AUDIO_HZ)
    sound = _sound(source, plan.offset_s, n_samples)
    times = tuple(
        round(float(plan.offset_s + index / plan.fps), 6) for index in range(plan.n_frames)
    )
    frames = (frame for _, frame in read_frames(source, times, plan.width, plan.height))
    part = out.with_name(f".{out.name}")
    try:
        write_mp4(
            part,
            frames,
            plan.fps,
            (plan.width, plan.height),
            (sound, AUDIO_HZ),
            gop_frames=max(int(plan.fps * KEY_FRAME_S), 1),
            is_streamed=True,
        )
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        said = f"{CANT_WRITE}{error.errno}"
        raise MediaError("bad_clip", f"{out}: {os.strerror(error.errno)}", said) from error
    try:
        check_clip(part, plan)
    except MediaError:
        part.unlink(missing_ok=True)
        raise
    part.replace(out)


def _sound(source: Path, start_s: float, n_samples: int) -> npt.NDArray[np.float32]:
    """Return the sound from a time on as (2, n_samples); silence where there is none."""
    sound = np.zeros((2, n_samples), dtype=np.float32)
    with open_media(source) as container:
        stream = sound_stream(container)
        if stream is None:
            return sound
        origin = origin_s(container)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=AUDIO_HZ)
        try:
            if start_s > _RUN_UP_S:
                container.seek(int((start_s - _RUN_UP_S + origin) * av.time_base), backward=True)
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    first = round((float(piece.time or 0.0) - origin - start_s) * AUDIO_HZ)
                    if first >= n_samples:
                        return sound
                    _lay(sound, piece.to_ndarray(), first)
        except av.FFmpegError as error:
            raise MediaError(
                "decode_error",
                f"{source.name}: its sound fails to decode ({why_of(error)}); re-encode the file.",
                why_of(error),
            ) from error
    return sound


def _lay(sound: npt.NDArray[np.float32], piece: npt.NDArray[Any], first: int) -> None:
    begin, end = max(first, 0), min(first + piece.shape[1], sound.shape[1])
    if begin < end:
        sound[:, begin:end] = np.clip(piece[:, begin - first : end - first], -1, 1)


def check_clip(path: Path, plan: ClipPlan) -> None:
    """Raise `bad_clip` unless a browser will show frame n of the clip where n is asked.

    Raises:
        MediaError: `bad_clip`, with what is wrong.
    """
    wrong = list(_faults(path, plan))
    if wrong:
        raise MediaError("bad_clip", f"{path.name}: {'; '.join(wrong)}", wrong[0])


def _faults(path: Path, plan: ClipPlan) -> list[str]:
    with av.open(str(path)) as clip:
        picture, sound = clip.streams.video[0], clip.streams.audio[0]
        codecs = (picture.codec_context.name, sound.codec_context.name)
        starts = [clip.start_time, picture.start_time, sound.start_time]
        half_s = float(1 / plan.fps / 2)
        lengths = [float((each.duration or 0) * (each.time_base or 0)) for each in (picture, sound)]
        packets = [packet for packet in clip.demux(picture) if packet.pts is not None]
        stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
        keys = [p.pts for p in packets if p.is_keyframe and p.pts is not None]
        unit = picture.time_base or Fraction(1)
        gaps = np.diff([*keys, stamps[-1] + round(1 / plan.fps / unit)]) * float(unit)
        steps = np.diff(stamps) * float(unit)
        rate = picture.average_rate
    checks = {
        f"codecs {codecs}, expected h264 and aac": codecs == ("h264", "aac"),
        f"starts {starts}, expected 0": not any(starts),
        f"{len(stamps)} frames, expected {plan.n_frames}": len(stamps) == plan.n_frames,
        f"rate {rate}, expected {plan.fps}": rate == plan.fps,
        "frames are not evenly apart": bool(np.all(np.abs(steps - float(1 / plan.fps)) < 1e-3)),
        f"picture and sound last {lengths} s, expected {plan.duration_s:.4f} both": all(
            abs(length - plan.duration_s) <= half_s for length in lengths
        ),
        f"{gaps.max():.2f} s between key frames": gaps.max() <= KEY_FRAME_S + 1e-3,
        "the index lies behind the data": _index_is_first(path),
    }
    return [said for said, holds in checks.items() if not holds]


def _index_is_first(path: Path) -> bool:
    """Tell whether `moov` stands before `mdat` (ISO/IEC 14496-12: size, then type, of each box)."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4]), head[4:]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            file.seek(max(size, 8) - 8, 1)
    return False
