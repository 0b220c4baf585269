"""A published release, on the local disk or at any fsspec URL, to read.

Takes the address of a version, gives its manifest and its tables; never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from pydantic import ValidationError

from earshot.errors import ReleaseError
from earshot.places import PlaceError, open_place, shown, tried
from earshot.schemas.base import faults_of, sha256_hex
from earshot.schemas.release import MANIFEST, FileEntry, ManifestHead
from earshot.tasks.publish_release.diff import stored_at
from earshot.tasks.publish_release.source import KINDS
from earshot.tasks.releases.answers import render_answers

REQUEST_S, ATTEMPTS, WAIT_S = 60.0, 4, 0.5

Filters = list[tuple[str, str, Any]] | list[list[tuple[str, str, Any]]]


def _asked(columns: Sequence[str] | None, filters: Filters | None) -> list[str]:
    """Return the names of all columns that a reader wants, or chooses rows by."""
    terms = [
        each for term in filters or () for each in (term if isinstance(term, list) else [term])
    ]
    return [*(columns or ()), *(name for name, *_ in terms)]


class Release:
    """A version of a dataset.

    >>> questions = Release("releases/earshot-v1").to_pandas()      # doctest: +SKIP
    >>> tubes = Release("s3://team/earshot-v1").to_pandas("tubes")  # doctest: +SKIP

    Args:
        place: folder or fsspec URL of the version.
        pin: sha256 of its manifest, or the first 8 or more digits of it: what the manifest says of
            every file is then what it said when the pin was taken.

    Raises:
        ReleaseError: there is no release, it can't be read, or it is not the pinned one.
        ItemError: the place does not answer or refuses.
    """

    def __init__(self, place: str | Path, *, pin: str | None = None) -> None:
        self.place = str(place).rstrip("/")
        self.fs: AbstractFileSystem
        self.fs, folder = open_place(self.place, REQUEST_S)
        self.folder = str(folder).rstrip("/")
        self.manifest_bytes = self._read_manifest()
        self.pin = sha256_hex(self.manifest_bytes)
        if pin is not None and (len(pin) < 8 or not self.pin.startswith(pin.lower())):
            raise ReleaseError(
                f"{shown(self.place)} has a manifest with sha256 {self.pin}, pinned is {pin!r} "
                "(8 digits at least): it is another release, or was altered; see "
                "`earshot release list`"
            )
        self.head = _head(self.manifest_bytes, f"{shown(self.place)}/{MANIFEST}")

    @property
    def name(self) -> str:
        """The folder's name, such as `earshot-v1`."""
        return f"{self.head.name}-v{self.head.version}"

    @property
    def local(self) -> Path | None:
        """The folder, where it is on the local disk."""
        return Path(self.folder) if isinstance(self.fs, LocalFileSystem) else None

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that have a file."""
        return tuple(name for name in KINDS if self.files(name))

    def files(self, table: str = "questions", split: str | None = None) -> list[FileEntry]:
        """Return the Parquet files of a table, in the order of their rows."""
        where = stored_at(table) + (f"{split}/" if split and table == "questions" else "")
        return sorted(
            (f for f in self.head.files if f.rows is not None and f.path.startswith(where)),
            key=lambda file: file.path,
        )

    def schema(self, table: str = "questions") -> pa.Schema:
        """Return the columns of a table.

        Raises:
            ReleaseError: the release has no such table.
        """
        return pq.read_schema(self.path(self._known(table)[0]), filesystem=self.fs)

    def path(self, file: FileEntry) -> str:
        """Return where a file is in `fs`."""
        return f"{self.folder}/{file.path}"

    def paths(self, table: str = "questions", split: str | None = None) -> list[str]:
        """Return where the files of a table are in `fs`, in the order of their rows.

        Raises:
            ReleaseError: the release has no such table or split.
        """
        return [self.path(file) for file in self._known(table, split)]

    def read(
        self,
        table: str = "questions",
        *,
        split: Literal["train", "validation", "test"] | None = None,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
    ) -> pa.Table:
        """Return rows of a table as Arrow.

        Args:
            table: `questions`, or any of `tables`.
            split: of the questions; all if not given.
            columns: all if not given.
            filters: as `pyarrow.parquet.read_table`; on `video_id` and the ids only the row
                groups are read that can have them.

        Raises:
            ReleaseError: the release has no such table or split, or the table no such column.
        """
        paths = self.paths(table, split)
        wanted = None if columns is None else list(columns)
        try:
            return pq.read_table(paths, columns=wanted, filters=filters, filesystem=self.fs)
        except pa.ArrowInvalid as error:
            there = self.schema(table).names
            unknown = [name for name in _asked(columns, filters) if name not in there]
            if not unknown:
                raise
            raise ReleaseError(
                f"{shown(self.place)}: table {table!r} has no column {unknown[0]!r}; expected some "
                f"of {', '.join(there)}"
            ) from error

    def to_pandas(
        self,
        table: str = "questions",
        *,
        split: Literal["train", "validation", "test"] | None = None,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
    ) -> pd.DataFrame:
        """Return rows of a table as a data frame; see `read`."""
        rows = self.read(table, split=split, columns=columns, filters=filters)
        frame: pd.DataFrame = rows.to_pandas()
        return frame

    def video(self, video_id: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the questions about one video; reads one row group, since its split is known.

        Raises:
            ReleaseError: no version up to this one has a question about it.
        """
        split = self._split_of.get(video_id)
        if split is None:
            raise ReleaseError(f"{shown(self.place)} has no question about video {video_id!r}")
        wanted = [("video_id", "=", video_id)]
        if not self.files("questions", split):  # its questions are gone, its split stays
            return self.read(columns=columns, filters=wanted)
        return self.read(split=split, columns=columns, filters=wanted)

    @cached_property
    def _split_of(self) -> dict[str, Literal["train", "validation", "test"]]:
        rows = self.read("splits", columns=["video_id", "split"])
        return dict(zip(rows["video_id"].to_pylist(), rows["split"].to_pylist(), strict=True))

    def answers(
        self,
        space: Literal["norm", "rel1000"],
        *,
        split: Literal["train", "validation", "test"] | None = None,
    ) -> pa.Table:
        """Return `question_id` and the right answer with its boxes in `space`, as a model says it.

        Raises:
            ReleaseError: truths are in pixels.
        """
        columns = ["question_id", "task", "box_space", "truth_json"]
        rows = self.read(split=split, columns=columns)
        return rows.select(["question_id"]).append_column("answer", render_answers(rows, space))

    def __repr__(self) -> str:
        return f"Release({shown(self.place)!r}, pin={self.pin[:12]!r})"

    def _known(self, table: str, split: str | None = None) -> list[FileEntry]:
        found = self.files(table, split) if table in KINDS else []
        if not found:
            what = f"table {table!r}" if split is None else f"split {split!r}"
            raise ReleaseError(
                f"{shown(self.place)} has no {what}; it has the tables {', '.join(self.tables)} "
                f"and questions in {', '.join(sorted(self.head.questions)) or 'no split'}"
            )
        return found

    def _read_manifest(self) -> bytes:
        path = f"{self.folder}/{MANIFEST}"
        try:
            found: bytes = tried(lambda: self.fs.cat_file(path), self.place, ATTEMPTS, WAIT_S)
        except PlaceError as error:
            if error.code != "not_found":
                raise
            raise ReleaseError(
                f"{shown(self.place)} is no release: it has no {MANIFEST}. Give the folder of one "
                "version, such as releases/earshot-v1; `earshot release list PLACE` shows them"
            ) from error
        return found


def _head(manifest: bytes, path: str) -> ManifestHead:
    try:
        return ManifestHead.model_validate_json(manifest)
    except ValidationError as error:
        raise ReleaseError(
            f"{path} can't be read ({faults_of(error)}); expected the manifest of a release. "
            "Restore the folder, or pull it again"
        ) from error
