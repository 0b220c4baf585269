"""Puts a finished release folder into a place that can't rename: files first, manifest last.

Who fills a version holds a claim, an object beside it that only one can create; the manifest is
created under the same condition. Never writes into a version that has its manifest, never sends a
file again that is there already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractFileSystem

from earshot.errors import ReleaseError
from earshot.places import tried
from earshot.schemas.base import sha256_hex
from earshot.schemas.release import MANIFEST, ManifestHead
from earshot.tasks.publish_release.marker import Marker

ATTEMPTS, WAIT_S = 4, 0.5
_CONDITIONAL = frozenset({"s3", "s3a", "memory"})
_READ_BACK = 4 << 20


@dataclass(frozen=True)
class Upload:
    """What an upload did: files sent, files that were there already, and what a reader should know.

    `is_new` is False where the version was there with the same manifest.
    """

    sent: int
    kept: int
    is_new: bool
    note: str = ""


def upload(fs: AbstractFileSystem, staged: Path, target: str, head: ManifestHead) -> Upload:
    """Make a complete local folder the version `target`; goes on where a killed one stopped.

    Args:
        fs: of the target.
        staged: a release folder with its manifest.
        target: path of the version's folder in `fs`.
        head: the manifest of `staged`.

    Raises:
        ReleaseError: another content is published there, or somebody else is at it.
        ItemError: the place does not answer, refuses or breaks off.
    """
    manifest = (staged / MANIFEST).read_bytes()
    if _is_published(fs, target, manifest):
        return Upload(0, len(head.files), False)
    claim = _Claim(fs, target, head, sha256_hex(manifest))
    claim.take()
    try:
        # Whoever published it meanwhile has given its claim back after the manifest was there.
        if _is_published(fs, target, manifest):
            return Upload(0, len(head.files), False)
        sent = _send(fs, staged, target, head)
        claim.check()
        is_new = create(fs, f"{target}/{MANIFEST}", manifest)
        if not is_new and not _is_published(fs, target, manifest):
            raise ReleaseError(f"{target} was published just now by somebody else: publish again")
    finally:
        claim.give_back()
    return Upload(sent, len(head.files) - sent, is_new, claim.note)


def create(fs: AbstractFileSystem, path: str, content: bytes) -> bool:
    """Create a small file unless it is there; tell whether this call did."""

    def put() -> bool:
        try:
            fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if not _is_refused(error):
                raise
            return False
        finally:
            fs.invalidate_cache()
        return True

    return tried(put, path, ATTEMPTS, WAIT_S)


def has_condition(fs: AbstractFileSystem) -> bool:
    """Tell whether the place is known to create a file for one of several that try."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return not _CONDITIONAL.isdisjoint(protocols)


