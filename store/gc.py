"""Compacts the parts of each stage and drops the rows that no kept build refers to.

Takes a workspace and snapshots of the builds to keep. Writes a new part before it drops the old
ones, and drops those only when nobody reads them any more: killed at any step, nothing is lost, and
the next run goes on. Never drops an inspection or a revised tube of a person, nor a tube that a
person's inspection names.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.errors import PartError
from earshot.schemas.base import Record
from earshot.schemas.inspection import Inspection
from earshot.schemas.state import StageState
from earshot.schemas.tube import Tube
from earshot.store.builds import build_ids, drop_build
from earshot.store.lease import Holder, Watch, lease
from earshot.store.parts import (
    Part,
    all_parts,
    commit_tables,
    compacted_id,
    drop_part,
    list_parts,
    sweep,
)
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Stage
from earshot.store.workspace import Workspace

GROUP_BYTES = 64_000_000
"""Parts are compacted up to this size: what one damaged file costs, and what memory has to hold."""
LEASE = "gc"
_STATES, _LEDGER = StageState.TABLE, "ledger"
_POLL_S = 0.2

Row = tuple[str, str]
"""A video and the key under which a stage computed it."""


@dataclass(frozen=True)
class Kept:
    """What stays.

    Attributes:
        build_ids: the builds; also those that hold a lease now.
        snapshots: of those among them that this earshot can read.
    """

    build_ids: frozenset[str]
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class StageSwept:
    """What became of one stage; a row is a video under one key.

    Attributes:
        parts_rewritten: parts whose rows are in another part now.
        parts_after: how many readers see.
        rows_dropped: rows that no kept build refers to.
        damaged: what is wrong with the parts that were left as they are.
    """

    stage: str
    parts_before: int
    parts_rewritten: int
    parts_after: int
    rows_before: int
    rows_dropped: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Swept:
    """What `collect` did, or would do.

    Attributes:
        builds_dropped: ids of the builds whose records went.
        stages: one each.
        bytes_freed: on the disk.
        readers: who may still read old parts, which stay until the next time.
    """

    builds_dropped: tuple[str, ...]
    stages: tuple[StageSwept, ...]
    bytes_freed: int
    readers: tuple[Holder, ...]


@dataclass(frozen=True)
class _Plan:
    """What has to be done in a stage: groups of parts to rewrite, and the rows each part keeps."""

    parts: tuple[Part, ...]
    groups: tuple[tuple[Part, ...], ...]
    people: tuple[Part, ...]
    rows: dict[Part, frozenset[Row]]
    kept: dict[Part, frozenset[Row]]
    damaged: dict[Part, str]

    @property
    def rewritten(self) -> int:
        return sum(map(len, self.groups))

    def swept(self, stage: str) -> StageSwept:
        return StageSwept(
            stage,
            len(self.parts),
            self.rewritten,
            len(self.parts) - self.rewritten + len(self.groups),
            sum(map(len, self.rows.values())),
            sum(len(self.rows[part]) - len(self.kept[part]) for part in self.rows),
            tuple(self.damaged.values()),
        )


def kept_ids(workspace: Workspace, keep: int) -> list[str]:
    """Return the ids of the latest builds, and of those that work right now."""
    working = {holder.build_id for holder in Watch().live(workspace).values()}
    known = build_ids(workspace)
    return [each for each in known if each in known[-keep:] or each in working]


def collect(
    workspace: Workspace, kept: Kept, wait_s: float = 60.0, *, dry_run: bool = False
) -> Swept:
    """Compact every stage, drop what `kept` does not refer to, and the other builds' records.

    Args:
        workspace: where.
        kept: what stays; at least one snapshot, whose stages are swept.
        wait_s: how long to wait for builds that may still read what was compacted.
        dry_run: say what would be done, and write nothing.

    Raises:
        WorkspaceError: when the disk fails; nothing is lost then.
    """
    gone = tuple(one for one in build_ids(workspace) if one not in kept.build_ids)
    stages = kept.snapshots[-1].stages
    if dry_run:
        return Swept(gone, tuple(_plan(workspace, n, kept).swept(n) for n in stages), 0, ())
    before = _bytes(workspace, stages)
    with lease(workspace, LEASE, ()):
        swept = []
        named = _named_by_people(workspace, stages)
        for name, stage in stages.items():
            plan = _plan(workspace, name, kept)
            _compact(workspace, plan, name, {kind.TABLE: kind for kind in stage.writes}, named)
            swept.append(plan.swept(name))
        for build_id in gone:
            drop_build(workspace, build_id)
        readers = _wait_for_readers(workspace, wait_s)
        if not readers:
            _drop_replaced(workspace, stages)
        sweep(workspace, stages)
    return Swept(gone, tuple(swept), before - _bytes(workspace, stages), readers)


# What has to be done


def _plan(workspace: Workspace, stage: str, kept: Kept) -> _Plan:
    parts = list_parts(workspace, stage)
    rows: dict[Part, frozenset[Row]] = {}
    damaged: dict[Part, str] = {}
    latest: dict[Row, Part] = {}
    last: dict[str, Row] = {}
    own: set[Row] = set()
    for part in parts:
        try:
            part.verify()
            table = part.read(_STATES, ["video_id", "key", "build_id"])
        except PartError as error:
            damaged[part] = str(error)
            continue
        found = [] if table is None else table.to_pylist()
        rows[part] = frozenset((row["video_id"], row["key"]) for row in found)
        own |= {(r["video_id"], r["key"]) for r in found if r["build_id"] in kept.build_ids}
        latest.update(dict.fromkeys(rows[part], part))
        last.update((row[0], row) for row in rows[part])
    entries = {video for snapshot in kept.snapshots for video in snapshot.entries}
    # The last row of a video stays beside: `plan` says by it why the video is stale.
    stays = own | {row for video, row in last.items() if video in entries}
    for snapshot in kept.snapshots:
        keys = snapshot.keys(stage, snapshot.entries)
        stays |= {(video, key.key) for video, key in keys.items()}
    of_part: dict[Part, set[Row]] = {part: set() for part in rows}
    for row, part in latest.items():
        if row in stays:
            of_part[part].add(row)
    kept_rows = {part: frozenset(found) for part, found in of_part.items()}
    # What people decided has no rows of its own once it was compacted.
    people = tuple(part for part in rows if part.holds_people_work() and not rows[part])
    groups = _groups([part for part in rows if part not in people], rows, kept_rows)
    return _Plan(tuple(parts), groups, people, rows, kept_rows, damaged)


def _groups(
    parts: Sequence[Part],
    rows: Mapping[Part, frozenset[Row]],
    kept: Mapping[Part, frozenset[Row]],
) -> tuple[tuple[Part, ...], ...]:
    """Return neighbours that become one part each; a part alone only if it does not stay whole."""
    groups: list[list[Part]] = []
    total, schemas = 0, dict[str, pa.Schema]()
    for part in parts:
        size, own = _size(part), _schemas(part)
        differs = any(not own[name].equals(schemas[name]) for name in own.keys() & schemas.keys())
        if not groups or total + size > GROUP_BYTES or differs:
            groups.append([])
            total, schemas = 0, {}
        groups[-1].append(part)
        total += size
        schemas |= own
    return tuple(
        tuple(group)
        for group in groups
        if len(group) > 1 or rows[group[0]] != kept[group[0]] or group[0].holds_people_work()
    )


def _size(part: Part) -> int:
    return sum(int(said["bytes"]) for said in part.files().values())


def _schemas(part: Part) -> dict[str, pa.Schema]:
    names = [name.removesuffix(".parquet") for name in part.files()]
    return {name: pq.read_schema(part.path / f"{name}.parquet") for name in names}


def _named_by_people(workspace: Workspace, stages: Mapping[str, Stage[Any]]) -> pa.Array:
    """Return the digests of all tubes that inspections of people name."""
    digests: set[str] = set()
    for name, stage in stages.items():
        if Inspection not in stage.writes:
            continue
        for part in list_parts(workspace, name):
            try:
                table = part.read(Inspection.TABLE, ["inspected_by", "tubes"])
            except PartError:  # said when the stage itself is looked at
                continue
            for row in [] if table is None else table.to_pylist():
                if row["inspected_by"] == "human":
                    for tube in row["tubes"]:
                        digests |= {tube["before_digest"], tube["after_digest"]}
    return pa.array(sorted(digests - {None}), pa.string())


# Doing it


def _compact(
    workspace: Workspace,
    plan: _Plan,
    stage: str,
    kinds: Mapping[str, type[Record]],
    named: pa.Array,
) -> None:
    rewritten = {part for group in plan.groups for part in group}
    people: dict[str, pa.Table] = {}
    moved = 0
    for name in (name for name, kind in kinds.items() if kind.ACCUMULATES):
        pieces = []
        for part in plan.parts:
            table = part.read(name) if part in rewritten or part in plan.people else None
            if table is not None:
                pieces.append(_by_people(table))
                moved += pieces[-1].num_rows if part in rewritten else 0
        if pieces:
            people[name] = _once(pa.concat_tables(pieces), kinds[name])
    # People's work first: killed here it is there twice, which readers fold, and never nowhere.
    if moved or len(plan.people) > 1:
        ids = [part.part_id for part in plan.people]
        part_id = compacted_id(plan.parts[-1])
        commit_tables(workspace, stage, part_id, people, people=True, replaces=ids).verify()
    for group in plan.groups:
        tables = _merged(group, plan.kept, kinds, named)
        ids = [part.part_id for part in group]
        part_id = compacted_id(group[-1])
        commit_tables(workspace, stage, part_id, tables, replaces=ids).verify()


def _merged(
    group: Sequence[Part],
    kept: Mapping[Part, frozenset[Row]],
    kinds: Mapping[str, type[Record]],
    named: pa.Array,
) -> dict[str, pa.Table]:
    """Return the tables of some parts without the rows that go, and without people's."""
    pieces: dict[str, list[pa.Table]] = defaultdict(list)
    for part in group:
        for file in part.files():
            name = file.removesuffix(".parquet")
            table = part.read(name)
            assert table is not None  # `part.json` names it
            key = "key" if name in (_STATES, _LEDGER) else "stage_key"
            stays = _pairs_in(table, key, kept[part])
            if name == Tube.TABLE:  # a verdict can be carried over as long as its tubes are there
                stays = pc.or_(stays, pc.is_in(table.column("digest"), value_set=named))
            kind = kinds.get(name)
            if kind is not None and kind.ACCUMULATES:
                stays = pc.and_not(stays, _people_mask(table))
            pieces[name].append(table.filter(stays))
    return {name: pa.concat_tables(found) for name, found in pieces.items()}


