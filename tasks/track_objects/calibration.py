"""What a tracker's models cost on this machine: measured once, kept in a file, read by `plan`.

Takes times measured by `earshot doctor --calibrate`, gives seconds for frames to come. Weights,
device, precision and compilation decide which record holds; without one nothing is estimated.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field

from earshot.schemas.base import digest_of
from earshot.schemas.config import Section, TrackConfig
from earshot.store.workspace import write_atomic


class Calibration(Section):
    """Seconds that models take on a machine."""

    detector_frame_s: float = Field(ge=0, description="for one frame with one text")
    frame_s: float = Field(ge=0, description="for one frame, whatever is followed on it")
    object_s: float = Field(ge=0, description="for one object on one frame")
    device: str = Field(description="name of the device")
    at: datetime = Field(description="when it was measured")

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"{self.at:%Y-%m-%d} on {self.device}: {self.frame_s:.4f} s a frame, "
            f"{self.object_s:.4f} s more an object, {self.detector_frame_s:.4f} s a detector frame"
        )

    def seconds(self, frames: int, objects: int, detector_frames: int) -> float:
        """Return the seconds for frames, objects on frames in sum, and frames of the detector."""
        moved = frames * self.frame_s + objects * self.object_s
        return moved + detector_frames * self.detector_frame_s


def file_of(track: TrackConfig, weights_digest: str | None) -> Path:
    """Return where the calibration of these models on this machine is kept."""
    key = [track.backend, weights_digest, track.device, track.precision, track.compile]
    return user_data_path("earshot") / "calibration" / f"{digest_of(key)[:16]}.json"


def recorded(track: TrackConfig, weights_digest: str | None) -> Calibration | None:
    """Return the calibration of these models on this machine, if there is one."""
    file = file_of(track, weights_digest)
    return Calibration.model_validate_json(file.read_bytes()) if file.is_file() else None


def record(track: TrackConfig, weights_digest: str | None, found: Calibration) -> Path:
    """Keep a calibration; return its file."""
    file = file_of(track, weights_digest)
    write_atomic(file, found.model_dump_json(indent=1).encode())
    return file


def now() -> datetime:
    """Return the time, for a record."""
    return datetime.now(UTC).replace(microsecond=0)
