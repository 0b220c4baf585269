"""The manifest as it was read: entries by video id, and the rows that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from earshot.schemas.base import digest_of
from earshot.schemas.manifest import ManifestEntry
from earshot.store.manifests.faults import Fault, duplicate
from earshot.store.manifests.rows import Row


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest.

    Attributes:
        uri: as given, without password and query.
        base: where relative uris start.
        entries: good rows by video id.
        faults: bad ones.
        known_digest: the digest, where the rows come from where they are kept under it.
    """

    uri: str
    base: str
    entries: Mapping[str, ManifestEntry]
    faults: tuple[Fault, ...]
    known_digest: str | None = None

    @cached_property
    def digest(self) -> str:
        """sha256 of all rows, good and bad."""
        if self.known_digest is not None:
            return self.known_digest
        rows = [self.entries[video_id].digest for video_id in sorted(self.entries)]
        return digest_of([rows, [asdict(fault) for fault in self.faults]])


def collect(rows: Iterable[Row | Fault]) -> tuple[dict[str, ManifestEntry], tuple[Fault, ...]]:
    """Return entries by id in the file's order, and the faults; of equal ids the first is used."""
    entries: dict[str, ManifestEntry] = {}
    faults: list[Fault] = []
    for row in rows:
        if isinstance(row, Fault):
            faults.append(row)
        elif row.entry.video_id in entries:
            faults.append(duplicate(row.line, row.place, row.entry.video_id))
        else:
            entries[row.entry.video_id] = row.entry
    return entries, tuple(faults)
