"""Frames at asked times by decord (extra `original`), as `earshot.media.frames` gives them.

Takes the same times, gives the same frames; what decord does otherwise is mended here: times from
the container's start (it counts from the first frame), sizes, and its silence about cut files.
Never decodes AV1, which decord 0.6 can't: a reason says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np

from earshot.errors import MediaError, MissingExtraError
from earshot.media.container import (
    check_end,
    claimed_end_s,
    frame_time_s,
    open_media,
    origin_s,
    picture_stream,
)
from earshot.media.display import Orientation, Picture, orientation_of
from earshot.media.frames import SHOWN_TOLERANCE_S, TimedFrame

# Where decord turns pictures it takes padded rows for pixels; rows of this length have no padding.
_ROW_BYTES = 64


def read_frames_decord(
    path: Path, times_s: tuple[float, ...], width_px: int, height_px: int
) -> Iterator[TimedFrame]:
    """Yield (asked time, uint8 height x width x 3) for finite ascending times.

    Raises:
        MediaError: as `read_frames`, and `unreadable` for what decord can't decode.
        MissingExtraError: decord is not installed.
    """
    if not times_s:
        return
    check_decord()
    decord = import_module("decord")
    start_s, claimed_s = _header(path)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        stamps_s = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
        begins_s = np.round(start_s + stamps_s - stamps_s[0], 6)
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise _refused(path, error) from error
    if claimed_s is not None:
        step_s = float(np.median(np.diff(begins_s))) if begins_s.size > 1 else 0.0
        check_end(path.name, float(begins_s[-1]) + step_s, claimed_s)
    picture = Picture(width_px, height_px)
    last: tuple[int, av.VideoFrame] | None = None
    for time_s in times_s:
        latest_s = round(time_s + SHOWN_TOLERANCE_S, 6)
        index = int(np.searchsorted(begins_s, latest_s, side="right")) - 1
        index = max(index, 0)
        if last is None or last[0] != index:
            last = index, _frame(reader, index, path, decord)
        yield time_s, picture.array(last[1])


def _frame(reader: Any, index: int, path: Path, decord: Any) -> av.VideoFrame:
    try:
        pixels = reader[index].asnumpy()
    except (decord.DECORDError, RuntimeError) as error:
        raise MediaError(
            "decode_error",
            f"{path.name}: decord failed at frame {index} ({_brief(error)}); re-encode the file.",
            str(index),
        ) from error
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def _header(path: Path) -> tuple[float, float | None]:
    """Return when the first frame is shown and the picture ends, in seconds from the origin."""
    with open_media(path) as container:
        stream = picture_stream(container)
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise _refused(path, error) from error
        if frame is None:
            raise MediaError("decode_error", f"{path.name} gave no frame; re-encode it.", "0")
        if stream.codec.canonical_name == "av1":
            raise _refused(path, ValueError("it has no AV1 decoder"))
        orientation = orientation_of(frame)
        if orientation.is_mirrored:
            raise _refused(path, ValueError("it does not mirror pictures"))
        width = frame.height if orientation.is_transposed else frame.width
        if orientation != Orientation() and 3 * width % _ROW_BYTES:
            raise _refused(path, ValueError(f"it skews turned pictures of {width} pixels width"))
        first_s = frame_time_s(frame, origin_s(container)) or 0.0
        return first_s, claimed_end_s(container, stream)


def _refused(path: Path, error: Exception) -> MediaError:
    return MediaError(
        "unreadable",
        f"{path.name}: decord can't read it ({_brief(error)}); use PyAV, or re-encode to H.264.",
        _brief(error),
    )


def _brief(error: Exception) -> str:
    """Return the last line of a message: decord prints its C++ stack before or behind it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][-200:] if lines else type(error).__name__


def check_decord() -> None:
    """Raise MissingExtraError where decord is not installed; it is not loaded."""
    if find_spec("decord") is None:
        raise MissingExtraError(
            "decord is not installed; track.decoder `decord` needs it: pip install "
            "'earshot[original]', or use pyav."
        )
