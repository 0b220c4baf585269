"""The videos of an export: found, opened and decoded before a row is written about them.

Takes the release's media table and a folder, gives what the file is; decodes in a child that a
broken file may kill. Writes frames and sound where a dialect carries them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.frames import read_frames
from earshot.media.probe import probe
from earshot.media.training import stored_size, write_wav
from earshot.schemas.release import Media
from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.profiles import Seen
from earshot.tasks.releases.in_order import ByVideo
from earshot.tasks.releases.media import MediaFolder, check_video
from earshot.tasks.releases.release import Release

LIMIT_S = 120.0
"""Wall seconds that a call about one video may take."""

DRIFT_S = 0.25
"""By so much a reader may be wrong about when a frame is: half of two frames a second."""

_SILENCE_DBFS = -60.0
_QUALITY = 92
_CLIP = ("duration_s", "fps", "n_frames", "width", "height", "has_audio")
_FACTS = (*_CLIP, "rotation_deg")
_CODES = {"missing": "not_found", "different": "checksum"}


@dataclass(frozen=True)
class Clip:
    """A file that can be trained on; the size is as displayed."""

    path: Path
    uri: str
    sha256: str
    duration_s: float
    fps: float
    n_frames: int
    width: int
    height: int
    has_audio: bool

    @property
    def absolute(self) -> str:
        """The path as a trainer opens it."""
        return os.path.abspath(self.path)  # noqa: PTH100 - a tenth of what Path.absolute costs


class Footage:
    """Opens the videos of a release.

    Args:
        release: where the media and videos tables are.
        media_root: folder of the files.
        config: what to check, and for whom.
        worker: decodes; one with `LIMIT_S`.
    """

    def __init__(
        self, release: Release, media_root: Path, config: ExportConfig, worker: Worker
    ) -> None:
        self._folder = MediaFolder(media_root)
        self._config = config
        needed = [name for name in Media.model_fields if name != "video_id"]
        needed = needed if config.check_media else ["uri", "sha256"]
        self._of_media = ByVideo(release, "media", needed)
        self._of_videos = ByVideo(release, "videos", _FACTS)
        self._media: dict[str, dict[str, Any]] = {}
        self._videos: dict[str, dict[str, Any]] = {}
        self._worker = worker

    def load(self, video_ids: Sequence[str]) -> None:
        """Read what the release says of the videos that are opened next; ids only ascend."""
        self._media = self._of_media.find(video_ids)
        self._videos = self._of_videos.find(video_ids)

    def open(self, video_id: str) -> Clip:
        """Return the file of a video, decoded whole unless the release is to be believed.

        Raises:
            ItemError: it is missing, another film, or can't be decoded; `turned_picture` and
                `uneven_frames` where a trainer's reader would show another picture than earshot
                does, or at another time.
        """
        row, known = self._media.get(video_id), self._videos.get(video_id)
        if row is None or known is None:
            raise ItemError("not_found", f"{video_id} is not in the release's media table")
        uri, sha256 = row["uri"], row["sha256"]
        path = self._folder.find(video_id, uri)
        if path is None:
            raise ItemError("not_found", f"{uri} is not in the media root; fetch it")
        if not self._config.check_media:
            self._check_upright(path, known["rotation_deg"])
            return Clip(path, uri, sha256, *(known[name] for name in _CLIP))
        # From a published table: its types are known.
        checked = check_video(Media.model_construct(**row), path, self._worker)
        if checked.state in _CODES:
            raise ItemError(_CODES[checked.state], f"{path}: {checked.why}")
        if checked.state == "unreadable":
            raise ItemError(checked.why.partition(":")[0], f"{path}: {checked.why}")
        # The file may be encoded anew: what is in it counts, not what the release had.
        found = self._worker.call(probe, path, _SILENCE_DBFS)
        shown = (found.width, found.height)
        if self._config.dialect != "trl":
            stored = self._worker.call(stored_size, path)
            self._check_upright(path, found.rotation_deg)
            if stored != shown:
                raise ItemError(
                    "turned_picture",
                    f"{path.name} stores {stored[0]} x {stored[1]} pixels for {shown[0]} x "
                    f"{shown[1]} shown",
                )
            if found.drift_s > DRIFT_S:
                raise ItemError(
                    "uneven_frames",
                    f"{path.name} has a frame {found.drift_s:.2f} s from its number over "
                    f"{found.fps:g} frames a second; expected at most {DRIFT_S:g} s",
                )
        return Clip(
            path, uri, sha256, found.duration_s, found.fps, found.n_frames, *shown,
            has_audio=found.has_audio,
        )  # fmt: skip

    def _check_upright(self, path: Path, rotation_deg: int) -> None:
        if rotation_deg and self._config.dialect != "trl":
            raise ItemError("turned_picture", f"{path.name} is stored turned by {rotation_deg}°")

    def write_frames(self, clip: Clip, seen: Seen, folder: Path) -> list[Path]:
        """Write the seen frames of a video as JPEG, in the size that the model sees.

        Raises:
            ItemError: the file can't be decoded.
        """
        folder.mkdir(parents=True, exist_ok=True)
        width, height = seen.size_px
        times = seen.times_s(clip.fps)
        made = []
        frames = self._worker.arrays(
            3 * width * height, read_frames, clip.path, times, width, height
        )
        for number, (_, frame) in enumerate(frames):
            made.append(folder / f"{number:04d}.jpg")
            Image.fromarray(frame).save(made[-1], "JPEG", quality=_QUALITY)
        return made

    def write_sound(self, clip: Clip, out: Path) -> None:
        """Write the sound of a video as 16 kHz WAV; raises ItemError where it can't be decoded."""
        out.parent.mkdir(parents=True, exist_ok=True)
        self._worker.call(write_wav, clip.path, out)
