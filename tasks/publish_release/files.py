"""Lists, checks and writes the plain files of a release folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from earshot.schemas.base import Frozen
from earshot.schemas.release import MANIFEST, FileEntry, ManifestHead
from earshot.tasks.publish_release.shards import row_count


def write_json(path: Path, content: Frozen) -> None:
    """Write a record as readable JSON, fields in the record's order."""
    text = json.dumps(content.model_dump(mode="json"), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Return an entry for every file below a folder but the manifest, sorted by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(_entry(path, folder) for path in paths if path != folder / MANIFEST)


def verify(folder: Path) -> tuple[str, ...]:
    """Return what in a local release is not as its manifest says; empty where all is.

    Raises:
        OSError: if there is no manifest: the folder is no release.
    """
    head = ManifestHead.model_validate_json((folder / MANIFEST).read_bytes())
    expected = {file.path: file for file in head.files}
    found = {file.path: file for file in list_files(folder)}
    return (
        *(f"{path} is missing" for path in sorted(expected.keys() - found.keys())),
        *(f"{path} is not in the manifest" for path in sorted(found.keys() - expected.keys())),
        *(
            f"{path} is altered: sha256 {found[path].sha256}, expected {expected[path].sha256}"
            for path in sorted(expected.keys() & found.keys())
            if found[path].sha256 != expected[path].sha256
        ),
    )


def _entry(path: Path, folder: Path) -> FileEntry:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(
        path=path.relative_to(folder).as_posix(),
        sha256=sha256,
        bytes=path.stat().st_size,
        rows=row_count(path) if path.suffix == ".parquet" else None,
    )
