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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from earshot.errors import WorkspaceError
from earshot.schemas.arrow import from_table
from earshot.schemas.manifest import ManifestEntry
from earshot.store.keys import VIEW_HEX, View
from earshot.store.state_rows import VideoNumbers
from earshot.store.workspace import Workspace, write_atomic

_BLOCK = 256
_BLOCKS = 8
_DIGEST = pa.binary(VIEW_HEX // 2)
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
        videos: their numbers.
    """

    def __init__(
        self,
        workspace: Workspace,
        input_digest: str,
        entries: Mapping[str, ManifestEntry],
        videos: VideoNumbers,
    ) -> None:
        self._file: Path = workspace.cache / "index" / f"entries-{input_digest}.parquet"
        self._entries = entries
        self._videos = videos
        # All zeros: not known yet.
        self._known: dict[str, NDArray[np.uint8]] = {}
        self._is_read = False
        self._new = 0

    def digests(self, view: View, videos: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the digest of each video's entry in a view, [n, 16]."""
        self._read()
        if view.name not in self._known:
            self._known[view.name] = np.zeros((self._videos.entries, VIEW_HEX // 2), np.uint8)
        known = self._known[view.name]
        missing = np.unique(videos[~known[videos].any(axis=1)])
        for at in range(0, len(missing), _BLOCK):
            block = missing[at : at + _BLOCK]
            told = [view.digest([entry]) for entry in self._some(self._videos.ids(block), view)]
            known[block] = np.frombuffer(bytes.fromhex("".join(told)), np.uint8).reshape(
                len(block), -1
            )
        self._new += len(missing)
        found: NDArray[np.uint8] = known[videos]
        return found

    def save(self, *, on_the_way: bool = False) -> None:
        """Write what is new, if it is much and the folder can be written (`StageStates.save`)."""
        known = self._videos.entries * len(self._known)
        if self._new < (max(_BLOCK, known // 8) if on_the_way else _BLOCK):
            return
        columns = {
            name: pa.FixedSizeBinaryArray.from_buffers(
                _DIGEST, len(known), [None, pa.py_buffer(known)]
            )
            for name, known in self._known.items()
        }
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="lz4", write_page_checksum=True)
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
            with pq.ParquetFile(self._file, page_checksum_verification=True) as file:
                table = file.read()
        except (OSError, ValueError, pa.ArrowException):
            return
        # In order of the ids, which the manifest's digest in the name of the file tells.
        if table.num_rows != self._videos.entries:
            return
        for field in table.schema:
            if field.type == _DIGEST:
                whole = table.column(field.name).combine_chunks()
                told = np.frombuffer(whole.buffers()[1], np.uint8, len(whole) * _DIGEST.byte_width,
                    whole.offset * _DIGEST.byte_width)  # fmt: skip
                self._known[field.name] = told.reshape(len(whole), -1).copy()
