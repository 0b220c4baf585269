"""What was ever committed for one stage: the state of each video under each key, as columns.

Takes a stage's folder of parts. Remembers what it read in `cache/index`, so that a workspace of a
hundred thousand videos opens in seconds: a part whose files have the sizes and times they had when
they were checked is not opened again. Decides nothing; losing the cache costs time.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from earshot.errors import PartError, WorkspaceError
from earshot.schemas.base import sha256_hex
from earshot.schemas.ledger import Status
from earshot.store.keys import VIEW_HEX, place_of
from earshot.store.parts import Part, list_parts, part_names
from earshot.store.state_rows import (
    NOTHING,
    TEXTS,
    StateRows,
    Texts,
    VideoNumbers,
    hex_of,
    rows_of,
    table_of,
)
from earshot.store.workspace import Workspace, write_atomic

FORMAT = 2
SAVE_FROM = 64
"""Parts that have to be new before the cache is written again."""

# Within so long the time of a folder may not tell two changes apart.
_TICK_S = 2.0
logger = logging.getLogger("earshot")

Rows = NDArray[np.intp]
"""Numbers of rows of a stage; `NOTHING` where there is none. They hold until the next refresh."""


class State(NamedTuple):
    """A row of `StageState`, as far as it decides anything."""

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


class StageStates:
    """The states of a stage, as of the last `refresh`.

    Attributes:
        parts: the committed parts, in order.
        damaged: parts that can't be read, with what is wrong.
    """

    def __init__(self, workspace: Workspace, stage: str, videos: VideoNumbers) -> None:
        self.parts: list[Part] = []
        self.damaged: dict[Part, str] = {}
        self._videos = videos
        self._texts = Texts()
        self._rows = StateRows()
        self._numbered: list[Part] = []
        self._workspace = workspace
        self._stage = stage
        self._names: frozenset[str] | None = None
        self._stamps: dict[str, str] = {}
        self._saved: frozenset[str] = frozenset()
        self._folder_time = _FolderTime(workspace.stages / stage)

    def refresh(self) -> NDArray[np.int64] | None:
        """Look at the folder again; return the videos whose states changed, None for all."""
        nothing = np.empty(0, np.int64)
        if self._folder_time.is_settled():
            return nothing
        names = part_names(self._workspace, self._stage)
        known, self._names = self._names, names
        if names == known:
            return nothing
        if known is None or known - names or any("+" in name for name in names - known):
            self._load()
            return None
        folder = self._workspace.stages / self._stage
        new = [Part(name, self._stage, folder / name) for name in sorted(names - known)]
        self.parts = sorted([*self.parts, *new])
        return self._add(new)

    # What is asked of many videos at once

    def last(self, videos: NDArray[np.int64]) -> Rows:
        """Return the last row of each video."""
        return self._rows.last(videos)

    def is_only(self, videos: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell of which videos there is one row, no more."""
        rows = self._rows.last(videos)
        alone = np.zeros(len(rows), np.bool_)
        there = rows != NOTHING
        alone[there] = self.column("before", rows[there]) == NOTHING
        return alone

    def find(self, videos: NDArray[np.int64], keys: NDArray[np.uint64]) -> Rows:
        """Return the latest row of each video under its key ([n, 4])."""
        found = np.full(len(videos), NOTHING, np.intp)
        at, left = self._rows.last(videos), np.arange(len(videos))
        while len(left := left[at[left] != NOTHING]):
            same = (self.column("key", at[left]) == keys[left]).all(axis=1)
            found[left[same]] = at[left[same]]
            left = left[~same]
            at[left] = self.column("before", at[left])
        return found

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        """Return what rows have in a field; of texts, their numbers (see `text`)."""
        picked: NDArray[Any] = self._rows.array[name][rows]
        return picked

    def text(self, text: str | None) -> int:
        """Return the number that stands for a text in columns."""
        return self._texts.number(text)

    def tally(self, rows: Rows, *names: str) -> Counter[tuple[str | None, ...]]:
        """Count rows by the texts that they have in some fields."""
        size = max(len(self._texts.values), 1)
        joined = np.zeros(len(rows), np.int64)
        for name in names:
            joined = joined * size + self.column(name, rows)
        counts: Counter[tuple[str | None, ...]] = Counter()
        for one, number in zip(*np.unique(joined, return_counts=True), strict=True):
            places = [int(one) // size**power % size for power in reversed(range(len(names)))]
            counts[tuple(self._texts.values[place] for place in places)] = int(number)
        return counts

    def view_digests(self, view_name: str, rows: Rows) -> NDArray[np.uint8]:
        """Return the digest of a view that lies beside each row, [n, 16]; zeros where none does."""
        views = self.column("views", rows)
        digests = np.zeros((len(rows), VIEW_HEX // 2), np.uint8)
        for number in np.flatnonzero(np.bincount(views)):
            place = place_of(view_name, self._texts.values[number] or "")
            if place >= 0:
                half = slice(place // 2, (place + VIEW_HEX) // 2)
                at = np.flatnonzero(views == number)
                digests[at] = self.column("view_digests", rows[at])[:, half]
        return digests

    # What is asked of few

    def founds(self, rows: Rows) -> list[Found | None]:
        """Return rows as records, None for `NOTHING`."""
        there = rows[rows != NOTHING]
        picked = self._rows.array[there]
        columns: dict[str, list[Any]] = {
            "video_id": self._videos.ids(picked["video"]),
            "key": hex_of(picked["key"]),
            "input_digest": hex_of(picked["input_digest"]),
            "view_digests": hex_of(picked["view_digests"]),
        }
        for name in TEXTS:
            columns[name] = [self._texts.values[at] for at in picked[name].tolist()]
        for name in ("n_items", "attempts", "seconds"):
            columns[name] = picked[name].tolist()
        lengths = [VIEW_HEX * len(views.split(" ")) if views else 0 for views in columns["views"]]
        columns["view_digests"] = [
            digests[:length]
            for digests, length in zip(columns["view_digests"], lengths, strict=True)
        ]
        parts = [self._numbered[at] for at in picked["part"].tolist()]
        states = map(State._make, zip(*(columns[name] for name in State._fields), strict=True))
        made = map(Found, states, parts)
        return [None if row == NOTHING else next(made) for row in rows.tolist()]

    def history(self, videos: NDArray[np.int64]) -> list[tuple[Found, ...]]:
        """Return all states of each video in the order of their commits."""
        every: list[list[Found]] = [[] for _ in range(len(videos))]
        at = self._rows.last(videos)
        while (at != NOTHING).any():
            for founds, found in zip(every, self.founds(at), strict=True):
                if found is not None:
                    founds.append(found)
            at = np.where(at == NOTHING, NOTHING, self.column("before", at))
        return [tuple(reversed(founds)) for founds in every]

    # The cache

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
        places = np.array([place.get(part.part_id, -1) for part in self._numbered], np.int32)
        rows = self._rows.array
        order = np.argsort(places[rows["part"]], kind="stable")
        table = table_of(rows[order], self._videos, self._texts)
        of_rows = pa.array(places[rows["part"][order]])
        meta = {"format": FORMAT, "parts": [[name, self._stamps[name]] for name in parts]}
        table = table.append_column("part", of_rows)
        table = table.replace_schema_metadata({"index": json.dumps(meta)})
        sink = io.BytesIO()
        pq.write_table(
            table, sink, compression="lz4", use_dictionary=[*TEXTS], write_page_checksum=True
        )
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
        self.damaged, self._stamps, self._numbered = {}, {}, []
        self._rows, self._texts = StateRows(), Texts()
        known, table = self._cached()
        there = {part.part_id: part for part in self.parts}
        kept = {
            name: at
            for at, (name, stamp) in enumerate(known)
            if name in there and _stamp(there[name]) == stamp
        }
        self._stamps = {name: known[at][1] for name, at in kept.items()}
        self._saved = frozenset(self._stamps)
        if table is not None:
            place = np.full(len(known), -1, np.int32)
            place[list(kept.values())] = np.arange(len(kept))
            of_rows = place[table.column("part").to_numpy()]
            self._numbered = [there[name] for name in kept]
            if (of_rows < 0).any():
                table = table.filter(pa.array(of_rows >= 0))
            self._rows.extend(
                rows_of(table, self._videos, self._texts), of_rows[of_rows >= 0], self._numbered
            )
        self._add([part for part in self.parts if part.part_id not in self._stamps])

    def _cached(self) -> tuple[list[tuple[str, str]], pa.Table | None]:
        try:
            with pq.ParquetFile(
                self._file, page_checksum_verification=True, read_dictionary=[*TEXTS]
            ) as file:
                table = file.read()
            meta = json.loads(table.schema.metadata[b"index"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return [], None
        if meta.get("format") != FORMAT:
            return [], None
        return [(name, stamp) for name, stamp in meta["parts"]], table

    def _add(self, parts: Iterable[Part]) -> NDArray[np.int64]:
        """Read parts; return the videos that are in them."""
        tables, numbers = [], []
        for part in parts:
            table = self._read(part)
            if table is not None and table.num_rows:
                tables.append(table)
                numbers.append(np.full(table.num_rows, len(self._numbered), np.int32))
                self._numbered.append(part)
        if not tables:
            return np.empty(0, np.int64)
        rows = rows_of(pa.concat_tables(tables), self._videos, self._texts)
        self._rows.extend(rows, np.concatenate(numbers), self._numbered)
        return np.unique(rows["video"]).astype(np.int64)

    def _read(self, part: Part) -> pa.Table | None:
        try:
            self._stamps[part.part_id] = _stamp(part)
            part.verify()
            return part.read("states", State._fields)
        except (PartError, pa.ArrowException) as error:
            if part.is_there():
                logger.warning("%s", error)
                self.damaged[part] = str(error)
            return None


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
