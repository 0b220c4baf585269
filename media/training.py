"""What trainers' readers make of a file: the stored size of its picture, its sound as 16 kHz WAV.

Meant to run in a child (`earshot.media.child`), as every decoder does.
"""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from earshot.errors import MediaError
from earshot.media.container import (
    open_media,
    origin_s,
    picture_stream,
    sound_stream,
    why_of,
)

RATE_HZ = 16_000
"""What Qwen2.5-Omni's feature extractor takes."""
_LONGEST_OFFSET_S = 60.0


def stored_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the picture as it is stored: not turned, pixels not stretched.

    Raises:
        MediaError: the file can't be opened or has no picture.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        return stream.codec_context.width, stream.codec_context.height


def write_wav(path: Path, out: Path) -> int:
    """Write the sound of a file as mono 16-bit WAV from the container's start; return samples.

    Raises:
        MediaError: there is no sound, or it can't be decoded.
    """
    with open_media(path) as container:
        sound = sound_stream(container)
        if sound is None:
            raise MediaError("unreadable", f"{path.name} has no sound; expected a track.")
        start_s = origin_s(container)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        pieces: list[npt.NDArray[np.int16]] = []
        try:
            for frame in container.decode(sound):
                if not pieces:
                    begins_s = 0.0 if frame.time is None else frame.time - start_s
                    lead = min(max(begins_s, 0.0), _LONGEST_OFFSET_S)
                    pieces.append(np.zeros(round(lead * RATE_HZ), np.int16))
                pieces += [made.to_ndarray()[0] for made in resampler.resample(frame)]
            if pieces:
                pieces += [made.to_ndarray()[0] for made in resampler.resample(None)]
        except av.FFmpegError as error:
            raise MediaError(
                "decode_error",
                f"{path.name}: its sound fails to decode ({why_of(error)}); re-encode the file.",
            ) from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
    return len(samples)
