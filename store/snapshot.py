"""Which rows are current: for one build, computes every stage key and finds the rows under it.

A key is sha256 over canonical JSON of stage name, stage version, config section, prompt and model
digests, and the digest of the declared fields of the video's input rows. Takes committed parts;
writes nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import PartError, WorkspaceError
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record, digest_of
from earshot.schemas.build import Build
from earshot.schemas.ledger import REASONS, LedgerRow
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.state import StageState
from earshot.store.parts import Part, list_parts
from earshot.store.quarantine import Decision, read_decisions
from earshot.store.stage import Reads, Stage, StageInput
from earshot.store.workspace import Workspace

R = TypeVar("R", bound=Record)
logger = logging.getLogger("earshot")


@dataclass(frozen=True)
class Found:
    """The latest state of a video under one key, and the part that holds it."""

    state: StageState
    part: Part


@dataclass(frozen=True)
class Key:
    """A stage key with the parts it was made of."""

    key: str
    stage_version: str
    config_digest: str
    prompt_digest: str | None
    model_digest: str | None
    input_digest: str


class Snapshot:
    """The workspace as one build sees it, at the moment of the last `refresh`."""

    def __init__(
        self,
        workspace: Workspace,
        build: Build,
        entries: Mapping[str, ManifestEntry],
        stages: Sequence[Stage[Any]],
    ) -> None:
        self.workspace = workspace
        self.build = build
        self.entries = entries
        self.stages = {stage.name: stage for stage in stages}
        self.damaged: dict[Part, str] = {}
        self._order = [stage.name for stage in stages]
        self._owner = {kind.TABLE: stage.name for stage in stages for kind in stage.writes}
        self._parts: dict[str, list[Part]] = {name: [] for name in self._order}
        self._part_states: dict[Part, list[StageState]] = {}
        self._index: dict[str, dict[str, dict[str, Found]]] = {}
        self._keys: dict[str, dict[str, Key]] = {}
        self._decisions: dict[tuple[str, str, str], Decision] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again; call it before deciding what is left to do."""
        decisions = read_decisions(self.workspace)
        changed = decisions != self._decisions
        self._decisions = decisions
        for name in self._order:
            parts = list_parts(self.workspace, name)
            if changed:  # the stage before has other rows now, so other keys here
                self._keys.pop(name, None)
            if parts != self._parts[name]:
                self._parts[name] = parts
                self._index.pop(name, None)
                changed = True

    # What was found

    def found(self, stage: str) -> dict[str, dict[str, Found]]:
        """Return {video_id: {key: latest state}} of everything ever committed for a stage."""
        if stage not in self._index:
            index: dict[str, dict[str, Found]] = defaultdict(dict)
            for part in self._parts[stage]:
                for state in self._states(part):
                    index[state.video_id][state.key] = Found(state, part)
            self._index[stage] = dict(index)
        return self._index[stage]

    def current(self, stage: str, video_id: str) -> Found | None:
        """Return the state under this build's key, or None where it has to be computed.

        A state that `quarantine retry` set aside, and a transient fault that has tries left, count
        as not computed; see `latest` for what was there.
        """
        found = self.latest(stage, video_id)
        if found is None or self._again(found):
            return None
        return found

    def latest(self, stage: str, video_id: str) -> Found | None:
        """Return the last state under this build's key, also one that will be tried again."""
        key = self.keys(stage, [video_id]).get(video_id)
        return None if key is None else self.found(stage).get(video_id, {}).get(key.key)

    def decision(self, found: Found) -> Decision | None:
        """Return what a user decided about a quarantined state, if anything."""
        return self._decisions.get((found.state.stage, found.state.video_id, found.part.part_id))

    def status(self, found: Found) -> str:
        """Return the state's status, with quarantined videos that were dropped as filtered."""
        decision = self.decision(found)
        if found.state.status == "quarantined" and decision and decision.action == "drop":
            return "filtered"
        return found.state.status

    def reach(self, stage: str, videos: Iterable[str] | None = None) -> list[str]:
        """Return the videos that the stage before is done with, in order of their ids."""
        chosen = sorted(self.entries if videos is None else videos)
        position = self._order.index(stage)
        if position == 0:
            return chosen
        before = self._order[position - 1]
        # Asking the whole line: a video whose first stage is stale has no current row behind it.
        return [
            video_id
            for video_id in self.reach(before, chosen)
            if (found := self.current(before, video_id)) and found.state.status == "done"
        ]

    # Keys

    def keys(self, stage_name: str, videos: Iterable[str]) -> dict[str, Key]:
        """Return the key of each video whose input is there; others are left out."""
        chosen = list(videos)
        known = self._keys.setdefault(stage_name, {})
        missing = [video_id for video_id in chosen if video_id not in known]
        if missing:
            stage = self.stages[stage_name]
            position = self._order.index(stage_name)
            if position:  # all at once, before they are asked for one by one
                self.keys(self._order[position - 1], missing)
            reachable = [video_id for video_id in missing if self._has_input(stage, video_id)]
            known.update(self._compute_keys(stage, reachable))
        return {video_id: known[video_id] for video_id in chosen if video_id in known}

    def _has_input(self, stage: Stage[Any], video_id: str) -> bool:
        position = self._order.index(stage.name)
        if position == 0:
            return video_id in self.entries
        before = self.current(self._order[position - 1], video_id)
        return before is not None and before.state.status == "done"

    def _compute_keys(self, stage: Stage[Any], videos: Sequence[str]) -> dict[str, Key]:
        hashed: dict[str, dict[str, Any]] = {video_id: {} for video_id in videos}
        for reads in stage.reads:
            if reads.fields:
                rows = self._hashed_rows(reads, videos)
                for video_id in videos:
                    hashed[video_id][reads.kind.TABLE] = rows[video_id]
        outside = self.inputs(stage, videos) if type(stage).outside is not Stage.outside else {}
        digests = stage.digests()
        config_digest = digest_of(stage.config.model_dump(mode="json"))
        keys: dict[str, Key] = {}
        for video_id in videos:
            if video_id in outside:
                hashed[video_id]["outside"] = stage.outside(outside[video_id])
            input_digest = digest_of(hashed[video_id])
            made_of = (stage.version, config_digest, digests.prompt, digests.model, input_digest)
            keys[video_id] = Key(digest_of([stage.name, *made_of]), *made_of)
        return keys

    def _hashed_rows(self, reads: Reads, videos: Sequence[str]) -> dict[str, Any]:
        kind, fields = reads.kind, reads.fields
        if kind is ManifestEntry:
            return {
                video_id: self.entries[video_id].model_dump(mode="json", include=set(fields))
                for video_id in videos
            }
        columns = list(dict.fromkeys((*kind.KEY, *fields)))
        grouped: dict[str, list[list[Any]]] = {video_id: [] for video_id in videos}
        for row in self._table(kind, videos, columns).to_pylist():
            grouped[row["video_id"]].append([_plain(row[name]) for name in columns])
        for rows in grouped.values():
            rows.sort(key=lambda row: row[: len(kind.KEY)])
        return grouped

    # Rows

    def table(self, kind: type[Record], videos: Sequence[str] | None = None) -> pa.Table:
        """Return the current rows of a table with its `digest` column, sorted by its key."""
        chosen = sorted(self.entries) if videos is None else videos
        columns = [*kind.model_fields, "digest"]
        table = self._table(kind, chosen, columns).select(columns)
        return table.sort_by([(name, "ascending") for name in kind.KEY])

    def inputs(self, stage: Stage[Any], videos: Sequence[str]) -> dict[str, StageInput]:
        """Return what each video brings into a stage, cut down to the declared fields."""
        rows: dict[str, dict[type[Record], list[Record]]] = {v: {} for v in videos}
        for reads in stage.reads:
            for video_id, records in self._records(reads.kind, videos).items():
                rows[video_id][reads.kind] = [_only(record, reads) for record in records]
        return {video_id: StageInput(video_id, rows[video_id]) for video_id in videos}

    def _records(self, kind: type[R], videos: Sequence[str]) -> dict[str, list[Record]]:
        if kind is ManifestEntry:
            return {video_id: [self.entries[video_id]] for video_id in videos}
        grouped: dict[str, list[Record]] = {video_id: [] for video_id in videos}
        table = self._table(kind, videos, list(kind.model_fields))
        for record, video_id in zip(
            from_table(kind, table), table.column("video_id").to_pylist(), strict=True
        ):
            grouped[video_id].append(record)
        for records in grouped.values():
            records.sort(key=lambda record: record.record_id)
        return grouped

    def _table(self, kind: type[Record], videos: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Current rows of the videos with `columns` and `video_id`."""
        owner = self._owner[kind.TABLE]
        names = list(dict.fromkeys((*columns, "video_id", *kind.KEY)))
        if kind.ACCUMULATES:
            return self._accumulated(kind, owner, videos, names)
        wanted: dict[Part, dict[str, str]] = defaultdict(dict)
        for video_id in videos:
            found = self.current(owner, video_id)
            if found is not None and found.state.status in ("done", "waiting"):
                wanted[found.part][video_id] = found.state.key
        pieces = []
        for part, keys in wanted.items():
            piece = part.read(kind.TABLE, [*names, "stage_key"])
            if piece is not None:
                pieces.append(_matching(piece, keys).select(names))
        return pa.concat_tables(pieces) if pieces else _empty(kind, names)

    def _accumulated(
        self, kind: type[Record], owner: str, videos: Sequence[str], names: Sequence[str]
    ) -> pa.Table:
        self.found(owner)  # checks the parts, so that damaged ones are known
        seen: dict[tuple[Any, ...], None] = {}
        keys = {v: key.key for v, key in self.keys(owner, videos).items()}
        pieces = []
        for part in reversed(self._parts[owner]):
            if part in self.damaged and not part.holds_people_work():
                continue
            try:
                piece = part.read(kind.TABLE)
            except PartError as error:
                raise WorkspaceError(
                    f"{error}; it holds what people decided: restore the file from a backup"
                ) from error
            if piece is None or piece.num_rows == 0:
                continue
            mask = pc.is_in(piece.column("video_id"), value_set=pa.array(list(videos), pa.string()))
            piece = _people_or_current(piece.filter(mask), keys).select(names)
            ids = list(zip(*(piece.column(name).to_pylist() for name in kind.KEY), strict=True))
            fresh = [row not in seen for row in ids]
            seen.update(dict.fromkeys(ids))
            pieces.append(piece.filter(pa.array(fresh, pa.bool_())))
        return pa.concat_tables(pieces) if pieces else _empty(kind, names)

    def ledger(self, stage: str, videos: Iterable[str]) -> pa.Table:
        """Return the ledger rows of the videos' latest states in a stage, as a table."""
        wanted: dict[Part, dict[str, str]] = defaultdict(dict)
        for video_id in videos:
            found = self.latest(stage, video_id)
            if found is not None:
                wanted[found.part][video_id] = found.state.key
        pieces = []
        for part, keys in wanted.items():
            piece = part.read("ledger")
            if piece is not None:
                pieces.append(_matching(piece, keys, "key").select(LedgerRow.ARROW.names))
        return pa.concat_tables(pieces) if pieces else LedgerRow.ARROW.empty_table()

    def _states(self, part: Part) -> list[StageState]:
        if part not in self._part_states:
            try:
                part.verify()
                table = part.read("states")
                self._part_states[part] = [] if table is None else from_table(StageState, table)
            except PartError as error:
                logger.warning("%s", error)
                self.damaged[part] = str(error)
                self._part_states[part] = []
        return self._part_states[part]

    def _again(self, found: Found) -> bool:
        state, decision = found.state, self.decision(found)
        if decision is not None:
            return decision.action == "retry"
        if state.status == "waiting":
            return False
        reason = REASONS.get(state.reason_code or "")
        transient = state.status == "quarantined" and reason is not None and reason.transient
        return transient and state.attempts < self.build.config.run.max_attempts


def _only(record: Record, reads: Reads) -> Record:
    """Return a copy that raises AttributeError for fields that the stage did not declare."""
    if "digest" in reads.fields:
        return record
    kept = {*reads.kind.KEY, *reads.fields, *reads.beside}
    copy = record.model_copy()
    for name in reads.kind.model_fields:
        if name not in kept:
            del copy.__dict__[name]
    return copy


def _matching(table: pa.Table, keys: Mapping[str, str], column: str = "stage_key") -> pa.Table:
    """Rows whose (video_id, `column`) is among `keys`."""
    pairs = zip(table.column("video_id").to_pylist(), table.column(column).to_pylist(), strict=True)
    return table.filter(pa.array([keys.get(video) == key for video, key in pairs], pa.bool_()))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return value.isoformat() if isinstance(value, datetime) else value


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
