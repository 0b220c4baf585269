"""Checks every byte of a release, wherever it is, against its manifest, and the manifest itself."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

from earshot.places import tried
from earshot.schemas.base import digest_of
from earshot.schemas.release import MANIFEST, FileEntry
from earshot.tasks.releases.release import ATTEMPTS, WAIT_S, Release

_CHUNK = 4 << 20
_AT_ONCE = 4


def verify(release: Release) -> tuple[str, ...]:
    """Return what is not as the manifest says, a line a file; empty where all is.

    Raises:
        ItemError: the place does not answer or breaks off.
    """
    expected = {file.path: file for file in release.head.files}
    release.fs.invalidate_cache()
    listed = tried(lambda: release.fs.find(release.folder), release.place, ATTEMPTS, WAIT_S)
    found = {str(path).removeprefix(f"{release.folder}/") for path in listed} - {MANIFEST}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checked = pool.map(
            lambda path: _fault(release, expected[path]), sorted(expected.keys() & found)
        )
        return (
            *_manifest_faults(release),
            *(f"{path} is missing" for path in sorted(expected.keys() - found)),
            *(f"{path} is not in the manifest" for path in sorted(found - expected.keys())),
            *(fault for fault in checked if fault),
        )


def _manifest_faults(release: Release) -> list[str]:
    said = json.loads(release.manifest_bytes)
    digest = said.pop("manifest_digest", None)
    if digest is None or digest == digest_of(said):
        return []
    return [f"{MANIFEST} is altered: its content has digest {digest_of(said)}, it says {digest}"]


def _fault(release: Release, file: FileEntry) -> str | None:
    sha256, size = tried(lambda: _hash(release, file), release.path(file), ATTEMPTS, WAIT_S)
    if sha256 == file.sha256:
        return None
    length = "" if size == file.bytes else f" ({size} bytes, expected {file.bytes})"
    return f"{file.path} is altered: sha256 {sha256}, expected {file.sha256}{length}"


def _hash(release: Release, file: FileEntry) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with release.fs.open(release.path(file), "rb", block_size=_CHUNK) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
