"""The backend `import`: tracks that lie in files, given the objects that they are named after.

Takes clips and files, gives the stretch of each track inside the clip's window at its own sampling.
It opens no video, hears nothing, and never guesses which object a track without a name is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from earshot.errors import ConfigError, InputError, ItemError
from earshot.geometry.tubes import TOLERANCE_S, UNKNOWN, native_step_s
from earshot.media.fetch import resolve
from earshot.media.frames import SourceInfo
from earshot.names import norm
from earshot.schemas.base import digest_of, sha256_hex
from earshot.schemas.config import TrackConfig
from earshot.store.stage import Estimate
from earshot.store.tube_files import TubeSet, read_tubes
from earshot.tasks.track_objects.protocol import Clip, Found, Target, TrackResult
from earshot.tasks.track_objects.track_files import Track, from_tubes, read_davis, read_mot

VIDEO = "{video_id}"
# Where the path has no {video_id}, files of one video lie in it by this name.
USUAL = {"mot": f"{VIDEO}.txt", "davis": VIDEO}


class ImportTracker:
    """The backend `import`. Settings: `TrackConfig.import_path`, `import_format`, `import_names`.

    Args:
        config: where the files lie; a relative path starts at `base`.
        base: the input's folder.

    Raises:
        ConfigError: if a name is not written as TRACK=NAME.
    """

    backend = "import"
    backend_version = "2"
    weights_digest: str | None = None
    looks = False

    def __init__(self, config: TrackConfig, base: str) -> None:
        self._format = config.import_format
        self._path = resolve(config.import_path, base)
        self._written = config.import_names
        self._names = dict(_name(entry) for entry in config.import_names)

    def open(self) -> None:
        """Do nothing: files are read video by video."""

    def close(self) -> None:
        """Do nothing."""

    def digest(self) -> str:
        """Return the digest of backend, version, format and names; the files' own is `stamp`."""
        settings = {"import_format": self._format, "import_names": sorted(self._written)}
        return digest_of([self.backend, self.backend_version, settings])

    def stamp(self, video_id: str) -> str:
        """Return the digest of what the files have for a video, or `missing`."""
        path = self._file(video_id)
        if self._format == "tubes":
            tubes = self._tubes(path)
            own = [tube for tube in tubes.tubes if tube.video_id == video_id]
            names = {t.object_id: sorted(tubes.names.get(t.object_id, ())) for t in own}
            return digest_of([[tube.digest for tube in own], names]) if own else "missing"
        if not path.exists():
            return "missing"
        files = sorted(path.glob("*.png")) if path.is_dir() else [path]
        return digest_of([[file.name, sha256_hex(file.read_bytes())] for file in files])

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """Return nothing: no frame is looked at."""
        del clips
        return Estimate()

    def track(self, clips: Iterable[Clip]) -> Iterator[TrackResult]:
        """Yield what the files have in each clip's window.

        Raises:
            ItemError: `bad_tracks` for a file that is not there or can't be read.
        """
        for clip in clips:
            tracks = self._tracks(clip.video_id, clip.info)
            found, named = [], set()
            for track in tracks:
                target = self._target(track, clip)
                if target is not None:
                    named.add(track.label)
                    stretch = _stretch(track, target, clip.window_s)
                    found += [] if stretch is None else [stretch]
            nameless = frozenset(track.label for track in tracks) - named
            yield TrackResult(clip, tuple(found), _refused(clip, tracks), nameless)

    def _tracks(self, video_id: str, info: SourceInfo) -> list[Track]:
        path = self._file(video_id)
        if self._format == "tubes":
            return from_tubes(self._tubes(path), video_id)
        if not path.exists():  # a mistyped path must not read as "nothing is to be seen"
            raise ItemError(
                "bad_tracks",
                f"{path} is not there; put it there (an empty one says: no track) or mend "
                "track.import_path",
                str(path),
            )
        return read_mot(path, info) if self._format == "mot" else read_davis(path, info)

    def _tubes(self, path: Path) -> TubeSet:
        try:
            return _read(path, _stamp_ns(path))
        except InputError as error:
            raise ItemError("bad_tracks", str(error), str(path)) from error

    def _file(self, video_id: str) -> Path:
        if VIDEO in self._path:
            return Path(self._path.replace(VIDEO, video_id))
        if self._format == "tubes":
            return Path(self._path)
        return Path(self._path) / USUAL[self._format].replace(VIDEO, video_id)

    def _target(self, track: Track, clip: Clip) -> Target | None:
        """Return the object of a track: by its id, else by a name that both have."""
        for target in clip.targets:
            if track.object_id == target.object_id:
                return target
        names = {norm(key) for key in track.keys}
        for key in track.keys:
            said = self._names.get(f"{clip.video_id}/{key}", self._names.get(key))
            names |= set() if said is None else {norm(said)}
        for target in clip.targets:
            if names & {norm(target.name), norm(target.phrase)}:
                return target
        return None


def _name(entry: str) -> tuple[str, str]:
    track, equals, name = entry.partition("=")
    if not equals or not track.strip() or not norm(name):
        raise ConfigError(
            f"track.import_names: {entry!r}; expected TRACK=NAME, such as '3=dog', "
            "'class 1=person' or, of one video, 'VIDEO_ID/3=dog'"
        )
    return track.strip(), name


def _stamp_ns(path: Path) -> tuple[int, int]:
    """Return size and time of the last change; zeros where nothing is there."""
    if not path.exists():
        return 0, 0
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    stats = [file.stat() for file in files]
    return sum(stat.st_size for stat in stats), max((s.st_mtime_ns for s in stats), default=0)


@lru_cache(maxsize=2)
def _read(path: Path, stamp: tuple[int, int]) -> TubeSet:
    """Read a table once for all of its videos, anew when it changed."""
    del stamp
    return read_tubes(path)


def _stretch(track: Track, target: Target, window_s: tuple[float, float]) -> Found | None:
    """Return the part of a track that a window's times can be answered from, if it has any."""
    half_s = native_step_s(track.times_s) / 2
    inside = (track.times_s >= window_s[0] - half_s - TOLERANCE_S) & (
        track.times_s < window_s[1] + half_s
    )
    if not np.any(inside & (track.states != UNKNOWN)):
        return None
    return Found(
        object_id=target.object_id,
        boxes=track.boxes[inside],
        states=track.states[inside],
        scores=track.scores[inside],
        source="imported",
        synchrony=None,
        flags=track.flags,
        times_s=tuple(track.times_s[inside].tolist()),
    )


def _refused(clip: Clip, tracks: list[Track]) -> dict[str, str]:
    has = f"{len(tracks)} track(s)" if tracks else "no track"
    return {
        target.object_id: f"no {target.name} found: the import has {has} for {clip.video_id}, "
        "none of them by this name in this window; name it in the file or in track.import_names"
        for target in clip.targets
    }
