"""video: one untrimmed source video, the unit of work and of the split."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import Record, opt, req


class Video(Record):
    """One source video as it was opened and measured (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "videos"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("uri", pa.string()),
            req("sha256", pa.string()),
            req("bytes", pa.int64()),
            req("duration_s", pa.float64()),
            req("fps", pa.float64()),
            req("n_frames", pa.int64()),
            req("width", pa.int32()),
            req("height", pa.int32()),
            req("rotation_deg", pa.int16()),
            req("is_vfr", pa.bool_()),
            req("video_codec", pa.string()),
            opt("audio_codec", pa.string()),
            req("has_audio", pa.bool_()),
            opt("is_silent", pa.bool_()),
            opt("licence", pa.string()),
            opt("source", pa.string()),
            opt("split_group", pa.string()),
            opt("frame_fingerprint", pa.string()),
            opt("audio_fingerprint", pa.string()),
        ]
    )

    video_id: str
    uri: str = Field(description="as written in the manifest")
    sha256: str
    bytes: int = Field(ge=0)
    duration_s: float = Field(gt=0)
    fps: float = Field(gt=0, description="mean frames a second")
    n_frames: int = Field(ge=1, description="frames that were decoded, not the header's claim")
    width: int = Field(ge=1, description="displayed, after rotation")
    height: int = Field(ge=1, description="displayed, after rotation")
    rotation_deg: int
    is_vfr: bool
    video_codec: str
    audio_codec: str | None
    has_audio: bool
    is_silent: bool | None = Field(description="null where there is no audio track")
    licence: str | None = None
    source: str | None = None
    split_group: str | None = None
    frame_fingerprint: str | None = Field(None, description="PDQ hashes of up to 16 frames")
    audio_fingerprint: str | None = Field(None, description="perceptual hash of the sound")