def _is_refused(error: OSError) -> bool:
    """Tell whether S3 answered 412 (there already) or 409 (somebody does it at this moment)."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, Mapping):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status in (409, 412)
        cause = cause.__cause__
    return False


def _is_published(fs: AbstractFileSystem, target: str, manifest: bytes) -> bool:
    """Tell whether `target` has this manifest.

    Raises:
        ReleaseError: it has another one.
    """
    path = f"{target}/{MANIFEST}"

    def read() -> bytes | None:
        fs.invalidate_cache()
        return fs.cat_file(path) if fs.exists(path) else None

    found = tried(read, path, ATTEMPTS, WAIT_S)
    if found is not None and found != manifest:
        raise ReleaseError(
            f"{target} is published with other content (manifest sha256 {sha256_hex(found)}, "
            f"yours {sha256_hex(manifest)}); a published version never changes. Publish again, so "
            "that it takes the next number"
        )
    return found is not None


def _send(fs: AbstractFileSystem, staged: Path, target: str, head: ManifestHead) -> int:
    """Send the files that are not there as they should be; return how many."""
    fs.makedirs(target, exist_ok=True)
    there: dict[str, dict[str, Any]] = fs.find(target, detail=True) if fs.exists(target) else {}
    begun = {path.removeprefix(f"{target}/"): info for path, info in there.items()}
    sent = 0
    for file in head.files:
        local, remote = staged / file.path, f"{target}/{file.path}"
        info = begun.pop(file.path, None)
        if info is not None and _is_same(fs, remote, info, local):
            continue
        fs.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
        tried(lambda: fs.put_file(str(local), remote), remote, ATTEMPTS, WAIT_S)  # noqa: B023
        sent += 1
    for left in begun:
        if left != MANIFEST:  # of a publication that was given up under the same number
            fs.rm_file(f"{target}/{left}")
    return sent


def _is_same(fs: AbstractFileSystem, remote: str, info: Mapping[str, Any], local: Path) -> bool:
    """Tell whether a file is there whole: by its md5 where the place says it, else read back."""
    if info.get("size") != local.stat().st_size:
        return False
    tag = str(info.get("ETag", "")).strip('"')
    with local.open("rb") as file:
        if len(tag) == 32 and hashlib.file_digest(file, "md5").hexdigest() == tag:
            return True
        file.seek(0)
        with fs.open(remote, "rb") as other:
            while chunk := file.read(_READ_BACK):
                if other.read(len(chunk)) != chunk:
                    return False
    return True


class _Claim:
    """The right to fill a version: `<root>/.claim~<folder>~<generation>`.

    One of a dead owner is not taken away but followed by the next generation, which again only one
    can create: two that find it dead don't both win.
    """

    def __init__(
        self, fs: AbstractFileSystem, target: str, head: ManifestHead, manifest_sha256: str
    ) -> None:
        self._fs, self._target = fs, target
        self._root, _, folder = target.rpartition("/")
        self._prefix = f".claim~{folder}~"
        self._owner = Marker.mine(head.name)
        self._manifest_sha256 = manifest_sha256
        said = {"owner": self._owner.text, "manifest_sha256": manifest_sha256}
        self._content = json.dumps(said).encode()
        self._mine = 0
        self.note = ""

    def take(self) -> None:
        """Claim the version, or join one who publishes the very same files.

        Raises:
            ReleaseError: somebody else publishes other content there.
        """
        self._fs.makedirs(self._root, exist_ok=True)
        while True:
            number = max(self._generations(), default=0)
            if number and not self._may_follow(number):
                return
            # Of an attempt whose answer was lost, the place has what this one wrote.
            path = self._path(number + 1)
            if create(self._fs, path, self._content) or self._fs.cat_file(path) == self._content:
                self._mine = number + 1
                break
        # A server may take the condition and not heed it: one that is asked again shows it.
        if not has_condition(self._fs) or create(self._fs, path, self._content):
            self.note = (
                "this place has no conditional put: two that publish in the same moment can both "
                "believe that they did. Publish from one machine at a time, and verify"
            )

    def check(self) -> None:
        """Raise ReleaseError if somebody took this claim for that of a dead process."""
        if self._mine and max(self._generations(), default=0) != self._mine:
            raise ReleaseError(
                f"{self._target}: another process took over while this one stood still; its files "
                "may be mixed. Publish again when that one is done"
            )

    def give_back(self) -> None:
        """Remove the claims of this version, mine last."""
        if self._mine:
            for number in sorted(self._generations()):
                if number <= self._mine:
                    with suppress(FileNotFoundError):
                        self._fs.rm_file(self._path(number))

    def _may_follow(self, number: int) -> bool:
        """Tell whether a claim is over; False if its owner lives and publishes the same."""
        try:
            said = json.loads(self._fs.cat_file(self._path(number)))
        except FileNotFoundError:
            return True
        owner = Marker.parse(said.get("owner", ""))
        if owner is None or owner.is_over():
            return True
        if said["manifest_sha256"] == self._manifest_sha256:
            return False
        raise ReleaseError(
            f"{self._target} is being published by process {owner.pid} on {owner.host}: wait and "
            f"publish again. If that one is gone, remove {self._path(number)}"
        )

    def _path(self, number: int) -> str:
        return f"{self._root}/{self._prefix}{number}"

    def _generations(self) -> list[int]:
        self._fs.invalidate_cache()
        if not self._fs.exists(self._root):
            return []
        names = [path.rstrip("/").rsplit("/", 1)[-1] for path in self._fs.ls(self._root, False)]
        numbers = [name.removeprefix(self._prefix) for name in names if self._prefix in name]
        return [int(number) for number in numbers if number.isdigit()]
