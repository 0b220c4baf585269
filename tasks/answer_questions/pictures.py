"""Gives the frames of a release's videos as JPEG data URLs, decoded once for a video's questions.

Takes `media.parquet` and the place of the videos, checks every file by its sha256; a release holds
no videos itself.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from earshot.errors import ItemError
from earshot.media.fetch import local_file
from earshot.media.frames import Frame, LocalSource, SourceInfo, window_times
from earshot.tasks.answer_questions.prompt import Shown
from earshot.tasks.score_answers.read import read_table

LONG_SIDE_PX = 768
"""Larger frames are scaled down: what vision models see of an image is about that large."""
_QUALITY = 85
_MEDIA = ("video_id", "uri", "sha256")
_VIDEOS = ("video_id", "duration_s", "fps", "width", "height")


@dataclass(frozen=True)
class Clip:
    """Where a video lies, what its content must be, and what was probed of it."""

    uri: str
    base: str | Path
    cache: Path
    sha256: str
    info: SourceInfo

    def file(self) -> AbstractContextManager[Path]:
        """Give the local file; raises ItemError where it is not there or another one."""
        return local_file(self.uri, self.base, self.cache, sha256=self.sha256)


@dataclass(frozen=True)
class Media:
    """The videos that are there, and why the others are not."""

    clips: Mapping[str, Clip]
    faults: Mapping[str, str]


def find_media(release: Path, video_ids: Iterable[str], root: Path | None, cache: Path) -> Media:
    """Look for the videos of a release and check their sha256.

    Args:
        release: its folder.
        video_ids: the videos that are needed.
        root: what relative uris of `media.parquet` start from; default: the release's folder.
        cache: folder for fetched files and known digests.

    Raises:
        InputError: the release misses a table.
    """
    media = {
        row["video_id"]: row for row in read_table(release, "media.parquet", _MEDIA).to_pylist()
    }
    videos = read_table(release, "tables/videos.parquet", _VIDEOS).to_pylist()
    probed = {
        row["video_id"]: SourceInfo(row["duration_s"], row["fps"], row["width"], row["height"])
        for row in videos
    }
    clips, faults = dict[str, Clip](), dict[str, str]()
    for video_id in sorted(set(video_ids)):
        if video_id not in media or video_id not in probed:
            faults[video_id] = f"{video_id} is not in media.parquet; publish the release anew"
            continue
        row = media[video_id]
        clip = Clip(row["uri"], root or release, cache, row["sha256"], probed[video_id])
        try:
            with clip.file():
                clips[video_id] = clip
        except ItemError as error:
            faults[video_id] = str(error)
    return Media(clips, faults)


def frame_times(duration_s: float, fps: float, max_frames: int) -> tuple[float, ...]:
    """Return 0, 1/fps, ... seconds; if that is more than `max_frames`, as many evenly apart."""
    times = window_times(0.0, duration_s, fps)
    if len(times) <= max_frames:
        return times
    return tuple(round(index * duration_s / max_frames, 3) for index in range(max_frames))


def read_pictures(clip: Clip, fps: float, max_frames: int) -> tuple[Shown, ...]:
    """Return the frames of a video as JPEG data URLs; none where `max_frames` is 0.

    Raises:
        ItemError: the file is not there any more, or another one, or can't be decoded.
    """
    if max_frames == 0:
        return ()
    times = frame_times(clip.info.duration_s, fps, max_frames)
    with clip.file() as path:
        frames = LocalSource(path, clip.info, LONG_SIDE_PX).frames(times)
        return tuple(Shown(time_s, _url(frame)) for time_s, frame in frames)


class Pictures:
    """The frames of the last few videos: questions of one video come one after the other."""

    def __init__(self, media: Media, fps: float, max_frames: int, kept: int) -> None:
        self._media = media
        self._fps = fps
        self._max_frames = max_frames
        self._kept = kept
        self._tasks: OrderedDict[str, asyncio.Task[tuple[Shown, ...]]] = OrderedDict()

    async def of(self, video_id: str) -> tuple[Shown, ...]:
        """Return a video's frames; decodes in a thread, once for all who wait.

        Raises:
            ItemError: the video is not there, or can't be decoded.
        """
        if self._max_frames == 0:
            return ()
        if video_id not in self._media.clips:
            raise ItemError("not_found", self._media.faults[video_id])
        if video_id not in self._tasks:
            clip = self._media.clips[video_id]
            self._tasks[video_id] = asyncio.create_task(
                asyncio.to_thread(read_pictures, clip, self._fps, self._max_frames)
            )
            while len(self._tasks) > self._kept:
                self._tasks.popitem(last=False)
        return await asyncio.shield(self._tasks[video_id])


def _url(frame: Frame) -> str:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
