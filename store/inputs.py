"""A build's input: read from the manifest once, and from the workspace when it is asked for again.

Takes a manifest's place, gives its rows. A file with the same bytes, read by the same code, holds
the same rows: `cache/inputs` remembers which, so that a plan need not read a hundred thousand
lines again. Never changes a row.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import InputError, WorkspaceError
from earshot.schemas import base
from earshot.schemas import manifest as rows
from earshot.schemas.base import digest_of, sha256_hex
from earshot.store import manifests
from earshot.store.entries import StoredEntries
from earshot.store.manifests import Fault, Manifest
from earshot.store.manifests.read import base_of, read_source
from earshot.store.manifests.source import open_source
from earshot.store.workspace import Workspace, write_atomic


def read_input(
    workspace: Workspace, uri: str, kind: str | None = None, media_root: str | None = None
) -> tuple[Manifest, Path]:
    """Return what a manifest holds, and the file that remembers it once it is kept.

    Raises:
        InputError: as `earshot.store.manifests.read_manifest`.
    """
    source = open_source(uri)
    name = Path(source.uri).name  # its ending tells the format
    facts = [sha256_hex(source.data), name, source.media_suffix, kind, _code_digest()]
    note = workspace.cache / "inputs" / f"{digest_of(facts)}.txt"
    if note.exists():
        try:
            base_uri = base_of(source, media_root)
            stored = stored_input(workspace, note.read_text(), source.uri, base_uri)
        except InputError:  # what no build has any more is read again
            note.unlink(missing_ok=True)
        else:
            return stored, note
    return read_source(source, kind, media_root), note


def remember(note: Path, manifest: Manifest) -> None:
    """Note that the rows of a file are kept under the manifest's digest."""
    if not note.exists():
        try:
            write_atomic(note, manifest.digest.encode())
        except WorkspaceError:  # it only saves time
            return


def stored_input(workspace: Workspace, digest: str, uri: str, base_uri: str) -> Manifest:
    """Return the rows that a build kept.

    Raises:
        InputError: if they are not there.
    """
    stem = workspace.inputs / digest
    try:
        with pq.ParquetFile(stem.with_suffix(".parquet")) as file:
            table = file.read()
        faults = json.loads(stem.with_suffix(".json").read_text())
        told = tuple(Fault(**fault) for fault in faults)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"the input {stem} of a build is lost ({error}): build again with --input"
        ) from error
    return Manifest(uri, base_uri, StoredEntries(table), told, digest)


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """Return what changes when the code does that reads manifests."""
    files = [*Path(str(manifests.__file__)).parent.rglob("*.py"), Path(str(rows.__file__))]
    files.append(Path(str(base.__file__)))
    return digest_of([[file.name, sha256_hex(file.read_bytes())] for file in sorted(files)])
