"""Says which videos of a release are at hand: there, missing or different, and what can be asked.

Takes a release and a folder of videos; opens each in a child that a broken file may kill. Never
fetches, never writes.
"""

from __future__ import annotations

import hashlib
import math
import mimetypes
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Literal

from earshot.errors import InputError, ItemError
from earshot.media.child import Worker
from earshot.media.fetch import resolve
from earshot.media.fingerprint import MIN_SHARE, shared_frames
from earshot.media.probe import probe
from earshot.schemas.arrow import from_table
from earshot.schemas.release import Media
from earshot.tasks.releases.release import Release

DURATION_S = 0.1
_LIMIT_S = 120.0
_SILENCE_DBFS = -60.0

State = Literal["identical", "equal", "different", "unreadable", "missing"]
STATES: tuple[State, ...] = ("identical", "equal", "different", "unreadable", "missing")
USABLE: frozenset[State] = frozenset({"identical", "equal"})


@dataclass(frozen=True)
class Checked:
    """One video: `equal` is another file with the same length, frames and pictures."""

    video_id: str
    state: State
    path: str
    why: str


@dataclass(frozen=True)
class MediaReport:
    """All videos that a question is about, and the questions that can be asked of them.

    Attributes:
        questions: (split, task) -> (usable, all).
        usable_ids: of the usable questions, sorted.
    """

    videos: tuple[Checked, ...]
    questions: dict[tuple[str, str], tuple[int, int]]
    usable_ids: tuple[str, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Videos by state, in order of `STATES`."""
        found = Counter(video.state for video in self.videos)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def is_complete(self) -> bool:
        """Whether every question can be asked."""
        return all(usable == total for usable, total in self.questions.values())


class MediaFolder:
    """Where the videos of a release lie: under their uri, their file's name or their video id."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(resolve(str(root), Path.cwd()))
        self._base = str(self.root.absolute())
        if "://" in str(root) and not str(root).startswith("file://"):
            raise InputError(
                f"--media-root {root}: expected a local folder; fetch the videos first"
            )
        if not self.root.is_dir():
            raise InputError(f"--media-root {root}: there is no such folder; check the path")

    def find(self, video_id: str, uri: str) -> Path | None:
        """Return the file of a video, or None."""
        if "://" not in uri:
            # As `resolve` joins them, at a tenth of its cost: an export asks for every video.
            plain = os.path.join(self._base, uri)  # noqa: PTH118
            if os.path.isfile(plain):  # noqa: PTH113
                return Path(plain)
        elif uri.startswith("file://"):
            named = Path(resolve(uri, self.root))
            if named.is_file():
                return named
        name = PurePosixPath(uri.partition("?")[0])
        found = [*self._by_stem.get(video_id, ()), *self._by_stem.get(name.stem, ())]
        # Beside a video lie its poster, its captions; and many a folder has a `clip.mp4`.
        return min(found, key=lambda path: (not _is_video(path), -_alike(path, name)), default=None)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            found[path.stem].append(path)
        return found


def _is_video(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("video/")


def _alike(path: Path, uri: PurePosixPath) -> int:
    """Return how many names a path has in common with an uri, from the file's upwards."""
    pairs = zip(reversed(path.parts), reversed(uri.parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def check_media(release: Release, media_root: str | Path) -> MediaReport:
    """Return what became of each video that has a question.

    A file with the sha256 of the release is identical. Any other is opened: its length may differ
    by 0.1 s, its frames by as many as that, its size must be equal in shape, and its pictures have
    to have the fingerprint that the release has, where it has one.

    Raises:
        InputError: there is no such folder.
        ReleaseError: the release has no questions or media table.
    """
    folder = MediaFolder(media_root)
    columns = ["question_id", "video_id", "split", "task"]
    rows = release.read(columns=columns).to_pylist()
    asked = {row["video_id"] for row in rows}
    known = [m for m in from_table(Media, release.read("media")) if m.video_id in asked]
    with Worker(_LIMIT_S) as worker:
        videos = tuple(
            check_video(media, folder.find(media.video_id, media.uri), worker) for media in known
        )
    usable = {video.video_id for video in videos if video.state in USABLE}
    totals = Counter((row["split"], row["task"]) for row in rows)
    left = [row for row in rows if row["video_id"] in usable]
    lefts = Counter((row["split"], row["task"]) for row in left)
    return MediaReport(
        videos=videos,
        questions={key: (lefts[key], total) for key, total in sorted(totals.items())},
        usable_ids=tuple(sorted(row["question_id"] for row in left)),
    )


def check_video(media: Media, path: Path | None, worker: Worker) -> Checked:
    """Return whether a file is the video that the release is about; see `check_media`."""
    if path is None:
        return Checked(media.video_id, "missing", "", f"no file for {media.uri}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == media.sha256:
            return Checked(media.video_id, "identical", str(path), "")
    try:
        faults = list(_faults(media, path, worker))
    except ItemError as error:
        return Checked(media.video_id, "unreadable", str(path), f"{error.code}: {error}")
    if faults:
        return Checked(media.video_id, "different", str(path), "; ".join(faults))
    seen = "" if media.frame_fingerprint else "; the release has no fingerprint of its pictures"
    return Checked(
        media.video_id, "equal", str(path), f"another file, same length and frames{seen}"
    )


def _faults(media: Media, path: Path, worker: Worker) -> Iterator[str]:
    found = worker.call(probe, path, _SILENCE_DBFS)
    if abs(found.duration_s - media.duration_s) > DURATION_S + 1e-9:
        yield f"{found.duration_s:.2f} s long, expected {media.duration_s:.2f}"
    if abs(found.n_frames - media.n_frames) > math.ceil(DURATION_S * media.fps):
        yield f"{found.n_frames} frames, expected {media.n_frames}"
    shape, expected = found.width / found.height, media.width / media.height
    if abs(shape / expected - 1) > 0.02:
        yield (
            f"{found.width}x{found.height} pixels, expected the shape of "
            f"{media.width}x{media.height}"
        )
    if media.frame_fingerprint:
        share = shared_frames(media.frame_fingerprint, found.frame_fingerprint or "")
        if share is not None and share < MIN_SHARE:
            yield f"other pictures: {share:.0%} of the frames are alike, expected {MIN_SHARE:.0%}"
