"""Immutable stage parts: folders of Parquet files that appear whole or not at all.

A part's presence is the commit. `part.json` carries the sha256 of every file; a part that doesn't
match is a miss: it is left out, said, and what it held is computed again. Nothing here decides
which rows are current; `store.snapshot` does.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import PartError
from earshot.schemas.arrow import to_table
from earshot.schemas.base import Record, req, sha256_hex
from earshot.schemas.ledger import LedgerRow
from earshot.schemas.state import StageState
from earshot.store.workspace import Workspace, disk_fault, fsync_folder

MANIFEST = "part.json"
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
            PartError: if it is missing or no JSON.
        """
        return _manifest(self.path)

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return a table of the part (None if it has none), checked against its sha256.

        Raises:
            PartError: if the file is missing, truncated or altered.
        """
        name = f"{table}.parquet"
        said = self.files().get(name)
        if said is None:
            return None
        _verify(self.path / name, said["sha256"])
        return pq.read_table(self.path / name, columns=columns, partitioning=None)

    def verify(self) -> None:
        """Check every file of the part.

        Raises:
            PartError: if one is missing, truncated or altered.
        """
        for name, said in self.files().items():
            _verify(self.path / name, said["sha256"])

    def holds_people_work(self) -> bool:
        """Whether the part holds what a person decided; true where that can't be told."""
        try:
            return bool(json.loads((self.path / MANIFEST).read_text())["people_work"])
        except (OSError, ValueError, KeyError):
            return True


@lru_cache(maxsize=65536)
def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    try:
        files = json.loads((path / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise PartError(f"part {path} has no readable {MANIFEST} ({error}); remove it") from error
    if not isinstance(files, dict):
        raise PartError(f"part {path}: {MANIFEST} lists no files; remove it")
    return files


@lru_cache(maxsize=65536)
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
    """Return the committed parts of a stage in the order of their commits."""
    folder = workspace.stages / stage
    if not folder.exists():
        return []
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    return [Part(name, stage, folder / name) for name in names]


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
        tables[kind.TABLE] = _rows_table(kind, entries)
    folder = workspace.stages / stage
    part_id = _next_id(workspace, stage)
    temporary = folder / f".tmp-{part_id}-{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        said = {
            f"{name}.parquet": _write_file(temporary / f"{name}.parquet", table)
            for name, table in tables.items()
        }
        manifest = json.dumps(
            {"stage": stage, "part_id": part_id, "people_work": people_work, "files": said},
            indent=1,
        )
        _write_bytes(temporary / MANIFEST, manifest.encode())
        fsync_folder(temporary)
        temporary.rename(folder / part_id)
        fsync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_fault(folder / part_id, error) from error
    return Part(part_id, stage, folder / part_id)


def sweep(workspace: Workspace, stages: Iterable[str]) -> int:
    """Remove temporary folders of processes that are gone; return how many."""
    removed = 0
    for stage in stages:
        for leftover in (workspace.stages / stage).glob(".tmp-*"):
            if not _alive(int(leftover.name.rpartition("-")[2])):
                shutil.rmtree(leftover, ignore_errors=True)
                removed += 1
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rows_table(kind: type[Record], entries: Sequence[tuple[str, str, Record]]) -> pa.Table:
    extra: dict[str, tuple[pa.Field, Sequence[Any]]] = {
        "stage_key": (_STAGE_KEY, [key for _, key, _ in entries])
    }
    if "video_id" not in kind.model_fields:
        extra["video_id"] = (_VIDEO_ID, [video_id for video_id, _, _ in entries])
    return to_table(kind, [record for _, _, record in entries], extra)


def _next_id(workspace: Workspace, stage: str) -> str:
    # A counter and not the clock: a clock that steps back must not make an old part the latest.
    last = max(
        (int(part.part_id.split("-")[0]) for part in list_parts(workspace, stage)), default=0
    )
    return f"{last + 1:08d}-{secrets.token_hex(4)}"


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
