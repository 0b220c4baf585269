"""Immutable stage parts: folders of Parquet files that appear whole or not at all.

A part's presence is the commit. `part.json` carries the sha256 of every file; a part that doesn't
match is a miss: it is left out, said, and what it held is computed again. Nothing here decides
which rows are current; `store.snapshot` does.

    00000017-3f2a1b9c              the 17th commit
    00000017-3f2a1b9c-people       it holds what a person decided: never given up as damaged
    00000017-3f2a1b9c+0001-9e77c2  compacted out of parts up to that one; `part.json` names them
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import PartError, PartGoneError
from earshot.schemas.arrow import to_table
from earshot.schemas.base import Record, req, sha256_hex
from earshot.schemas.ledger import LedgerRow
from earshot.schemas.state import StageState
from earshot.store.workspace import (
    Workspace,
    disk_fault,
    fsync_folder,
    has_no_writer,
    temporary_name,
)

MANIFEST = "part.json"
_PEOPLE = "-people"
_STAGE_KEY = req("stage_key", pa.string())
_VIDEO_ID = req("video_id", pa.string())


@dataclass(frozen=True, order=True)
class Part:
    """A committed part. Parts of a stage sort by the order of their commits."""

    part_id: str
    stage: str
    path: Path

    def files(self) -> dict[str, dict[str, Any]]:
        """Return what `part.json` says of each file.

        Raises:
            PartError: if it is missing or no JSON; PartGoneError if the whole part is.
        """
        try:
            files = _manifest(self.path).get("files")
        except PartError as error:
            raise self._fault(error) from error
        if not isinstance(files, dict):
            raise PartError(f"part {self.path}: {MANIFEST} lists no files; remove it")
        return files

    def replaces(self) -> frozenset[str]:
        """Return the ids of the parts that this one was compacted out of.

        Raises:
            PartError: as `files`.
        """
        return frozenset(_manifest(self.path).get("replaces", ()))

    @property
    def is_compacted(self) -> bool:
        """Whether it was compacted out of others."""
        return "+" in self.part_id

    def is_there(self) -> bool:
        """Whether it is still there: a compaction may have dropped it since it was listed."""
        return self.path.exists()

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return a table of the part (None if it has none), checked against its sha256.

        Of `columns` those that the file does not have are left out.

        Raises:
            PartError: if the file is missing, truncated or altered; PartGoneError if the whole
                part was compacted away.
        """
        name = f"{table}.parquet"
        said = self.files().get(name)
        if said is None:
            return None
        picked = None if columns is None else list(columns)
        try:
            _verify(self.path / name, said["sha256"])
            # `read_table` imports pyarrow.dataset, and pandas with it: half a second a command.
            with pq.ParquetFile(self.path / name) as file:
                return file.read(columns=picked)
        except (PartError, FileNotFoundError) as error:
            raise self._fault(error) from error

    def verify(self) -> None:
        """Check every file of the part.

        Raises:
            PartError: if one is missing, truncated or altered.
        """
        try:
            for name, said in self.files().items():
                _verify(self.path / name, said["sha256"])
        except PartError as error:
            raise self._fault(error) from error

    def _fault(self, error: PartError | FileNotFoundError) -> PartError:
        if not self.is_there():
            return PartGoneError(
                f"part {self.path} was compacted into another while it was read: run the same "
                "command again"
            )
        return error if isinstance(error, PartError) else PartError(f"{error}; remove the part")

    def holds_people_work(self) -> bool:
        """Whether the part holds what a person decided; its name says so, which can't rot."""
        return self.part_id.endswith(_PEOPLE)


# More than a shard's parts have files; more would grow with the workspace.
@lru_cache(maxsize=4096)
def _manifest(path: Path) -> dict[str, Any]:
    try:
        said = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise PartError(f"part {path} has no readable {MANIFEST} ({error}); remove it") from error
    if not isinstance(said, dict):
        raise PartError(f"part {path}: {MANIFEST} is no object; remove it")
    return said


@lru_cache(maxsize=4096)
def _verify(path: Path, sha256: str) -> None:
    try:
        found = sha256_hex(path.read_bytes())
    except OSError as error:
        raise PartError(f"{path} can't be read ({error.strerror}); remove its part") from error
    if found != sha256:
        raise PartError(
            f"{path} has sha256 {found[:12]}…, {MANIFEST} says {sha256[:12]}…: the file was "
            "truncated or altered; what it held is computed again"
        )


def list_parts(workspace: Workspace, stage: str) -> list[Part]:
    """Return the committed parts of a stage in the order of their commits, each row once.

    Parts that were compacted and are not yet dropped are left out.
    """
    parts = all_parts(workspace, stage)
    replaced = replaced_ids(parts)
    return [part for part in parts if part.part_id not in replaced]


def part_names(workspace: Workspace, stage: str) -> frozenset[str]:
    """Return the names of the committed parts of a stage: cheap, for it is asked very often."""
    try:
        names = os.listdir(workspace.stages / stage)  # noqa: PTH208 - a Path each costs too much
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for name in names if not name.startswith("."))


