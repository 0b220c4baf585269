"""Frame sources: the picture that is shown at asked times, upright, as RGB arrays.

Takes times in seconds from the container's start, gives frames in the same order; decodes from the
key frame before the first of them and keeps one frame at a time. Never samples by frame index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from earshot.errors import MediaError
from earshot.media.child import Worker
from earshot.media.container import open_media, origin_s, picture_stream, with_times

# A frame counts as shown this much before its time: Matroska rounds times to milliseconds.
SHOWN_TOLERANCE_S = 0.001

Frame = npt.NDArray[np.uint8]
TimedFrame = tuple[float, Frame]


@dataclass(frozen=True)
class SourceInfo:
    """What a frame source shows: `width` and `height` displayed, before any downscaling."""

    duration_s: float
    fps: float
    width: int
    height: int


class FrameSource(Protocol):
    """Frames at asked times (CONTRACTS 9)."""

    @property
    def info(self) -> SourceInfo:
        """Length, mean rate and displayed size of the video."""
        ...

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3) for ascending times.

        The frame shown at t is the last whose time is <= t + SHOWN_TOLERANCE_S; before the first
        frame it is the first, behind the last it is the last.

        Raises:
            ValueError: the times are not finite and ascending.
            MediaError: the file can't be opened or decoded.
        """
        ...

    def window(self, start_s: float, end_s: float, fps: float) -> Iterator[TimedFrame]:
        """Yield the frames at start, start + 1/fps, ... below the end, at least one."""
        ...


def window_times(start_s: float, end_s: float, fps: float) -> tuple[float, ...]:
    """Return start, start + 1/fps, ... below the end in seconds, at least one; no drift.

    Raises:
        ValueError: a bound is not finite, start > end, or fps is not above 0.
    """
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s and fps > 0):
        raise ValueError(
            f"window [{start_s}, {end_s}] s at {fps} fps; expected finite start <= end and fps > 0."
        )
    count = max(math.ceil((end_s - start_s) * fps - 1e-6), 1)
    return tuple(round(start_s + index / fps, 6) for index in range(count))


class PyavSource:
    """A frame source on a local file, decoding in this process.

    Args:
        path: the file.
        info: what `probe` found; the header is not asked.
        long_side_px: frames are scaled down so that their longer side has no more pixels.
    """

    def __init__(self, path: Path, info: SourceInfo, long_side_px: int | None = None) -> None:
        self._path = path
        self._info = info
        self._long_side_px = long_side_px

    @property
    def info(self) -> SourceInfo:
        """Length, mean rate and displayed size of the video."""
        return self._info

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3), as `FrameSource.frames` says."""
        return read_frames(self._path, checked_times(times_s), self._long_side_px)

    def window(self, start_s: float, end_s: float, fps: float) -> Iterator[TimedFrame]:
        """Yield the frames of a window, as `FrameSource.window` says."""
        return self.frames(window_times(start_s, end_s, fps))


class ChildSource:
    """A frame source on a local file, decoding in a killable child (DESIGN 4).

    One stream at a time: the child serves one reader. Raises ItemError `timeout` or `child_died`
    beside what `PyavSource` raises; the limit of `worker` holds for each frame.
    """

    def __init__(
        self, worker: Worker, path: Path, info: SourceInfo, long_side_px: int | None = None
    ) -> None:
        self._worker = worker
        self._path = path
        self._info = info
        self._long_side_px = long_side_px

    @property
    def info(self) -> SourceInfo:
        """Length, mean rate and displayed size of the video."""
        return self._info

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3), as `FrameSource.frames` says."""
        times = checked_times(times_s)
        return self._worker.stream(read_frames, self._path, times, self._long_side_px)

    def window(self, start_s: float, end_s: float, fps: float) -> Iterator[TimedFrame]:
        """Yield the frames of a window, as `FrameSource.window` says."""
        return self.frames(window_times(start_s, end_s, fps))


def checked_times(times_s: Sequence[float]) -> tuple[float, ...]:
    """Return the times as a tuple, or raise ValueError where they are not finite and ascending."""
    times = tuple(float(time_s) for time_s in times_s)
    finite = all(math.isfinite(time_s) for time_s in times)
    if not finite or any(b < a for a, b in pairwise(times)):
        raise ValueError(f"times_s {times[:8]}: expected finite seconds in ascending order.")
    return times


def read_frames(
    path: Path, times_s: Sequence[float], long_side_px: int | None = None
) -> Iterator[TimedFrame]:
    """Yield (asked time, uint8 HxWx3) for finite ascending times.

    Raises:
        MediaError: `not_found`, `forbidden`, `unreadable`, `no_video_stream` or `decode_error`.
    """
    if not times_s:
        return
    with open_media(path) as container:
        stream = picture_stream(container)
        picture = _Picture(long_side_px)
        shown: av.VideoFrame | None = None
        asked = iter(times_s)
        wanted_s = next(asked)
        for time_s, frame in _from(container, stream, wanted_s, path):
            while shown is not None and time_s > wanted_s + SHOWN_TOLERANCE_S:
                yield wanted_s, picture.array(shown)
                following_s = next(asked, None)
                if following_s is None:
                    return
                wanted_s = following_s
            shown = frame
        if shown is None:
            raise MediaError(
                "decode_error", f"{path.name} gave no frame at {wanted_s} s; re-encode it.", "0"
            )
        for left_s in (wanted_s, *asked):
            yield left_s, picture.array(shown)


def _from(
    container: InputContainer, stream: VideoStream, time_s: float, path: Path
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield timed frames from a key frame at or before the time, or from the first frame."""
    start_s = origin_s(container)
    try:
        # Demuxers seek by decoding time, so a key frame may be shown after the asked time.
        for early_s in (0.0, 2.0):
            if time_s - early_s <= 0:
                break
            container.seek(int((time_s - early_s + start_s) * av.time_base), backward=True)
            frames = with_times(container.decode(stream), stream, start_s)
            first = next(frames, None)
            if first is not None and first[0] <= time_s + SHOWN_TOLERANCE_S:
                yield first
                yield from frames
                return
        container.seek(container.start_time or 0, backward=True, any_frame=False)
        yield from with_times(container.decode(stream), stream, start_s)
    except av.FFmpegError as error:
        raise MediaError(
            "decode_error",
            f"{path.name}: decoding from {time_s} s failed ({error}); re-encode the file.",
            str(time_s),
        ) from error


class _Picture:
    """Turns decoded frames into upright RGB arrays of one size."""

    def __init__(self, long_side_px: int | None) -> None:
        self._long_side_px = long_side_px
        self._reformatter = VideoReformatter()
        self._last: tuple[av.VideoFrame, Frame] | None = None

    def array(self, frame: av.VideoFrame) -> Frame:
        if self._last is None or self._last[0] is not frame:
            self._last = (frame, self._convert(frame))
        return self._last[1]

    def _convert(self, frame: av.VideoFrame) -> Frame:
        width, height = scaled_size(frame.width, frame.height, self._long_side_px)
        rgb = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA"
        )
        array = rgb.to_ndarray().astype(np.uint8, copy=False)
        # frame.rotation is counterclockwise, as np.rot90 is; PyAV itself does not rotate.
        return np.ascontiguousarray(np.rot90(array, round(frame.rotation / 90)))


def scaled_size(width: int, height: int, long_side_px: int | None) -> tuple[int, int]:
    """Return (width, height) scaled down so that the longer side is at most `long_side_px`."""
    longer = max(width, height)
    if long_side_px is None or longer <= long_side_px:
        return width, height
    scale = long_side_px / longer
    return max(round(width * scale), 1), max(round(height * scale), 1)
