"""Frame sources: the picture that is shown at asked times, upright, as RGB arrays.

Takes times in seconds from the container's start, gives frames in the same order; decodes from the
key frame before the first of them and keeps one frame at a time. Never samples by frame index.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from earshot.errors import MediaError
from earshot.media.child import Worker
from earshot.media.container import (
    can_seek,
    check_end,
    claimed_end_s,
    frame_time_s,
    nominal_fps,
    open_media,
    origin_s,
    picture_stream,
    why_of,
    with_times,
)
from earshot.media.display import Frame as Frame
from earshot.media.display import Picture, scaled_size

# A frame counts as shown this much before its time: Matroska rounds times to milliseconds.
SHOWN_TOLERANCE_S = 0.001

TimedFrame = tuple[float, Frame]
# Path, ascending times in seconds, displayed width and height in pixels: as `read_frames`.
Reader = Callable[[Path, tuple[float, ...], int, int], Iterator[TimedFrame]]


@dataclass(frozen=True)
class SourceInfo:
    """What a frame source shows: `width` and `height` displayed, before any downscaling."""

    duration_s: float
    fps: float
    width: int
    height: int

    def size_px(self, long_side_px: int | None) -> tuple[int, int]:
        """Return the (width, height) of frames whose longer side has at most `long_side_px`."""
        return scaled_size(self.width, self.height, long_side_px)


class FrameSource(Protocol):
    """Frames at asked times (CONTRACTS 9)."""

    @property
    def info(self) -> SourceInfo:
        """Length, mean rate and displayed size of the video."""
        ...

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3) for ascending times; each array is the caller's own.

        The frame shown at t is the last whose time is <= t + SHOWN_TOLERANCE_S; before the first
        frame it is the first, behind the last it is the last.

        Raises:
            ValueError: the times are not finite and ascending.
            MediaError: the file can't be opened or decoded, or ends before its container says.
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


def is_shown(begins_s: float, time_s: float) -> bool:
    """Tell whether a frame that begins at `begins_s` is shown at a time (to a microsecond)."""
    return round(begins_s - time_s, 6) <= SHOWN_TOLERANCE_S


class LocalSource:
    """A frame source on a local file, decoding in this process.

    Args:
        path: the file.
        info: what `probe` found; the header is not asked, and every frame has this shape.
        long_side_px: frames are scaled down so that their longer side has no more pixels.
        read: the decoder, a module-level function; None is `read_frames`.
    """

    def __init__(
        self,
        path: Path,
        info: SourceInfo,
        long_side_px: int | None = None,
        read: Reader | None = None,
    ) -> None:
        self._path = path
        self._info = info
        self._size_px = info.size_px(long_side_px)
        self._read = read or read_frames

    @property
    def info(self) -> SourceInfo:
        """Length, mean rate and displayed size of the video."""
        return self._info

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3), as `FrameSource.frames` says."""
        return self._read(self._path, checked_times(times_s), *self._size_px)

    def window(self, start_s: float, end_s: float, fps: float) -> Iterator[TimedFrame]:
        """Yield the frames of a window, as `FrameSource.window` says."""
        return self.frames(window_times(start_s, end_s, fps))