def all_parts(workspace: Workspace, stage: str) -> list[Part]:
    """Return the committed parts of a stage, those beside that were compacted into another."""
    folder = workspace.stages / stage
    if not folder.exists():
        return []
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    return [Part(name, stage, folder / name) for name in names]


def replaced_ids(parts: Iterable[Part]) -> frozenset[str]:
    """Return the ids of the parts that readable compacted ones among `parts` stand for."""
    replaced: set[str] = set()
    for part in parts:
        if part.is_compacted:
            with suppress(PartError):  # a damaged one stands for nothing: the others still count
                replaced |= part.replaces()
    return frozenset(replaced)


def write_part(
    workspace: Workspace,
    stage: str,
    states: Sequence[StageState],
    ledger: Sequence[LedgerRow],
    rows: Mapping[type[Record], Sequence[tuple[str, str, Record]]],
    *,
    people_work: bool = False,
) -> Part:
    """Commit one part and return it.

    Args:
        workspace: where.
        stage: whose.
        states: one row a video.
        ledger: one row a video and item.
        rows: for each record class, (video_id, stage key, record).
        people_work: the part holds what a person decided, so it is never given up as damaged.

    Raises:
        WorkspaceError: when the disk is full, read-only or forbidden; nothing is committed then.
    """
    tables = {"states": to_table(StageState, states), "ledger": to_table(LedgerRow, ledger)}
    for kind, entries in rows.items():
        if entries:  # of a hundred thousand videos each file counts
            tables[kind.TABLE] = _rows_table(kind, entries)
    return commit_tables(workspace, stage, _next_id(workspace, stage), tables, people=people_work)


def commit_tables(
    workspace: Workspace,
    stage: str,
    part_id: str,
    tables: Mapping[str, pa.Table],
    *,
    people: bool = False,
    replaces: Iterable[str] = (),
) -> Part:
    """Commit tables as the part `part_id` (with the ending that people's work has).

    Args:
        workspace: where.
        stage: whose.
        part_id: decides the part's place among the others.
        tables: by name, each with the columns of a part's table.
        people: it holds what a person decided.
        replaces: ids of the parts that it was compacted out of; readers leave them out from now on.

    Raises:
        WorkspaceError: when the disk is full, read-only or forbidden; nothing is committed then.
    """
    part_id += _PEOPLE if people else ""
    folder = workspace.stages / stage
    temporary = folder / temporary_name(part_id)
    try:
        temporary.mkdir(parents=True)
        said = {
            f"{name}.parquet": _write_file(temporary / f"{name}.parquet", table)
            for name, table in tables.items()
        }
        manifest = {"stage": stage, "part_id": part_id, "files": said}
        if replaces:
            manifest["replaces"] = sorted(replaces)
        _write_bytes(temporary / MANIFEST, json.dumps(manifest, indent=1).encode())
        fsync_folder(temporary)
        temporary.rename(folder / part_id)
        fsync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_fault(folder / part_id, error) from error
    return Part(part_id, stage, folder / part_id)


def compacted_id(last: Part) -> str:
    """Return the id of a part that takes the place of `last` and of some right before it.

    Its place and not the next number: what is committed meanwhile has to stay the later one.
    """
    first, _, rest = last.part_id.removesuffix(_PEOPLE).partition("+")
    number = int(rest.split("-")[0]) if rest else 0
    return f"{first.removesuffix(_PEOPLE)}+{number + 1:04d}-{secrets.token_hex(3)}"


def drop_part(part: Part) -> None:
    """Remove a part: in one step for readers, however long its files take.

    Raises:
        WorkspaceError: if the folder can't be written.
    """
    gone = part.path.with_name(temporary_name(part.part_id, "gone"))
    try:
        part.path.rename(gone)
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_fault(part.path, error) from error
    shutil.rmtree(gone, ignore_errors=True)


def sweep(workspace: Workspace, stages: Iterable[str]) -> int:
    """Remove temporary folders of processes that are gone; return how many."""
    removed = 0
    for stage in stages:
        for leftover in (workspace.stages / stage).glob(".*-*"):
            if has_no_writer(leftover):
                shutil.rmtree(leftover, ignore_errors=True)
                removed += 1
    return removed


def _rows_table(kind: type[Record], entries: Sequence[tuple[str, str, Record]]) -> pa.Table:
    extra: dict[str, tuple[pa.Field, Sequence[Any]]] = {
        "stage_key": (_STAGE_KEY, [key for _, key, _ in entries])
    }
    if "video_id" not in kind.model_fields:
        extra["video_id"] = (_VIDEO_ID, [video_id for video_id, _, _ in entries])
    return to_table(kind, [record for _, _, record in entries], extra)


def _next_id(workspace: Workspace, stage: str) -> str:
    # A counter and not the clock: a clock that steps back must not make an old part the latest.
    last = max(part_names(workspace, stage), default="0").partition("-")[0]
    return f"{int(last) + 1:08d}-{secrets.token_hex(4)}"


def _write_file(path: Path, table: pa.Table) -> dict[str, Any]:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=3, write_page_checksum=True)
    data = sink.getvalue()
    _write_bytes(path, data)
    return {"sha256": sha256_hex(data), "bytes": len(data), "rows": table.num_rows}


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
