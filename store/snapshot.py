"""Which rows are current: for one build, computes every stage key and finds the state under it.

Takes committed parts; writes nothing but what `cache/index` remembers of them. What a key is made
of is in `store.keys`, how rows are read in `store.rows`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from earshot.errors import InputError, PartGoneError
from earshot.schemas.base import Record, digest_of
from earshot.schemas.build import Build
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.store.entries import EntryViews
from earshot.store.keys import VIEW_HEX, Key, KeyMaker, View, place_of, views_of
from earshot.store.parts import Part
from earshot.store.quarantine import Decision, read_decisions
from earshot.store.rows import Rows
from earshot.store.stage import Stage, StageInput
from earshot.store.states import Found, StageStates
from earshot.store.workspace import Workspace

T = TypeVar("T")
_AT_ONCE = 1000
_LOOKS = 5
_ASKED_AT_ONCE = 16


class Snapshot:
    """The workspace as one build sees it, at the moment of the last `refresh`.

    Attributes:
        workspace, build, entries: what it looks at.
        stages: by name, in order.
        states: what was ever committed, by stage.
        views: what the stages declare of the tables that each stage writes.
    """

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
        self.states = {name: StageStates(workspace, name) for name in self.stages}
        self.views = views_of(stages)
        self._before = dict(zip(self.stages, [None, *self.stages], strict=False))
        self._owner = {kind.TABLE: stage.name for stage in stages for kind in stage.writes}
        self._makers: dict[str, KeyMaker] = {}
        self._latest: dict[str, dict[str, Found | None]] = {name: {} for name in self.stages}
        self._late_views: dict[tuple[str, str, Part], str] = {}
        self._decisions: dict[tuple[str, str, str, int], Decision] = {}
        self._entry_views = EntryViews(workspace, build.input_digest, entries)
        self._rows = Rows(self)
        # Batches run in threads, and one of them may look at the folder while others ask.
        self._lock = threading.RLock()
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again; call it before deciding what is left to do."""
        with self._lock:
            decisions = read_decisions(self.workspace)
            changed: set[str] | None = set() if decisions == self._decisions else None
            self._decisions = decisions
            for name, states in self.states.items():
                # What stands behind a changed row has another key, perhaps.
                new = states.refresh()
                changed = None if changed is None or new is None else changed | new
                if changed is None:
                    self._latest[name] = {}
                else:
                    for video_id in changed:
                        self._latest[name].pop(video_id, None)

    def steady(self, read: Callable[[], T]) -> T:
        """Return what `read` returns; once more where a compaction took away what it looked at.

        For readers without a lease: under one nothing is taken away (`store.gc`).
        """
        for _ in range(_LOOKS):
            try:
                return read()
            except PartGoneError:
                self.refresh()
        return read()

    def save(self, *, on_the_way: bool = False) -> None:
        """Remember in the cache what was read, so that the next process opens faster.

        `on_the_way` says that more is to come: then it is written now and then only.
        """
        with self._lock:
            for states in self.states.values():
                states.save(on_the_way=on_the_way)
            self._entry_views.save(on_the_way=on_the_way)

    # What was found

    @property
    def damaged(self) -> dict[Part, str]:
        """Parts that can't be read, with what is wrong."""
        return {part: said for each in self.states.values() for part, said in each.damaged.items()}

    def current(self, stage: str, video_id: str) -> Found | None:
        """Return the state under this build's key, or None where it has to be computed.

        A state that `quarantine retry` set aside, and a transient fault that has tries left, count
        as not computed; see `latest` for what was there.
        """
        found = self.latest(stage, video_id)
        return None if found is None or self.is_again(found) else found

    def latest(self, stage: str, video_id: str) -> Found | None:
        """Return the last state under this build's key, also one that will be tried again."""
        known = self._latest[stage]
        if video_id in known:
            return known.get(video_id)
        with self._lock:
            self._resolve(stage, [video_id])
            return self._latest[stage].get(video_id)

    def look(self, stage: str, videos: Sequence[str]) -> list[Found | None]:
        """Return the `latest` of many videos: asked for at once they take a tenth of the time."""
        with self._lock:
            self._resolve(stage, videos)
            known = self._latest[stage]
            return [known.get(video_id) for video_id in videos]

    def decision(self, found: Found) -> Decision | None:
        """Return what a user decided about a quarantined state, if anything."""
        state = found.state
        return self._decisions.get((found.part.stage, state.video_id, state.key, state.attempts))

    def status(self, found: Found) -> str:
        """Return the state's status, with quarantined videos that were dropped as filtered."""
        if found.state.status != "quarantined":
            return found.state.status
        decision = self.decision(found)
        return "filtered" if decision and decision.action == "drop" else "quarantined"

    def reach(self, stage: str, videos: Iterable[str] | None = None) -> list[str]:
        """Return the videos that the stage before is done with, in order of their ids.

        It is done with none whose own input is stale: such a video has no current state there.
        """
        chosen = sorted(self.entries if videos is None else videos)
        before = self._before[stage]
        if before is None:
            return chosen
        with self._lock:
            self._resolve(before, chosen)
            return [video_id for video_id in chosen if self._is_done(before, video_id)]

    # Keys

    def keys(self, stage_name: str, videos: Iterable[str]) -> dict[str, Key]:
        """Return the key of each video whose input is there; others are left out."""
        with self._lock:
            reached = self._reached(stage_name, list(videos))
            return dict(zip(reached, self._make_keys(stage_name, reached), strict=True))

    def _resolve(self, stage_name: str, videos: Sequence[str]) -> None:
        """Find the latest states of videos, all at once, before they are asked for one by one."""
        known = self._latest[stage_name]
        if all(video_id in known for video_id in videos):
            return
        with self._lock:
            known = self._latest[stage_name]
            missing = [video_id for video_id in videos if video_id not in known]
            find = self.states[stage_name].find
            for at in range(0, len(missing), _AT_ONCE):
                block = missing[at : at + _AT_ONCE]
                reached = self._reached(stage_name, block)
                keys = self._make_keys(stage_name, reached)
                found = [find(v, key.key) for v, key in zip(reached, keys, strict=True)]
                known.update(dict.fromkeys(block))
                known.update(zip(reached, found, strict=True))

    def _reached(self, stage_name: str, videos: Sequence[str]) -> list[str]:
        before = self._before[stage_name]
        if before is None:
            return [video_id for video_id in videos if video_id in self.entries]
        self._resolve(before, videos)
        return [video_id for video_id in videos if self._is_done(before, video_id)]

    def _is_done(self, stage_name: str, video_id: str) -> bool:
        found = self._latest[stage_name].get(video_id)
        return found is not None and found.state.status == "done" and not self.is_again(found)

    def _make_keys(self, stage_name: str, videos: Sequence[str]) -> list[Key]:
        """Return the keys of videos that all stages before are done with."""
        stage = self.stages[stage_name]
        maker = self._makers.get(stage_name)
        if maker is None:
            maker = self._makers[stage_name] = KeyMaker(stage)
        if not videos:
            return []
        outside = [""] * len(videos)
        if type(stage).outside is not Stage.outside:
            given = self._rows.inputs_on_demand(stage, videos)
            outside = [digest_of(facts) for facts in _outside(stage, given)]
        columns = [self._digests(view, videos) for view in maker.views]
        rows = zip(*columns, strict=True) if columns else [()] * len(videos)
        return [maker.key(row, end) for row, end in zip(rows, outside, strict=True)]

    def _digests(self, view: View, videos: Sequence[str]) -> list[str]:
        """Return each video's digest of a view of its current rows."""
        if view.kind is ManifestEntry:
            return self._entry_views.digests(view, videos)
        owner = self.owner(view.kind)
        known: Iterable[str] = videos
        if view.kind.ACCUMULATES:
            known = self._rows.of_one_state(view.kind, owner, videos)
        digests = {video_id: self._stored(view, owner, video_id) for video_id in known}
        late = [video_id for video_id in videos if not digests.get(video_id)]
        digests.update(self._computed(view, owner, late) if late else {})
        return [digests[video_id] for video_id in videos]

    def _stored(self, view: View, owner: str, video_id: str) -> str:
        """Return the digest that lies beside the rows; empty where another view lies there."""
        found = self.latest(owner, video_id)
        assert found is not None  # stages before are done
        at = place_of(view.name, found.state.views)
        if at >= 0:
            return found.state.view_digests[at : at + VIEW_HEX]
        return self._late_views.get((view.name, video_id, found.part), "")

    def _computed(self, view: View, owner: str, videos: Sequence[str]) -> dict[str, str]:
        """Return digests of rows that were committed before a stage declared this view of them."""
        records = self._rows.records(view.kind, videos)
        digests = {video_id: view.digest(found) for video_id, found in records.items()}
        if not view.kind.ACCUMULATES:
            for video_id, digest in digests.items():
                found = self.latest(owner, video_id)
                if found is not None:
                    self._late_views[view.name, video_id, found.part] = digest
        return digests

    # Rows

    def owner(self, kind: type[Record]) -> str:
        """Return the stage that writes a table.

        Raises:
            InputError: if there is none.
        """
        if kind.TABLE not in self._owner:
            raise InputError(f"no stage writes table {kind.TABLE!r}: add it to a stage's `writes`")
        return self._owner[kind.TABLE]

    def table(self, kind: type[Record], videos: Sequence[str] | None = None) -> pa.Table:
        """Return the current rows of a table with its `digest` column, sorted by its key."""
        return self._rows.table(kind, sorted(self.entries) if videos is None else videos)

    def inputs(self, stage: Stage[Any], videos: Sequence[str]) -> dict[str, StageInput]:
        """Return what each video brings into a stage, cut down to the declared fields."""
        return self._rows.inputs(stage, videos)

    def ledger(self, stage: str, videos: Iterable[str]) -> pa.Table:
        """Return the ledger rows of the videos' latest states in a stage, as a table."""
        return self._rows.ledger(stage, videos)

    def is_again(self, found: Found) -> bool:
        """Whether a state counts as not computed: set aside, or a fault that may be gone."""
        state = found.state
        if self._decisions and (decision := self.decision(found)) is not None:
            return decision.action == "retry"
        if state.status != "quarantined":
            return False
        reason = REASONS.get(state.reason_code or "")
        transient = reason is not None and reason.transient
        return transient and state.attempts < self.build.config.run.max_attempts


def _outside(stage: Stage[Any], given: Sequence[StageInput]) -> Iterator[dict[str, Any]]:
    """Yield each video's facts from outside; slow places are asked for many at once."""
    if not stage.outside_waits:
        yield from map(stage.outside, given)
        return
    # The first has the manifest read: in a thread it would wait for the snapshot's lock.
    yield stage.outside(given[0])
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        yield from pool.map(stage.outside, given[1:])
