"""Reads the input manifest: good rows as entries, bad rows as faults with line, value and remedy.

JSON lines, one video a line (the record stands on top of `earshot.schemas.manifest`). Never drops a
row silently and never mends one.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
from pydantic import ValidationError

from earshot.errors import InputError
from earshot.schemas.base import digest_of
from earshot.schemas.manifest import ManifestEntry


@dataclass(frozen=True)
class Fault:
    """A manifest row that can't be used."""

    line: int
    video_id: str | None
    reason_code: str
    message: str
    value: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest; `base` is where relative uris start."""

    uri: str
    base: str
    entries: dict[str, ManifestEntry]
    faults: tuple[Fault, ...]

    @property
    def digest(self) -> str:
        """sha256 of all rows, good and bad."""
        rows = [self.entries[video_id].digest for video_id in sorted(self.entries)]
        return digest_of([rows, [asdict(fault) for fault in self.faults]])


def read_manifest(uri: str) -> Manifest:
    """Read a manifest from a path or any fsspec URL.

    Raises:
        InputError: if it is not there, of an unknown kind, or holds no row at all.
    """
    if not uri.endswith((".jsonl", ".ndjson")):
        raise InputError(
            f"manifest {uri!r}: expected a .jsonl file with one JSON object a line; convert it"
        )
    try:
        with fsspec.open(uri, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError as error:
        raise InputError(f"manifest {uri!r} is not there: check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"manifest {uri!r} is not UTF-8 ({error}): save it as UTF-8") from error
    entries: dict[str, ManifestEntry] = {}
    faults: list[Fault] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _read_row(number, line)
            if isinstance(row, Fault):
                faults.append(row)
            elif row.video_id in entries:
                faults.append(_duplicate(number, row))
            else:
                entries[row.video_id] = row
    if not entries and not faults:
        raise InputError(f"manifest {uri!r} is empty: expected one JSON object a line")
    return Manifest(uri, _base(uri), entries, tuple(faults))


def _read_row(number: int, line: str) -> ManifestEntry | Fault:
    try:
        row = json.loads(line)
    except ValueError as error:
        return Fault(number, None, "bad_entry", f"line {number} is no JSON: {error}", line[:200])
    if not isinstance(row, dict):
        message = f"line {number}: expected a JSON object with video_id and uri"
        return Fault(number, None, "bad_entry", message, line[:200])
    given = row.get("video_id")
    video_id = given if isinstance(given, str) else None
    try:
        return ManifestEntry.model_validate(row)
    except ValidationError as error:
        return Fault(number, video_id, "bad_entry", *_explain(number, error))


def _explain(number: int, error: ValidationError) -> tuple[str, str]:
    problems = [
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    ]
    value: Any = error.errors()[0].get("input")
    return f"line {number}: {'; '.join(problems)}", str(value)[:200]


def _duplicate(number: int, row: ManifestEntry) -> Fault:
    message = (
        f"line {number}: video_id {row.video_id!r} stands on an earlier line too, and that one is "
        "used; rename one of them"
    )
    return Fault(number, row.video_id, "duplicate_id", message, row.video_id)


def _base(uri: str) -> str:
    if "://" in uri:
        return uri.rpartition("/")[0]
    return Path(uri).absolute().parent.as_posix()


def fault_counts(faults: tuple[Fault, ...]) -> dict[str, int]:
    """Return how many faults have each reason code."""
    return dict(Counter(fault.reason_code for fault in faults))