def _pairs_in(table: pa.Table, key: str, rows: frozenset[Row]) -> pa.Array:
    pairs = zip(table.column("video_id").to_pylist(), table.column(key).to_pylist(), strict=True)
    return pa.array([pair in rows for pair in pairs], pa.bool_())


def _people_mask(table: pa.Table) -> pa.Array:
    """Tell which rows of a table that accumulates are people's: all, but for the inspector's."""
    if "inspected_by" not in table.column_names:
        return pa.array([True] * table.num_rows, pa.bool_())
    return pc.equal(table.column("inspected_by"), "human").combine_chunks()


def _by_people(table: pa.Table) -> pa.Table:
    return table.filter(_people_mask(table))


def _once(table: pa.Table, kind: type[Record]) -> pa.Table:
    """Return each content of an id once, in the order in which they were committed last."""
    columns = [table.column(name).to_pylist() for name in (*kind.KEY, "digest")]
    last = {row: at for at, row in enumerate(zip(*columns, strict=True))}
    return table.take(pa.array(sorted(last.values()), pa.int64()))


def _wait_for_readers(workspace: Workspace, wait_s: float) -> tuple[Holder, ...]:
    """Wait until nobody is left who looked before now; return who still is.

    A build looks at the folder again each time it takes a lease: one that takes its lease from now
    on sees the new parts.
    """
    watch, deadline = Watch(), time.monotonic() + wait_s
    before: set[str] | None = None
    while True:
        live = [h for h in watch.live(workspace).values() if h.stage != LEASE]
        if before is None:
            before = {holder.owner for holder in live}
        left = tuple(holder for holder in live if holder.owner in before)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_S)


def _drop_replaced(workspace: Workspace, stages: Iterable[str]) -> None:
    for stage in stages:
        seen = set(list_parts(workspace, stage))
        for part in all_parts(workspace, stage):
            if part not in seen:
                drop_part(part)


def _bytes(workspace: Workspace, stages: Iterable[str]) -> int:
    folders = (workspace.stages / stage for stage in stages)
    return sum(
        file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()
    )