class ChildSource(LocalSource):
    """A frame source on a local file, decoding in a killable child (DESIGN 4).

    One stream at a time: the child serves one reader. Raises ItemError `timeout` or `child_died`
    beside what `LocalSource` raises; the limit of `worker` holds for each frame.

    Args:
        worker: owner of the child.
        path, info, long_side_px, read: as for `LocalSource`.
    """

    def __init__(
        self,
        worker: Worker,
        path: Path,
        info: SourceInfo,
        long_side_px: int | None = None,
        read: Reader | None = None,
    ) -> None:
        super().__init__(path, info, long_side_px, read)
        self._worker = worker

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield (asked time, uint8 HxWx3), as `FrameSource.frames` says."""
        times, (width, height) = checked_times(times_s), self._size_px
        frame_bytes = 3 * width * height
        return self._worker.arrays(frame_bytes, self._read, self._path, times, width, height)


def checked_times(times_s: Sequence[float]) -> tuple[float, ...]:
    """Return the times as a tuple, or raise ValueError where they are not finite and ascending."""
    times = tuple(float(time_s) for time_s in times_s)
    finite = all(math.isfinite(time_s) for time_s in times)
    if not finite or any(b < a for a, b in pairwise(times)):
        raise ValueError(f"times_s {times[:8]}: expected finite seconds in ascending order.")
    return times


def read_frames(
    path: Path, times_s: tuple[float, ...], width_px: int, height_px: int
) -> Iterator[TimedFrame]:
    """Yield (asked time, uint8 height x width x 3) for finite ascending times.

    Raises:
        MediaError: `not_found`, `forbidden`, `unreadable`, `no_video_stream`, `decode_error`, or
            `truncated` where a time lies behind what is left of a cut file.
    """
    if not times_s:
        return
    with open_media(path) as container:
        stream = picture_stream(container)
        picture = Picture(width_px, height_px)
        shown: av.VideoFrame | None = None
        shown_s = 0.0
        asked = iter(times_s)
        wanted_s = next(asked)
        for time_s, frame in _from(container, stream, wanted_s, path):
            while shown is not None and not is_shown(time_s, wanted_s):
                yield wanted_s, _own(picture, shown, path, shown_s)
                following_s = next(asked, None)
                if following_s is None:
                    return
                wanted_s = following_s
            shown, shown_s = frame, time_s
        if shown is None:
            raise MediaError(
                "decode_error", f"{path.name} gave no frame at {wanted_s} s; re-encode it.", "0"
            )
        claimed_s = claimed_end_s(container, stream)
        if claimed_s is not None:
            check_end(path.name, shown_s + 1 / nominal_fps(stream), claimed_s)
        for left_s in (wanted_s, *asked):
            yield left_s, _own(picture, shown, path, shown_s)


def _own(picture: Picture, frame: av.VideoFrame, path: Path, time_s: float) -> Frame:
    """Return the picture of a frame, or raise where the decoder made it up."""
    if frame.is_corrupt:
        raise _fault(path, time_s, "the decoder concealed damage")
    return picture.array(frame)


def _from(
    container: InputContainer, stream: VideoStream, time_s: float, path: Path
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield timed frames from a key frame at or before the time, or from the first frame."""
    start_s = origin_s(container)
    try:
        # Demuxers seek by decoding time, so a key frame may be shown after the asked time.
        for early_s in (0.0, 2.0):
            if time_s - early_s <= 0 or not can_seek(container):
                break
            container.seek(int((time_s - early_s + start_s) * av.time_base), backward=True)
            frames = container.decode(stream)
            # Behind a seek, frames may come that refer to what was not decoded.
            first = next((frame for frame in frames if not frame.is_corrupt), None)
            first_s = None if first is None else frame_time_s(first, start_s)
            if first is not None and first_s is None:
                break
            if first is not None and first_s is not None and is_shown(first_s, time_s):
                yield first_s, first
                yield from with_times(frames, stream, start_s)
                return
        if can_seek(container):
            # Not to the start: in MPEG-TS the first key frame's decoding time may lie before it,
            # and a seek that finds none ends at the end of the file.
            container.seek(min(container.start_time or 0, 0), backward=True)
        yield from with_times(container.decode(stream), stream, start_s)
    except av.FFmpegError as error:
        raise _fault(path, time_s, why_of(error)) from error


def _fault(path: Path, time_s: float, why: str) -> MediaError:
    return MediaError(
        "decode_error",
        f"{path.name}: decoding at {time_s:.3f} s failed ({why}); re-encode the file.",
        f"{time_s:.3f}",
    )
