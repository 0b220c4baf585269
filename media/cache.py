"""Copies of remote media on the local disk: whole or not there, as new as their place, bounded.

Takes URLs, gives local files for as long as they are held. Two processes that want the same file
fetch it once; a fetch that was killed goes on where it was. Never drops a copy that is held.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import BufferedWriter
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from earshot.errors import ItemError
from earshot.media.remote import Remote, check_size, download, look
from earshot.places import shown
from earshot.schemas.config import FetchConfig

# A part that nobody went on with for so long will not be finished.
_FORGOTTEN_S = 7 * 24 * 3600.0
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class _Copy:
    """What is known of a copy; its file's time tells whether something else wrote into it."""

    identity: str
    size: int
    mtime_ns: int


class MediaCache:
    """The folder of copies.

    Args:
        folder: where they are; made when the first comes.
        fetch: their size in all, and how long places are waited for.
    """

    def __init__(self, folder: Path, fetch: FetchConfig) -> None:
        self._folder = folder
        self._fetch = fetch

    @contextmanager
    def hold(self, url: str, max_bytes: int | None, *, anew: bool = False) -> Iterator[Path]:
        """Give the copy of a URL, fetched where there is none, an old one, or `anew`.

        Until the block ends nobody drops it or puts another in its place. The lock goes with the
        process that has it, however it ends.

        Raises:
            ItemError: `not_found`, `forbidden`, `timeout`, `checksum`, `too_large`,
                `fetch_failed` or `bad_entry`.
        """
        target, fetched = self._target(url), None
        with self._lock_file(target) as lock:
            while True:
                fcntl.flock(lock, fcntl.LOCK_SH)
                copy = None if anew else self._copy(target)
                remote = None
                if copy is None or copy.identity != fetched:
                    remote = self._look(url, copy)
                if copy is not None and (remote is None or remote.identity == copy.identity):
                    check_size(shown(url), copy.size, max_bytes)
                    os.utime(_beside(target, "copy"))
                    yield target
                    return
                assert remote is not None
                # Between two locks another process may fetch it, or drop it to make room.
                fcntl.flock(lock, fcntl.LOCK_EX)
                there = None if anew else self._copy(target)
                if there is None or there.identity != remote.identity:
                    self._download(remote, target, max_bytes)
                fetched, anew = remote.identity, False

    def identity(self, url: str) -> str | None:
        """Return what the copy of a URL was known by at its place; None without a copy."""
        copy = self._copy(self._target(url))
        return None if copy is None else copy.identity

    def _look(self, url: str, copy: _Copy | None) -> Remote | None:
        """Return what the place says, or None where it does not say and a copy serves."""
        try:
            return look(url, self._fetch)
        except ItemError as fault:
            # An unknown kind of place is a mistake in the uri; all else may pass.
            if copy is None or fault.code == "bad_entry":
                raise
            return None

    def _target(self, url: str) -> Path:
        """Return the place of a copy; messages about it have the file's own name."""
        name = PurePosixPath(unquote(shown(url))).name
        return self._folder / f"{name_of(url)[:16]}-{_UNUSUAL.sub('_', name)[-80:]}"

    def _copy(self, target: Path) -> _Copy | None:
        try:
            copy, there = _Copy(**json.loads(_beside(target, "copy").read_bytes())), target.stat()
        except (FileNotFoundError, ValueError, TypeError):
            return None
        whole = (there.st_size, there.st_mtime_ns) == (copy.size, copy.mtime_ns)
        return copy if whole else None

    def _download(self, remote: Remote, target: Path, max_bytes: int | None) -> None:
        check_size(shown(remote.url), remote.size or 0, max_bytes)
        check_size(
            shown(remote.url), remote.size or 0, self._fetch.cache_bytes, "fetch.cache_bytes"
        )
        self._make_room(remote.size or 0, besides=target)
        part = _beside(target, "part")
        begun = _beside(target, "begun")
        if not (remote.is_sure and _text(begun) == remote.identity):
            part.unlink(missing_ok=True)
            write_whole(begun, remote.identity)
        download(remote, part, self._fetch, max_bytes)
        if look(remote.url, self._fetch).identity != remote.identity:
            part.unlink()
            raise ItemError(
                "checksum",
                f"{shown(remote.url)} changed while it was fetched; expected one content. Fetch "
                "it again.",
                shown(remote.url),
            )
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
        there = target.stat()
        copy = _Copy(remote.identity, there.st_size, there.st_mtime_ns)
        write_whole(_beside(target, "copy"), json.dumps(asdict(copy)))
        begun.unlink()

    def _make_room(self, size: int, besides: Path) -> None:
        """Drop the copies that were not used longest, and are not held, until more fits."""
        files = _files(self._folder)
        old_s = time.time() - _FORGOTTEN_S
        for path, (_, time_s) in files.items():
            if path.suffix == ".~part" and time_s < old_s:
                path.unlink(missing_ok=True)
        total = size + sum(size for path, (size, _) in files.items() if path != besides)
        used = {path: time_s for path, (_, time_s) in files.items() if path.suffix == ".~copy"}
        for note in sorted(used, key=used.__getitem__):
            target = note.with_suffix("")
            if total <= self._fetch.cache_bytes:
                return
            if target != besides and self._drop(target):
                total -= files[target][0] if target in files else 0

    def _drop(self, target: Path) -> bool:
        """Drop a copy, unless it is held."""
        with self._lock_file(target) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            _beside(target, "copy").unlink(missing_ok=True)
            target.unlink(missing_ok=True)
        return True

    @contextmanager
    def _lock_file(self, target: Path) -> Iterator[BufferedWriter]:
        """Open what is locked for a copy: shared to read it, alone to write or drop it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _beside(target, "lock").open("wb") as file:
            yield file


def _files(folder: Path) -> dict[Path, tuple[int, float]]:
    """Return bytes and time of change of each file of a folder, which others may drop meanwhile."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                about = entry.stat()
                found[Path(entry.path)] = about.st_size, about.st_mtime
    return found


def name_of(text: str) -> str:
    """Return a file name for a path or URL."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_whole(target: Path, text: str) -> None:
    """Write a small file that is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".tmp", delete=False) as out:
        temporary = Path(out.name)
        try:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        except BaseException:
            temporary.unlink()
            raise
    temporary.replace(target)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f"{target.name}.~{what}")


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
