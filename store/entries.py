"""The manifest's rows as a build keeps them: an Arrow table that gives entries on demand.

Takes `inputs/<digest>.parquet`; a hundred thousand entries as records would cost half a gigabyte
and as many seconds as a plan may take. Also keeps the digests of the fields that stages read of
them, in `cache/index`. Never changes a row.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import WorkspaceError
from earshot.schemas.arrow import from_table
from earshot.schemas.manifest import ManifestEntry
from earshot.store.keys import View
from earshot.store.workspace import Workspace, write_atomic

_BLOCK = 256
_BLOCKS = 8
_NESTED = frozenset({"captions", "events"})


class StoredEntries(Mapping[str, ManifestEntry]):
    """Entries by video id, made in blocks; the latest few blocks are kept."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._at = {v: at for at, v in enumerate(table.column("video_id").to_pylist())}
        self._blocks: OrderedDict[int, list[ManifestEntry]] = OrderedDict()

    def __getitem__(self, video_id: str) -> ManifestEntry:
        number, at = divmod(self._at[video_id], _BLOCK)
        block = self._blocks.get(number)
        if block is None:
            block = from_table(ManifestEntry, self._table.slice(number * _BLOCK, _BLOCK))
            self._blocks[number] = block
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        return block[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._at

    def some(self, videos: Sequence[str], fields: Collection[str]) -> list[ManifestEntry]:
        """Return entries of which only `fields` are asked for: at once, if these are all plain."""
        if _NESTED & set(fields):
            return [self[video_id] for video_id in videos]
        names = ["video_id", *sorted(set(fields) - {"video_id"})]
        rows = self._table.select(names).take([self._at[video_id] for video_id in videos])
        # They were checked when they were stored.
        return [ManifestEntry.model_construct(**row) for row in rows.to_pylist()]


class EntryViews:
    """Digests of the fields that stages read of the manifest's rows, by view and video.

    Args:
        workspace: where they are kept.
        input_digest: of the manifest that the entries come from.
        entries: the rows.
    """

    def __init__(
        self, workspace: Workspace, input_digest: str, entries: Mapping[str, ManifestEntry]
    ) -> None:
        self._file: Path = workspace.cache / "index" / f"input-{input_digest}.parquet"
        self._entries = entries
        self._known: dict[str, dict[str, str]] = {}
        self._is_read = False
        self._new = 0

    def digests(self, view: View, videos: Sequence[str]) -> list[str]:
        """Return the digest of each video's entry in a view."""
        self._read()
        known = self._known.setdefault(view.name, {})
        missing = [video_id for video_id in videos if video_id not in known]
        for at in range(0, len(missing), _BLOCK):
            block = missing[at : at + _BLOCK]
            for video_id, entry in zip(block, self._some(block, view), strict=True):
                known[video_id] = view.digest([entry])
        self._new += len(missing)
        return [known[video_id] for video_id in videos]

    def save(self, *, on_the_way: bool = False) -> None:
        """Write what is new, if it is much and the folder can be written (`StageStates.save`)."""
        known = sum(map(len, self._known.values()))
        if self._new < (max(_BLOCK, known // 3) if on_the_way else _BLOCK):
            return
        videos = list(self._entries)
        columns = {name: [known.get(v) for v in videos] for name, known in self._known.items()}
        table = pa.table({"video_id": videos, **columns})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        try:
            write_atomic(self._file, sink.getvalue())
        except WorkspaceError:  # plan works on a read-only disk too
            return
        self._new = 0

    def _some(self, videos: Sequence[str], view: View) -> list[ManifestEntry]:
        if isinstance(self._entries, StoredEntries):
            return self._entries.some(videos, view.fields)
        return [self._entries[video_id] for video_id in videos]

    def _read(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        try:
            table = pq.read_table(self._file, page_checksum_verification=True)
        except (OSError, ValueError, pa.ArrowException):
            return
        videos = table.column("video_id").to_pylist()
        for name in set(table.column_names) - {"video_id"}:
            pairs = zip(videos, table.column(name).to_pylist(), strict=True)
            self._known[name] = {video_id: digest for video_id, digest in pairs if digest}
