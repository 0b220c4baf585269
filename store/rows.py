"""Reads the current rows of tables: as Arrow tables, as records, and as what a stage is given.

Takes a snapshot, which says what is current; every file is checked against its sha256 as it is
read. Writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from earshot.errors import PartError, PartGoneError, WorkspaceError
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record
from earshot.schemas.ledger import LedgerRow
from earshot.schemas.manifest import ManifestEntry
from earshot.store.entries import StoredEntries
from earshot.store.parts import Part
from earshot.store.stage import Reads, Stage, StageInput
from earshot.store.states import Found

if TYPE_CHECKING:
    from earshot.store.snapshot import Snapshot

R = TypeVar("R", bound=Record)


class Rows:
    """The rows that a snapshot calls current."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._videos_of: dict[tuple[Part, str], NDArray[np.int64]] = {}

    def table(self, kind: type[Record], videos: Sequence[str]) -> pa.Table:
        """Return the current rows of a table with its `digest` column, sorted by its key."""
        columns = [*kind.model_fields, "digest"]
        table = self._table(kind, videos, columns).select(columns)
        return table.sort_by([(name, "ascending") for name in kind.KEY])

    def pieces(self, kind: type[Record], videos: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the current rows of a table with its `digest` column, a part at a time.

        The order is that of the parts; a table that accumulates comes as one piece.
        """
        columns = [*kind.model_fields, "digest"]
        for piece in self._pieces(kind, videos, columns):
            yield piece.select(columns)

    def inputs(self, stage: Stage[Any], videos: Sequence[str]) -> dict[str, StageInput]:
        """Return what each video brings into a stage, cut down to the declared fields."""
        block = _Block(self, stage, videos)
        for reads in stage.reads:
            block.load(reads.kind)
        return {
            v: StageInput(v, {kind: block.rows[kind][v] for kind in block.rows}) for v in videos
        }

    def inputs_on_demand(self, stage: Stage[Any], videos: Sequence[str]) -> list[StageInput]:
        """Return what each video brings in, each table read when a stage first looks at it."""
        block = _Block(self, stage, videos)
        return [StageInput(video_id, _OnDemand(block, video_id)) for video_id in videos]

    def declared(self, reads: Reads, videos: Sequence[str]) -> dict[str, list[Record]]:
        """Return the current records of a table by video, cut down to the declared fields."""
        if reads.kind is ManifestEntry:
            found = self._entries(reads, videos)
        else:
            found = self.records(reads.kind, videos)
        return {
            video_id: [only_declared(record, reads) for record in records]
            for video_id, records in found.items()
        }

    def records(self, kind: type[R], videos: Sequence[str]) -> dict[str, list[Record]]:
        """Return the current records of a table by video, sorted by their ids."""
        grouped: dict[str, list[Record]] = {video_id: [] for video_id in videos}
        table = self._table(kind, videos, list(kind.model_fields))
        for record, video_id in zip(
            from_table(kind, table), table.column("video_id").to_pylist(), strict=True
        ):
            grouped[video_id].append(record)
        for records in grouped.values():
            records.sort(key=lambda record: record.record_id)
        return grouped

    def ledger(self, stage: str, videos: Iterable[str]) -> pa.Table:
        """Return the ledger rows of the videos' latest states in a stage, as a table."""
        founds = self._snapshot.look(stage, list(videos))
        pieces = [
            _matching(piece, keys, "key").select(LedgerRow.ARROW.names)
            for part, keys in _by_part(found for found in founds if found).items()
            if (piece := self._read(part, LedgerRow)) is not None
        ]
        return pa.concat_tables(pieces) if pieces else LedgerRow.ARROW.empty_table()

    def of_one_state(
        self, kind: type[Record], owner: str, videos: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Tell which videos' rows of an accumulating table all come from one state."""
        states = self._snapshot.states[owner]
        alone = states.is_only(videos)
        for part in states.parts:
            if part.holds_people_work():
                alone &= ~np.isin(videos, self._judged(part, kind))
        return alone

    def _judged(self, part: Part, kind: type[Record]) -> NDArray[np.int64]:
        """Return the videos of which a part with people's work has rows of a table."""
        if (part, kind.TABLE) not in self._videos_of:
            piece = self._kept_read(part, kind)
            videos = set(piece.column("video_id").to_pylist() if piece is not None else ())
            self._videos_of[part, kind.TABLE] = self._snapshot.videos.of(videos)
        return self._videos_of[part, kind.TABLE]

    def _entries(self, reads: Reads, videos: Sequence[str]) -> dict[str, list[Record]]:
        entries = self._snapshot.entries
        if isinstance(entries, StoredEntries):
            found = entries.some(videos, {*reads.fields, *reads.beside})
            return {video_id: [entry] for video_id, entry in zip(videos, found, strict=True)}
        return {video_id: [entries[video_id]] for video_id in videos}

    def _table(self, kind: type[Record], videos: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Current rows of the videos with `columns` and `video_id`."""
        names = list(dict.fromkeys((*columns, "video_id", *kind.KEY)))
        pieces = list(self._pieces(kind, videos, names))
        return pa.concat_tables(pieces) if pieces else _empty(kind, names)

    def _pieces(
        self, kind: type[Record], videos: Sequence[str], columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        owner = self._snapshot.owner(kind)
        names = list(dict.fromkeys((*columns, "video_id", *kind.KEY)))
        if kind.ACCUMULATES:
            yield self._accumulated(kind, owner, videos, names)
            return
        founds = (f for f in self._snapshot.look(owner, videos) if f)
        with_rows = (
            found
            for found in founds
            if found.state.status in ("done", "waiting") and not self._snapshot.is_again(found)
        )
        for part, keys in _by_part(with_rows).items():
            piece = self._read(part, kind, [*names, "stage_key"])
            if piece is not None:
                yield _matching(piece, keys).select(names)

    def _accumulated(
        self, kind: type[Record], owner: str, videos: Sequence[str], names: Sequence[str]
    ) -> pa.Table:
        snapshot = self._snapshot
        keys = {v: key.key for v, key in snapshot.keys(owner, videos).items()}
        states = snapshot.states[owner]
        # Rows come with a state of their video; people's are looked for wherever there are any.
        history = snapshot.history(owner, videos)
        wanted = {found.part for founds in history for found in founds}
        wanted |= {part for part in states.parts if part.holds_people_work()}
        seen: set[tuple[Any, ...]] = set()
        pieces = []
        for part in sorted(wanted, reverse=True):
            piece = self._kept_read(part, kind)
            if piece is None or piece.num_rows == 0:
                continue
            mask = pc.is_in(piece.column("video_id"), value_set=pa.array(list(videos), pa.string()))
            piece = _people_or_current(piece.filter(mask), keys).select(names)
            ids = list(zip(*(piece.column(name).to_pylist() for name in kind.KEY), strict=True))
            # The last row of an id is the latest, inside a part as among parts.
            last = {row: at for at, row in enumerate(ids) if row not in seen}
            seen.update(ids)
            pieces.append(piece.take(pa.array(sorted(last.values()), pa.int64())))
        return pa.concat_tables(pieces) if pieces else _empty(kind, names)

    def _kept_read(self, part: Part, kind: type[Record]) -> pa.Table | None:
        try:
            return self._read(part, kind)
        except PartError as error:
            if isinstance(error, PartGoneError) or not part.holds_people_work():
                raise
            raise WorkspaceError(
                f"{error}; it holds what people decided: restore the file from a backup"
            ) from error

    def _read(
        self, part: Part, kind: type[Record], columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        try:
            piece = part.read(kind.TABLE, columns)
            return None if piece is None else _brought_up(piece, kind, part, columns)
        except PartGoneError:
            raise
        except PartError:
            self._snapshot.states[part.stage].distrust()
            raise


class _Block:
    """The inputs of some videos, read table by table."""

    def __init__(self, rows: Rows, stage: Stage[Any], videos: Sequence[str]) -> None:
        self.rows: dict[type[Record], dict[str, list[Record]]] = {}
        self.kinds = {reads.kind: reads for reads in stage.reads}
        self._source = rows
        self._videos = videos

    def load(self, kind: type[Record]) -> dict[str, list[Record]]:
        """Return the rows of a table by video."""
        if kind not in self.rows:
            self.rows[kind] = self._source.declared(self.kinds[kind], self._videos)
        return self.rows[kind]


class _OnDemand(Mapping[type[Record], Sequence[Record]]):
    """One video's rows of a block."""

    def __init__(self, block: _Block, video_id: str) -> None:
        self._block = block
        self._video_id = video_id

    def __getitem__(self, kind: type[Record]) -> Sequence[Record]:
        return self._block.load(kind)[self._video_id]

    def __iter__(self) -> Iterator[type[Record]]:
        return iter(self._block.kinds)

    def __len__(self) -> int:
        return len(self._block.kinds)


def only_declared(record: Record, reads: Reads) -> Record:
    """Return a copy that raises AttributeError for fields that the stage did not declare."""
    if "digest" in reads.fields:
        return record
    kept = {*reads.kind.KEY, *reads.fields, *reads.beside}
    copy = record.model_copy()
    for name in reads.kind.model_fields:
        if name not in kept:
            copy.__dict__.pop(name, None)
    return copy


def _by_part(founds: Iterable[Found]) -> dict[Part, dict[str, str]]:
    """Return {part: {video_id: key}}."""
    wanted: dict[Part, dict[str, str]] = defaultdict(dict)
    for found in founds:
        wanted[found.part][found.state.video_id] = found.state.key
    return wanted


def _matching(table: pa.Table, keys: Mapping[str, str], column: str = "stage_key") -> pa.Table:
    """Rows whose (video_id, `column`) is among `keys`."""
    pairs = zip(table.column("video_id").to_pylist(), table.column(column).to_pylist(), strict=True)
    return table.filter(pa.array([keys.get(video) == key for video, key in pairs], pa.bool_()))


def _brought_up(
    piece: pa.Table, kind: type[Record], part: Part, columns: Sequence[str] | None
) -> pa.Table:
    """Return what an older version wrote with nulls in the columns that came since.

    Raises:
        WorkspaceError: if a column is missing that may not be null.
    """
    for field in kind.ARROW:
        if field.name in piece.column_names or (columns is not None and field.name not in columns):
            continue
        if not field.nullable:
            raise WorkspaceError(
                f"part {part.path} has no column {field.name!r} in {kind.TABLE}, which this "
                "version of earshot needs: use the version that wrote it, or compute the stage "
                f"anew with --only {part.stage} --force"
            )
        piece = piece.append_column(field, pa.nulls(piece.num_rows, field.type))
    return piece


def _people_or_current(table: pa.Table, keys: Mapping[str, str]) -> pa.Table:
    """Leave out what the automatic inspector said under another key; people's rows all stay."""
    if "inspected_by" not in table.column_names:
        return table
    columns = (table.column(name).to_pylist() for name in ("video_id", "stage_key", "inspected_by"))
    rows = zip(*columns, strict=True)
    kept = [by != "automatic" or keys.get(video) == key for video, key, by in rows]
    return table.filter(pa.array(kept, pa.bool_()))


def _empty(kind: type[Record], names: Sequence[str]) -> pa.Table:
    types = {field.name: field for field in kind.ARROW}
    fields = [types.get(name, pa.field(name, pa.string(), nullable=False)) for name in names]
    return pa.schema(fields).empty_table()
