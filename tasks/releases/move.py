"""Brings releases from place to place, whole or not at all: pull to the local disk, push from it.

Every file is checked against the manifest on the way; what is killed goes on where it was. Never
changes a version that is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsspec.implementations.local import LocalFileSystem

from earshot.errors import LeaseError, ReleaseError
from earshot.media.remote import download, look
from earshot.places import open_place, shown
from earshot.schemas.config import FetchConfig
from earshot.schemas.release import MANIFEST, FileEntry
from earshot.tasks.publish_release.shelf import rename_whole
from earshot.tasks.publish_release.upload import upload
from earshot.tasks.releases.release import REQUEST_S, Release
from earshot.tasks.releases.verify import verify

_AT_ONCE = 4


@dataclass(frozen=True)
class Moved:
    """What `pull` or `push` did; `is_new` is False where the release was there already.

    `sent` files crossed the wire, `kept` were there from an attempt before.
    """

    place: str
    sent: int
    kept: int
    is_new: bool
    note: str = ""


def pull(release: Release, into: Path, fetch: FetchConfig | None = None) -> Moved:
    """Copy a release into the local folder `into`, under its own name.

    Files are gathered in a hidden folder beside it, each checked as it comes; the release appears
    by one rename.

    Raises:
        ReleaseError: another release has that name there, or a file is not as its manifest says.
        ItemError: the place does not answer or breaks off.
        LeaseError: another process pulls the same release to the same folder.
    """
    target = into.absolute() / release.name
    if target.exists():
        return _already(release, target)
    into.mkdir(parents=True, exist_ok=True)
    staging = into.absolute() / f".pulling~{release.name}~{release.pin[:16]}"
    staging.mkdir(exist_ok=True)
    with _alone(staging):
        if target.exists():  # who held the folder before has finished
            shutil.rmtree(staging, ignore_errors=True)
            return _already(release, target)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            settings = fetch or FetchConfig()
            files = release.head.files
            came = list(pool.map(lambda file: _bring(release, file, staging, settings), files))
        _drop_others(staging, {file.path for file in files})
        (staging / MANIFEST).write_bytes(release.manifest_bytes)
        rename_whole(staging, target)
    return Moved(str(target), sum(came), len(came) - sum(came), True)


def push(release: Release, to: str | Path) -> Moved:
    """Copy a local release to the place `to`, under its own name.

    Raises:
        ReleaseError: the release is not local or not whole, another content has that name there,
            or somebody else publishes it at this moment.
        ItemError: the place does not answer or refuses.
        LeaseError: as `pull`.
    """
    if release.local is None:
        raise ReleaseError(
            f"{shown(release.place)} is not on the local disk: pull it first, then push it"
        )
    if faults := verify(release):
        raise ReleaseError(
            f"{release.place} is not whole and is not pushed: {faults[0]} ({len(faults)} faults in "
            "all, see `earshot release verify`)"
        )
    fs, root = open_place(str(to).rstrip("/"), REQUEST_S)
    if isinstance(fs, LocalFileSystem):
        return pull(release, Path(str(root)))
    target = f"{str(root).rstrip('/')}/{release.name}"
    done = upload(fs, release.local, target, release.head)
    return Moved(
        f"{str(to).rstrip('/')}/{release.name}", done.sent, done.kept, done.is_new, done.note
    )


def _already(release: Release, target: Path) -> Moved:
    there = Release(target)
    if there.pin != release.pin:
        raise ReleaseError(
            f"{target} is there with another content (manifest sha256 {there.pin}, asked for is "
            f"{release.pin}); a published version never changes. Choose another folder, or move "
            "that one away"
        )
    if faults := verify(there):
        raise ReleaseError(
            f"{target} is there and is not whole: {faults[0]} ({len(faults)} faults in all). "
            "Remove it and pull again"
        )
    return Moved(str(target), 0, len(release.head.files), False)


def _bring(release: Release, file: FileEntry, staging: Path, fetch: FetchConfig) -> bool:
    """Make one file whole in the staging folder; tell whether it had to come."""
    target = staging / _inside(file.path)
    if target.is_file() and _sha256(target) == file.sha256:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.~part")
    url = f"{release.place}/{file.path}"
    continued = part.exists()
    download(look(url, fetch), part, fetch, None)
    found = _sha256(part)
    if found != file.sha256 and continued:  # the part may have been of something else
        part.unlink()
        download(look(url, fetch), part, fetch, None)
        found = _sha256(part)
    if found != file.sha256:
        part.unlink()
        raise ReleaseError(
            f"{shown(url)} has sha256 {found}, the manifest says {file.sha256}: the release is "
            "altered where it lies. Pull it from another place, or have it pushed again"
        )
    part.replace(target)
    return True


def _inside(path: str) -> PurePosixPath:
    """Return a manifest's path, which must lead nowhere else."""
    inner = PurePosixPath(path)
    if inner.is_absolute() or ".." in inner.parts:
        raise ReleaseError(f"the manifest names {path!r}, which is outside of the release")
    return inner


def _drop_others(staging: Path, expected: set[str]) -> None:
    for path in staging.rglob("*"):
        if path.is_file() and path.relative_to(staging).as_posix() not in expected:
            path.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it however the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LeaseError(
            f"another process is filling {folder} at this moment: wait until it is done"
        ) from error
    finally:
        os.close(handle)
