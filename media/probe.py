"""Opens a video, decodes it once and gives what it is: length, rate, size, rotation, sound.

Nothing is taken from the header that decoding can tell; only the 16 frames of the fingerprint are
converted to RGB, and none is kept. What the decoder had to make up, and what the container promises
and does not hold, is a fault.
Meant to run in a child (`earshot.media.child`): a broken file can hang or kill a decoder.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from earshot.errors import MediaError
from earshot.media.audio import dbfs, samples_of
from earshot.media.container import (
    check_end,
    claimed_end_s,
    frame_time_s,
    nominal_fps,
    open_media,
    origin_s,
    picture_stream,
    sound_stream,
    why_of,
)
from earshot.media.display import Orientation, displayed_size, orientation_of, pixel_aspect
from earshot.media.fingerprint import Fingerprint

# So many frames, or this share, may be missing of those in the index: fields that share a frame,
# and leading frames of a cut stream that refer to what was cut off.
MISSING_FRAMES = 2
MISSING_SHARE = 0.01
# Frame distances that differ by more than this share of their median make a variable rate.
VFR_SHARE = 0.1


@dataclass(frozen=True)
class Probed:
    """What decoding a video told (CONTRACTS 2, video).

    `rotation_deg` is counterclockwise, as FFmpeg's display matrix has it; `width` and `height` are
    displayed: after rotation, with square pixels. `is_silent` is None where there is no track.
    `drift_s` is the most by which a frame's time differs from its number over `fps`.
    """

    duration_s: float
    fps: float
    n_frames: int
    width: int
    height: int
    rotation_deg: int
    is_vfr: bool
    video_codec: str
    audio_codec: str | None
    is_silent: bool | None
    frame_fingerprint: str | None = None
    drift_s: float = 0.0

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track, silent or not."""
        return self.audio_codec is not None


@dataclass
class _Tally:
    """What is gathered while decoding."""

    times_s: array[float] = field(default_factory=lambda: array("d"))
    n_corrupt: int = 0
    n_discarded: int = 0
    last_frame_s: float = 0.0
    tick_s: float = 0.0
    rotation_deg: int = 0
    orientation: Orientation = field(default_factory=Orientation)
    width: int = 0
    height: int = 0
    sound_end_s: float = 0.0
    peak: float = 0.0
    fingerprint: Fingerprint = field(default_factory=lambda: Fingerprint(0.0))


def probe(path: Path, silence_dbfs: float) -> Probed:
    """Open and decode a whole video.

    Args:
        path: a local file.
        silence_dbfs: peak level below which the sound is silence.

    Raises:
        MediaError: `not_found`, `forbidden`, `unreadable`, `no_video_stream`, `truncated`,
            `decode_error` or `no_duration`.
    """
    with open_media(path) as container:
        picture, sound = picture_stream(container), sound_stream(container)
        _check_whole(container, picture)
        tally = _decode(container, picture, sound)
        if not tally.times_s:
            raise MediaError(
                "decode_error",
                f"{path.name} gave no frame; expected at least one. Re-encode or replace it.",
                "0",
            )
        _check_pictures(container, picture, tally)
        _check_ends(container, picture, tally)
        return _summary(container, picture, sound, tally, silence_dbfs)


def _check_whole(container: InputContainer, picture: VideoStream) -> None:
    """Raise `truncated` where the index names bytes that the file does not have."""
    # Without this a cut file costs a whole decode, and is found to be damaged rather than cut.
    needed = max((entry.pos + entry.size for entry in picture.index_entries), default=0)
    if 0 < container.size < needed:
        raise MediaError(
            "truncated",
            f"{Path(container.name).name} has {container.size} bytes; expected at least {needed}. "
            "Fetch or encode it again.",
            str(container.size),
        )


def _decode(container: InputContainer, picture: VideoStream, sound: AudioStream | None) -> _Tally:
    tally = _Tally(fingerprint=Fingerprint((container.duration or 0) / av.time_base))
    start_s = origin_s(container)
    streams = (picture,) if sound is None else (picture, sound)
    try:
        for packet in container.demux(*streams):
            tally.n_discarded += packet.is_discard and packet.stream is picture
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    _see(tally, frame, picture, start_s)
                elif isinstance(frame, av.AudioFrame):
                    _hear(tally, frame, start_s)
    except av.FFmpegError as error:
        seen, claimed = len(tally.times_s), picture.frames or "an unknown number"
        raise MediaError(
            "decode_error",
            f"{Path(container.name).name}: decoding failed after {seen} frames of {claimed} "
            f"({why_of(error)}); re-encode or replace the file.",
            str(seen),
        ) from error
    return tally


