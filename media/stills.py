"""Turns frames and sound into what goes into a request: JPEG and WAV as base64 text.

Takes RGB arrays or a file; gives text. Knows nothing of who is asked.
"""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from earshot.errors import MediaError
from earshot.media.container import open_media, sound_stream

WAV_HZ = 16_000
_QUALITY = 85


def jpeg_url(frame: npt.NDArray[np.uint8]) -> str:
    """Return a frame (H, W, 3) as a data URL."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def wav_base64(path: Path) -> str | None:
    """Return a file's sound as 16 kHz mono WAV, or None where it has no audio track.

    Raises:
        MediaError: `not_found`, `forbidden`, `unreadable` or `decode_error`.
    """
    with open_media(path) as container:
        sound = sound_stream(container)
        if sound is None:
            return None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=WAV_HZ)
        pieces: list[bytes] = []
        try:
            for frame in container.decode(sound):
                pieces += [piece.to_ndarray().tobytes() for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray().tobytes() for piece in resampler.resample(None)]
        except av.error.FFmpegError as error:
            raise MediaError(
                "decode_error", f"{path.name}: its sound fails to decode ({error}); re-encode it."
            ) from error
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WAV_HZ)
        file.writeframes(b"".join(pieces))
    return base64.b64encode(stream.getvalue()).decode()
