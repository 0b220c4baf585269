"""What was ever committed for one stage: the state of each video under each key, by video.

Takes a stage's folder of parts. Remembers what it read in `cache/index`, so that a workspace of a
hundred thousand videos opens in seconds: a part whose files have the sizes and times they had when
they were checked is not opened again. Decides nothing; losing the cache costs time.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import PartError, WorkspaceError
from earshot.schemas.base import req, sha256_hex
from earshot.schemas.ledger import Status
from earshot.schemas.state import StageState
from earshot.store.parts import Part, list_parts, part_names
from earshot.store.workspace import Workspace, write_atomic

FORMAT = 1
SAVE_FROM = 64
"""Parts that have to be new before the cache is written again."""

# Within so long the time of a folder may not tell two changes apart.
_TICK_S = 2.0
logger = logging.getLogger("earshot")


class State(NamedTuple):
    """A row of `StageState`, as far as it decides anything: light, for there are many."""

    video_id: str
    key: str
    stage_version: str
    config_digest: str
    prompt_digest: str | None
    model_digest: str | None
    input_digest: str
    status: Status
    reason_code: str | None
    n_items: int
    item_counts: str
    attempts: int
    seconds: float
    run_id: str
    views: str
    view_digests: str


class Found(NamedTuple):
    """The latest state of a video under one key, and the part that holds it."""

    state: State
    part: Part


_UNIQUE = frozenset({"video_id", "key", "input_digest", "view_digests"})
_FIELDS = {field.name: field for field in StageState.ARROW}
_SCHEMA = pa.schema([*(_FIELDS[name] for name in State._fields), req("part", pa.int32())])


class StageStates:
    """The states of a stage, as of the last `refresh`.

    Attributes:
        parts: the committed parts, in order.
        damaged: parts that can't be read, with what is wrong.
        by_video: states of each video in the order of their commits.
    """

    def __init__(self, workspace: Workspace, stage: str) -> None:
        self.parts: list[Part] = []
        self.damaged: dict[Part, str] = {}
        self.by_video: dict[str, tuple[Found, ...]] = {}
        self._workspace = workspace
        self._stage = stage
        self._names: frozenset[str] | None = None
        self._stamps: dict[str, str] = {}
        self._saved: frozenset[str] = frozenset()
        self._folder_time = _FolderTime(workspace.stages / stage)

    def refresh(self) -> set[str] | None:
        """Look at the folder again; return the videos whose states changed, None for all."""
        if self._folder_time.is_settled():
            return set()
        names = part_names(self._workspace, self._stage)
        known, self._names = self._names, names
        if names == known:
            return set()
        if known is None or known - names or any("+" in name for name in names - known):
            self._load()
            return None
        folder = self._workspace.stages / self._stage
        changed: set[str] = set()
        for name in sorted(names - known):
            part = Part(name, self._stage, folder / name)
            self.parts.append(part)
            changed |= self._add(part)
        self.parts.sort()
        return changed

    def find(self, video_id: str, key: str) -> Found | None:
        """Return the latest state of a video under a key."""
        for found in reversed(self.by_video.get(video_id, ())):
            if found.state.key == key:
                return found
        return None

    def save(self, *, on_the_way: bool = False) -> None:
        """Write the cache, if so much is new that it is worth it and the folder can be written.

        It is written whole: `on_the_way` so rarely that all writes together cost a few.
        """
        readable = {part.part_id for part in self.parts} - {p.part_id for p in self.damaged}
        enough = max(SAVE_FROM, len(self._saved) // 2) if on_the_way else SAVE_FROM
        if len(readable - self._saved) < enough:
            return
        parts = sorted(readable)
        place = {part_id: at for at, part_id in enumerate(parts)}
        rows = [found for founds in self.by_video.values() for found in founds]
        rows.sort(key=lambda found: found.part.part_id)
        fields = enumerate(_SCHEMA.types[:-1])
        arrays = [pa.array([found.state[at] for found in rows], kind) for at, kind in fields]
        arrays.append(pa.array([place[found.part.part_id] for found in rows], pa.int32()))
        meta = {"format": FORMAT, "parts": [[name, self._stamps[name]] for name in parts]}
        table = pa.table(arrays, schema=_SCHEMA.with_metadata({"index": json.dumps(meta)}))
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        try:
            write_atomic(self._file, sink.getvalue())
        except WorkspaceError as error:  # plan and status work on a read-only disk too
            logger.debug("%s", error)
        else:
            self._saved = frozenset(parts)

    def distrust(self) -> None:
        """Forget the cache: a part is not what its files' sizes and times promised."""
        self._file.unlink(missing_ok=True)

    @property
    def _file(self) -> Any:
        return self._workspace.cache / "index" / f"{self._stage}.parquet"

    def _load(self) -> None:
        self.parts = list_parts(self._workspace, self._stage)
        self.damaged, self.by_video, self._stamps = {}, {}, {}
        known, table = self._cached()
        there = {part.part_id: part for part in self.parts}
        kept = [
            there[name] if name in there and _stamp(there[name]) == stamp else None
            for name, stamp in known
        ]
        self._stamps = {p.part_id: s for p, (_, s) in zip(kept, known, strict=True) if p}
        self._saved = frozenset(self._stamps)
        if table is not None:
            self._keep(_states(table), [kept[at] for at in table.column("part").to_pylist()])
        for part in self.parts:
            if part.part_id not in self._stamps:
                self._add(part)

    def _cached(self) -> tuple[list[tuple[str, str]], pa.Table | None]:
        try:
            table = pq.read_table(self._file, page_checksum_verification=True)
            meta = json.loads(table.schema.metadata[b"index"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return [], None
        if meta.get("format") != FORMAT or table.schema != _SCHEMA:
            return [], None
        return [(name, stamp) for name, stamp in meta["parts"]], table

    def _add(self, part: Part) -> set[str]:
        try:
            self._stamps[part.part_id] = _stamp(part)
            part.verify()
            table = part.read("states", State._fields)
        except (PartError, pa.ArrowException) as error:
            if part.is_there():
                logger.warning("%s", error)
                self.damaged[part] = str(error)
            return set()
        states = [] if table is None else _states(table)
        self._keep(states, [part] * len(states))
        return {state.video_id for state in states}

    def _keep(self, states: Iterable[State], parts: Iterable[Part | None]) -> None:
        by_video = self.by_video
        for state, part in zip(states, parts, strict=True):
            if part is None:
                continue
            before = by_video.get(state.video_id)
            if before is None:
                by_video[state.video_id] = (Found(state, part),)
                continue
            # A part that another process numbered lower may be seen later.
            every = (*before, Found(state, part))
            in_order = before[-1].part <= part
            by_video[state.video_id] = (
                every if in_order else tuple(sorted(every, key=lambda found: found.part))
            )


class _FolderTime:
    """Tells whether a folder's time proves that nothing was added or removed since a listing."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self._mtime_ns = -1
        self._since = 0.0
        self._settled = False

    def is_settled(self) -> bool:
        """Whether the folder need not be listed; else whoever asks lists it now."""
        try:
            mtime_ns = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 - asked very often
        except FileNotFoundError:
            mtime_ns = 0
        now = time.monotonic()
        if mtime_ns != self._mtime_ns:
            self._mtime_ns, self._since, self._settled = mtime_ns, now, False
            return False
        if self._settled:
            return True
        self._settled = now - self._since > _TICK_S
        return False


def _stamp(part: Part) -> str:
    """Return what changes when a file of a part is touched."""
    try:
        with os.scandir(part.path) as entries:
            stats = sorted((e.name, (s := e.stat()).st_size, s.st_mtime_ns) for e in entries)
    except OSError:
        return ""
    return sha256_hex(repr(stats).encode())[:16]


def _states(table: pa.Table) -> list[State]:
    columns = [
        table.column(name).to_pylist() if name in _UNIQUE else _shared(table.column(name))
        for name in State._fields
    ]
    return list(map(State._make, zip(*columns, strict=True)))


def _shared(column: pa.ChunkedArray) -> Sequence[Any]:
    """Return a column's values, equal ones as one object."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return list(column.to_pylist())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values = [sys.intern(value) for value in encoded.dictionary.to_pylist()]
    return [None if at is None else values[at] for at in encoded.indices.to_pylist()]
