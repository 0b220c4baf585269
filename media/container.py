"""Opens a local video file with PyAV and says which streams, which time origin and which end count.

Takes a path, gives an open container; PyAV's errors become MediaError. Decodes nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from earshot.errors import MediaError

# A picture or sound that ends earlier than its container says, by more than this, was cut.
CUT_TOLERANCE_S = 0.5
CUT_TOLERANCE_SHARE = 0.02

# HEVC alone hides damage that the other decoders flag on the frame. Not for H.264: there
# `explode` also refuses harmless metadata that is malformed.
_STRICT = {"hevc": {"err_detect": "crccheck+explode"}}

# A playlist or a crafted header may point elsewhere: nothing is asked of a network, and lists of
# other files are refused.
_OPTIONS = {"protocol_whitelist": "file"}
_LISTS = frozenset({"concat", "dash", "hls", "imf"})
# AVFMT_NOTIMESTAMPS (libavformat/avformat.h); PyAV's own name for it is no number.
_NO_TIMESTAMPS = 0x0080
_CLOCK = re.compile(r"([0-9]+):([0-9]+):([0-9.]+)")


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        MediaError: `not_found`, `forbidden` or `unreadable`.
    """
    try:
        container = av.open(str(path.absolute()), "r", options=_OPTIONS)
    except FileNotFoundError:
        raise MediaError(
            "not_found", f"{path} is not there; put it there or mend the uri.", str(path)
        ) from None
    except PermissionError:
        raise MediaError(
            "forbidden", f"{path} may not be read; change its permissions.", str(path)
        ) from None
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise MediaError(
            "unreadable",
            f"{path.name} can't be opened as a video ({why_of(error)}); re-encode or replace it.",
            why_of(error),
        ) from error
    with container:
        if _LISTS & {*container.format.name.split(",")}:
            raise MediaError(
                "unreadable",
                f"{path.name} is a list of other files ({container.format.name}); expected a "
                "video. Name the video itself.",
                container.format.name,
            )
        yield container


def why_of(error: Exception) -> str:
    """Return what FFmpeg says in words, without its number and the place in its code."""
    return getattr(error, "strerror", None) or str(error)


def picture_stream(container: InputContainer) -> VideoStream:
    """Return the picture that counts: no cover image, marked default, largest, first.

    It decodes in one thread: several cost more CPU in sum, and batches already run beside each
    other.

    Raises:
        MediaError: `no_video_stream`, or `unreadable` where no stream could be made out.
    """
    name, kinds = Path(container.name).name, {stream.type for stream in container.streams}
    if not kinds & {"video", "audio", "subtitle"}:
        raise MediaError(
            "unreadable",
            f"{name} begins like a video, but its header is cut off or damaged; fetch it again.",
            ",".join(sorted(kinds)),
        )
    cover = Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise MediaError(
            "no_video_stream",
            f"{name} has the streams {sorted(kinds)}; expected a picture. Replace the file.",
            ",".join(kinds),
        )
    stream = max(
        streams,
        key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index),
    )
    stream.codec_context.thread_count = 1
    strict = _STRICT.get(stream.codec_context.name)
    if strict is not None:
        stream.codec_context.options = dict(strict)
    return stream


def sound_stream(container: InputContainer) -> AudioStream | None:
    """Return the sound that counts: marked default, most channels, first; None without sound."""
    return max(
        container.streams.audio,
        key=lambda s: (
            bool(s.disposition & Disposition.default),
            s.codec_context.channels,
            -s.index,
        ),
        default=None,
    )


def origin_s(container: InputContainer) -> float:
    """Return the container's start in seconds: time zero of picture and sound (CONTRACTS 4)."""
    return (container.start_time or 0) / av.time_base


def can_seek(container: InputContainer) -> bool:
    """Tell whether times lead anywhere: streams without a container have none."""
    return not container.format.flags & _NO_TIMESTAMPS


def claimed_end_s(container: InputContainer, picture: VideoStream) -> float | None:
    """Return when the picture ends, in seconds from the origin, as its header says; else None."""
    if picture.duration is not None and picture.time_base is not None:
        end_s = float(((picture.start_time or 0) + picture.duration) * picture.time_base)
        return end_s - origin_s(container)
    # Matroska has no length of a stream but in this tag, which FFmpeg and mkvmerge write.
    parts = _CLOCK.fullmatch(picture.metadata.get("DURATION", ""))
    if parts is None:
        return None
    hours, minutes, seconds = map(float, parts.groups())
    return hours * 3600 + minutes * 60 + seconds - origin_s(container)


def check_end(name: str, end_s: float, claimed_s: float) -> None:
    """Raise `truncated` where the end that was reached lies well before the claimed one.

    Raises:
        MediaError: `truncated`.
    """
    if end_s < claimed_s - max(CUT_TOLERANCE_S, CUT_TOLERANCE_SHARE * claimed_s):
        raise MediaError(
            "truncated",
            f"{name} ends at {end_s:.3f} s; the container says {claimed_s:.3f} s. Fetch or encode "
            "it again.",
            f"{end_s:.3f}",
        )


def with_times(
    frames: Iterable[VideoFrame], stream: VideoStream, start_s: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield (time in seconds from `start_s`, frame) as the decoder gives them.

    A frame without a timestamp (raw streams have none) follows the one before at the stream's
    mean rate, so the frames must begin with the first of the video or with one that has a time.
    """
    step_s = 1 / nominal_fps(stream)
    last_s = -step_s
    for frame in frames:
        time_s = frame_time_s(frame, start_s)
        last_s = last_s + step_s if time_s is None else time_s
        yield last_s, frame


def nominal_fps(stream: VideoStream) -> float:
    """Return the frame rate that the stream claims; 25 where it claims none."""
    return float(stream.average_rate or stream.guessed_rate or 25)


def frame_time_s(frame: VideoFrame, start_s: float) -> float | None:
    """Return a frame's time in seconds from `start_s`, or None where it has no timestamp."""
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None or frame.time_base is None:
        return None
    return float(stamp * frame.time_base) - start_s
