"""The place where the versions of a dataset stand: finds the last one, takes in a new one whole.

A local folder gets a release by one rename; other places get it as `upload` says. Never changes a
release that is there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from earshot.errors import ReleaseError
from earshot.schemas.base import faults_of, sha256_hex
from earshot.schemas.release import MANIFEST, ManifestHead
from earshot.tasks.publish_release.marker import Marker
from earshot.tasks.publish_release.spool import collected
from earshot.tasks.publish_release.upload import upload


@dataclass(frozen=True)
class Published:
    """A version that is complete on its shelf."""

    fs: fsspec.AbstractFileSystem
    folder: str
    head: ManifestHead
    manifest_sha256: str

    def read(self, prefix: str, columns: list[str] | None = None) -> pa.Table | None:
        """Return the rows of all Parquet files whose path starts with `prefix`; None if none."""
        paths = [
            f.path for f in self.head.files if f.path.startswith(prefix) and f.rows is not None
        ]
        batches = self._batches(sorted(paths), columns)
        first = next(batches, None)
        return None if first is None else collected(chain([first], batches), first.schema)

    def _batches(self, paths: Iterable[str], columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        for path in paths:
            with self.fs.open(f"{self.folder}/{path}", "rb") as file, pq.ParquetFile(file) as rows:
                yield from rows.iter_batches(columns=columns)
                if not rows.metadata.num_rows:
                    empty = rows.schema_arrow.empty_table()
                    yield from (empty if columns is None else empty.select(columns)).to_batches()


@dataclass(frozen=True)
class Shelf:
    """Versions `<root>/<name>-v<number>` of one dataset."""

    fs: fsspec.AbstractFileSystem
    root: str
    name: str

    @property
    def is_local(self) -> bool:
        """Whether a folder can be renamed in one step."""
        return isinstance(self.fs, LocalFileSystem)

    def folder(self, version: int) -> str:
        """Return the folder of a version."""
        return f"{self.root}/{self.name}-v{version}"

    def address(self, folder: str) -> str:
        """Return a folder as a person writes it: a path, or a URL with its scheme."""
        return folder if self.is_local else str(self.fs.unstrip_protocol(folder))

    def latest(self) -> Published | None:
        """Return the highest version that has a manifest.

        Raises:
            ReleaseError: if that manifest can't be read.
        """
        for version in reversed(self._numbers()):
            path = f"{self.folder(version)}/{MANIFEST}"
            if self.fs.exists(path):
                return self._open(self.folder(version), self.fs.cat_file(path))
        return None

    def clean(self) -> tuple[str, ...]:
        """Remove what killed publications of this dataset left; return the names removed."""
        removed = []
        for entry in self._entries():
            marker = Marker.parse(entry)
            if marker is None or marker.name != self.name or not marker.is_over():
                continue
            self.fs.rm(f"{self.root}/{entry}", recursive=True)
            removed.append(entry)
        return tuple(removed)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty local folder to fill; it is gone afterwards, whatever happens."""
        if not self.is_local:
            with tempfile.TemporaryDirectory(prefix="earshot-release-") as folder:
                yield Path(folder)
            return
        beside = Path(self.root) / Marker.mine(self.name).text
        beside.mkdir(parents=True)
        try:
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def take_in(self, staged: Path, version: int) -> tuple[str, str]:
        """Make a complete staged folder the release `version`; return its folder and a note.

        Raises:
            ReleaseError: if something stands there already, or somebody else publishes it.
            ItemError: if the place does not answer or refuses.
        """
        target = self.folder(version)
        if not self.is_local:
            head = ManifestHead.model_validate_json((staged / MANIFEST).read_bytes())
            done = upload(self.fs, staged, target, head)
            if done.is_new:
                return target, done.note
        elif not self.fs.exists(target):
            rename_whole(staged, Path(target))
            return target, ""
        raise ReleaseError(
            f"{target} is there but was no release when this one was begun: another process "
            f"published it just now, or it has lost its {MANIFEST}. Publish again, or move it "
            "away"
        )

    def versions(self) -> list[int]:
        """Return the numbers of the versions that have a manifest, ascending."""
        return [v for v in self._numbers() if self.fs.exists(f"{self.folder(v)}/{MANIFEST}")]

    def _numbers(self) -> list[int]:
        pattern = re.compile(rf"{re.escape(self.name)}-v([1-9][0-9]*)")
        matches = [match for entry in self._entries() if (match := pattern.fullmatch(entry))]
        return sorted(int(match[1]) for match in matches)

    def _entries(self) -> list[str]:
        if not self.fs.exists(self.root):
            return []
        listed = self.fs.ls(self.root, detail=False, refresh=True)
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in listed)

    def _open(self, folder: str, manifest: bytes) -> Published:
        try:
            head = ManifestHead.model_validate_json(manifest)
        except ValidationError as error:
            raise ReleaseError(
                f"{folder}/{MANIFEST} can't be read ({faults_of(error)}); expected the manifest of "
                "a release. Restore the folder, or move it away"
            ) from error
        return Published(self.fs, folder, head, sha256_hex(manifest))


def open_shelf(out: Path | str, name: str) -> Shelf:
    """Return the shelf of a dataset under a folder or an fsspec URL; it need not exist yet."""
    fs, root = fsspec.core.url_to_fs(str(out))
    return Shelf(fs, str(root).rstrip("/"), name)


def rename_whole(staged: Path, target: Path) -> None:
    """Make a complete local folder appear at `target` in one step, read-only and on the disk.

    Raises:
        ReleaseError: if something stands there.
    """
    for path in staged.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
        _flush(path)
    _flush(staged)
    try:
        staged.rename(target)
    except OSError as error:
        raise ReleaseError(
            f"{staged} can't become {target}: {error.strerror}. Another process may have "
            "published this version just now: publish again"
        ) from error
    _flush(target.parent)


def _flush(path: Path) -> None:
    """Bring a file or folder to the disk, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