def _see(tally: _Tally, frame: av.VideoFrame, picture: VideoStream, start_s: float) -> None:
    if not tally.times_s:
        tally.rotation_deg = frame.rotation
        tally.orientation = orientation_of(frame)
        tally.width, tally.height = frame.width, frame.height
        tally.tick_s = float(frame.time_base or 0)
    time_s = frame_time_s(frame, start_s)
    if time_s is None:
        time_s = len(tally.times_s) / nominal_fps(picture)
    tally.times_s.append(time_s)
    tally.n_corrupt += frame.is_corrupt
    tally.fingerprint.see(frame, time_s)
    tally.last_frame_s = float((frame.duration or 0) * (frame.time_base or 0))


def _hear(tally: _Tally, frame: av.AudioFrame, start_s: float) -> None:
    tally.n_corrupt += frame.is_corrupt
    samples = samples_of(frame)
    tally.peak = max(tally.peak, float(np.abs(samples).max(initial=0.0)))
    if frame.time is not None:
        end_s = frame.time - start_s + samples.shape[1] / frame.sample_rate
        tally.sound_end_s = max(tally.sound_end_s, end_s)


def _check_pictures(container: InputContainer, picture: VideoStream, tally: _Tally) -> None:
    """Raise where decoders concealed damage or left out frames that the index has."""
    name, seen = Path(container.name).name, len(tally.times_s)
    if tally.n_corrupt:
        raise MediaError(
            "decode_error",
            f"{name}: {tally.n_corrupt} of {seen} frames of picture and sound are damaged, and the "
            "decoder made up what is missing; expected none. Re-encode or replace the file.",
            str(tally.n_corrupt),
        )
    missing = picture.frames - seen - tally.n_discarded
    if missing > max(MISSING_FRAMES, MISSING_SHARE * picture.frames):
        raise MediaError(
            "truncated",
            f"{name} gave {seen} frames; its index has {picture.frames}. Fetch or encode it again.",
            str(seen),
        )


def _check_ends(container: InputContainer, picture: VideoStream, tally: _Tally) -> None:
    """Raise `truncated` where what was decoded ends well before what the container says."""
    name, end_s, claimed_s = (
        Path(container.name).name,
        _picture_end_s(tally),
        claimed_end_s(container, picture),
    )
    if claimed_s is not None:
        check_end(name, end_s, claimed_s)
    else:
        whole_s = (container.duration or 0) / av.time_base
        check_end(name, max(end_s, tally.sound_end_s), whole_s)


def _times_s(tally: _Tally) -> npt.NDArray[np.float64]:
    return np.sort(np.array(tally.times_s, dtype=np.float64))


def _picture_end_s(tally: _Tally) -> float:
    steps = np.diff(_times_s(tally))
    usual_s = float(np.median(steps)) if steps.size else 0.0
    return max(tally.times_s) + (tally.last_frame_s or usual_s)


def _summary(
    container: InputContainer,
    picture: VideoStream,
    sound: AudioStream | None,
    tally: _Tally,
    silence_dbfs: float,
) -> Probed:
    times = _times_s(tally)
    steps = np.diff(times)
    decoded_s = max(_picture_end_s(tally), tally.sound_end_s)
    duration_s = container.duration / av.time_base if container.duration else decoded_s
    if duration_s <= 0:
        raise MediaError(
            "no_duration",
            f"{Path(container.name).name}: neither the container nor {len(tally.times_s)} decoded "
            "frame(s) tell a length; re-encode the file.",
            str(len(tally.times_s)),
        )
    mean_s = float(steps.mean()) if steps.size else duration_s
    mean_s = mean_s if mean_s > 0 else duration_s
    width, height = displayed_size(
        tally.width, tally.height, pixel_aspect(picture), tally.orientation
    )
    return Probed(
        duration_s=round(duration_s, 6),
        fps=round(1 / mean_s, 6),
        n_frames=len(tally.times_s),
        width=width,
        height=height,
        rotation_deg=tally.rotation_deg,
        is_vfr=_is_vfr(steps, tally.tick_s),
        video_codec=picture.codec.canonical_name,
        audio_codec=None if sound is None else sound.codec.canonical_name,
        is_silent=None if sound is None else dbfs(tally.peak) < silence_dbfs,
        frame_fingerprint=tally.fingerprint.text,
        drift_s=float(np.abs(times - mean_s * np.arange(times.size)).max()),
    )


def _is_vfr(steps_s: npt.NDArray[np.float64], tick_s: float) -> bool:
    """Say whether frame distances differ by more than rounding to the container's clock."""
    if steps_s.size < 2:
        return False
    median_s = float(np.median(steps_s))
    return bool(np.any(np.abs(steps_s - median_s) > VFR_SHARE * median_s + tick_s + 1e-9))
