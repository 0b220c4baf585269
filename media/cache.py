"""Copies of remote media on the local disk: whole or not there, as new as their place, bounded.

Takes URLs, gives local files. Two processes that want the same file fetch it once; a fetch that
was killed goes on where it was. Never drops a copy that was used in the last hour.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from earshot.errors import ItemError
from earshot.media.remote import Patience, Remote, check_size, download, look, shown

# A batch of videos, with the one that a slow decoder is at, is through in this time.
IN_USE_S = 3600.0
# A part that nobody went on with for so long will not be finished.
_FORGOTTEN_S = 7 * 24 * 3600.0


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
        max_bytes: size of all together.
        patience: how long places are waited for.
    """

    def __init__(self, folder: Path, max_bytes: int, patience: Patience) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._patience = patience

    def fetch(self, url: str, max_bytes: int | None, *, anew: bool = False) -> Path:
        """Return the copy of a URL, fetched where there is none, an old one, or `anew`.

        Raises:
            ItemError: `not_found`, `forbidden`, `timeout`, `checksum`, `too_large`,
                `fetch_failed` or `bad_entry`.
        """
        target = self._target(url)
        with self._lock(target):
            copy = None if anew else self._copy(target)
            try:
                remote = look(url, self._patience)
            except ItemError as fault:
                # An unknown kind of place is a mistake in the uri; all else may pass.
                if copy is None or fault.code == "bad_entry":
                    raise
                remote = None
            if copy is None or (remote is not None and remote.identity != copy.identity):
                assert remote is not None
                self._download(remote, target, max_bytes)
            else:
                check_size(shown(url), copy.size, max_bytes)
            os.utime(_beside(target, "copy"))
        return target

    def identity(self, url: str) -> str | None:
        """Return what the copy of a URL was known by at its place; None without a copy."""
        copy = self._copy(self._target(url))
        return None if copy is None else copy.identity

    def _target(self, url: str) -> Path:
        return self._folder / f"{name_of(url)}{PurePosixPath(urlsplit(url).path).suffix}"

    def _copy(self, target: Path) -> _Copy | None:
        try:
            copy, there = _Copy(**json.loads(_beside(target, "copy").read_bytes())), target.stat()
        except (FileNotFoundError, ValueError, TypeError):
            return None
        whole = (there.st_size, there.st_mtime_ns) == (copy.size, copy.mtime_ns)
        return copy if whole else None

    def _download(self, remote: Remote, target: Path, max_bytes: int | None) -> None:
        check_size(shown(remote.url), remote.size or 0, max_bytes)
        self._make_room(remote)
        part = _beside(target, "part")
        begun = _beside(target, "begun")
        if not (remote.is_sure and _text(begun) == remote.identity):
            part.unlink(missing_ok=True)
            write_whole(begun, remote.identity)
        download(remote, part, self._patience, max_bytes)
        if look(remote.url, self._patience).identity != remote.identity:
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

    def _make_room(self, remote: Remote) -> None:
        """Drop the copies that were not used longest until one more fits."""
        check_size(f"{shown(remote.url)}, for the cache,", remote.size or 0, self._max_bytes)
        now_s = time.time()
        for part in self._folder.glob("*.~part"):
            if now_s - part.stat().st_mtime > _FORGOTTEN_S:
                part.unlink(missing_ok=True)
        kept = [path for path in self._folder.iterdir() if path.suffix != ".~lock"]
        total = sum(path.stat().st_size for path in kept) + (remote.size or 0)
        notes = [(path.stat().st_mtime, path) for path in kept if path.suffix == ".~copy"]
        for used_s, note in sorted(notes):
            if total <= self._max_bytes or now_s - used_s < IN_USE_S:
                return
            target = note.with_suffix("")
            size = target.stat().st_size if target.exists() else 0
            note.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            total -= size

    @contextmanager
    def _lock(self, target: Path) -> Iterator[None]:
        """Hold the right to write one copy; it goes with the process that holds it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _beside(target, "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


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
