"""Lists and writes the plain files of a release folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from earshot.schemas.base import Frozen
from earshot.schemas.release import MANIFEST, FileEntry
from earshot.tasks.publish_release.shards import row_count


def write_json(path: Path, content: Frozen) -> None:
    """Write a record as readable JSON, fields in the record's order."""
    text = json.dumps(content.model_dump(mode="json"), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Return an entry for every file below a folder but the manifest, sorted by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(_entry(path, folder) for path in paths if path != folder / MANIFEST)


def _entry(path: Path, folder: Path) -> FileEntry:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(
        path=path.relative_to(folder).as_posix(),
        sha256=sha256,
        bytes=path.stat().st_size,
        rows=row_count(path) if path.suffix == ".parquet" else None,
    )
