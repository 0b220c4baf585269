"""Which rows are current: for one build, computes every stage key and finds the state under it.

Takes committed parts; writes nothing but what `cache/index` remembers of them. What a key is made
of is in `store.keys`, how rows are read in `store.rows`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from earshot.errors import InputError, PartGoneError
from earshot.schemas.base import Record, digest_of
from earshot.schemas.build import Build
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.store.entries import EntryViews
from earshot.store.keys import Key, KeyMaker, View, views_of
from earshot.store.parts import Part
from earshot.store.quarantine import Decision, read_decisions
from earshot.store.rows import Rows
from earshot.store.stage import Stage, StageInput
from earshot.store.state_rows import NOTHING, VideoNumbers
from earshot.store.states import Found, StageStates
from earshot.store.states import Rows as StateRows
from earshot.store.workspace import Workspace

T = TypeVar("T")
Numbers = NDArray[np.int64]
"""Numbers of videos in `Snapshot.videos`."""
_UNASKED = -2
_AT_ONCE = 1000
_LOOKS = 5
_ASKED_AT_ONCE = 16
_ASKED_IN_TURN = 16


class Snapshot:
    """The workspace as one build sees it, at the moment of the last `refresh`.

    Attributes:
        workspace, build, entries: what it looks at.
        stages: by name, in order.
        videos: the numbers by which videos are asked for many at once.
        lock: hold it as long as numbers of rows have to mean the same.
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
        self.videos = VideoNumbers(entries)
        self.states = {name: StageStates(workspace, name, self.videos) for name in self.stages}
        self.views = views_of(stages)
        self._before = dict(zip(self.stages, [None, *self.stages], strict=False))
        self._owner = {kind.TABLE: stage.name for stage in stages for kind in stage.writes}
        self._makers: dict[str, KeyMaker] = {}
        self._latest = {name: np.empty(0, np.intp) for name in self.stages}
        self._late_views: dict[tuple[str, str, Part], str] = {}
        self._decisions: dict[tuple[str, str, str, int], Decision] = {}
        self._decided: dict[str, Numbers] = {}
        self._entry_views = EntryViews(workspace, build.input_digest, entries, self.videos)
        self._rows = Rows(self)
        # Batches run in threads, and one of them may look at the folder while others ask.
        self.lock = threading.RLock()
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again; call it before deciding what is left to do."""
        with self.lock:
            decisions = read_decisions(self.workspace)
            changed: Numbers | None = np.empty(0, np.int64)
            if decisions != self._decisions:
                changed, self._decisions = None, decisions
                self._decided = {
                    name: self.videos.of([at[1] for at in decisions if at[0] == name])
                    for name in {at[0] for at in decisions}
                }
            for name, states in self.states.items():
                # What stands behind a changed row has another key, perhaps.
                new = states.refresh()
                changed = None if changed is None or new is None else np.union1d(changed, new)
                if changed is None:
                    self._latest[name] = np.empty(0, np.intp)
                else:
                    known = self._latest[name]
                    known[changed[changed < len(known)]] = _UNASKED

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
        with self.lock:
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
        return self.look(stage, [video_id])[0]

    def look(self, stage: str, videos: Sequence[str]) -> list[Found | None]:
        """Return the `latest` of many videos: asked for at once they take a tenth of the time."""
        with self.lock:
            return self.states[stage].founds(self.latest_rows(stage, self.videos.of(videos)))

    def history(self, stage: str, videos: Sequence[str]) -> list[tuple[Found, ...]]:
        """Return each video's states under whatever keys, in the order of their commits."""
        with self.lock:
            return self.states[stage].history(self.videos.of(videos))

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
        with self.lock:
            return self.videos.ids(self.reached(stage, self.numbers(videos)))

    # The same of many videos at once, by numbers

    def numbers(self, videos: Iterable[str] | None = None) -> Numbers:
        """Return the numbers of some videos of the manifest (default: all) in order of their ids.

        Videos that are not in the manifest are left out.
        """
        if videos is None:
            return np.arange(self.videos.entries)
        chosen = np.unique(self.videos.of(list(videos)))
        known: Numbers = chosen[chosen < self.videos.entries]
        return known

    def reached(self, stage: str, videos: Numbers) -> Numbers:
        """Return those videos that the stage before is done with, in the order given."""
        before = self._before[stage]
        if before is None:
            return videos[videos < self.videos.entries]
        rows = self.latest_rows(before, videos)
        there = rows != NOTHING
        states = self.states[before]
        done = states.column("status", rows[there]) == states.text("done")
        there[there] = done & ~self.are_again(before, rows[there])
        reached: Numbers = videos[there]
        return reached

    def latest_rows(self, stage: str, videos: Numbers) -> StateRows:
        """Return the row of each video's `latest` in the stage's states, `NOTHING` for none."""
        known = self._latest[stage]
        if len(known) < len(self.videos):
            known = np.full(len(self.videos), _UNASKED, np.intp)
            known[: len(self._latest[stage])] = self._latest[stage]
            self._latest[stage] = known
        missing = videos[known[videos] == _UNASKED]
        if len(missing):
            # The inputs of more at once would fill the memory.
            size = 4 * _AT_ONCE if self._asks_outside(stage) else len(missing)
            for at in range(0, len(missing), size):
                block = missing[at : at + size]
                reached = self.reached(stage, block)
                _, keys = self._make_keys(stage, reached)
                words = np.frombuffer(keys, "<u8").reshape(-1, 4)
                known[block] = NOTHING
                known[reached] = self.states[stage].find(reached, words)
        return known[videos]

    def are_again(self, stage: str, rows: StateRows) -> NDArray[np.bool_]:
        """Tell of each row what `is_again` tells of a state."""
        states = self.states[stage]
        transient = [states.text(code) for code, reason in REASONS.items() if reason.transient]
        again: NDArray[np.bool_] = states.column("status", rows) == states.text("quarantined")
        again &= np.isin(states.column("reason_code", rows), transient)
        again &= states.column("attempts", rows) < self.build.config.run.max_attempts
        for at, _, decision in self.decided(stage, rows):
            again[at] = decision.action == "retry"
        return again

    def decided(self, stage: str, rows: StateRows) -> list[tuple[int, Found, Decision]]:
        """Return of which rows a user decided something: their places, the states, and what."""
        if stage not in self._decided:
            return []
        states = self.states[stage]
        places = np.flatnonzero(np.isin(states.column("video", rows), self._decided[stage]))
        pairs = zip(places.tolist(), states.founds(rows[places]), strict=True)
        return [(at, f, decision) for at, f in pairs if f and (decision := self.decision(f))]

    # Keys

    def keys(self, stage_name: str, videos: Iterable[str]) -> dict[str, Key]:
        """Return the key of each video whose input is there; others are left out."""
        with self.lock:
            reached = self.reached(stage_name, self.videos.of(list(videos)))
            both = map(_each, self._make_keys(stage_name, reached))
            made = map(self.maker(stage_name).whole, *both)
            return dict(zip(self.videos.ids(reached), made, strict=True))

    def input_digests(self, stage_name: str, videos: Numbers) -> NDArray[np.uint64]:
        """Return, [n, 4], that part of keys in which those of videos of a stage differ."""
        return np.frombuffer(self._make_keys(stage_name, videos)[0], "<u8").reshape(-1, 4)

    def maker(self, stage_name: str) -> KeyMaker:
        """Return what makes the keys of a stage."""
        if stage_name not in self._makers:
            self._makers[stage_name] = KeyMaker(self.stages[stage_name])
        return self._makers[stage_name]

    def _asks_outside(self, stage_name: str) -> bool:
        return self.stages[stage_name].outside_of_all() is None

    def _make_keys(self, stage_name: str, videos: Numbers) -> tuple[bytes, bytes]:
        """Return the input digests and keys of videos that all stages before are done with."""
        if not len(videos):
            return b"", b""
        maker, stage = self.maker(stage_name), self.stages[stage_name]
        outside = [""] * len(videos)
        if self._asks_outside(stage_name):
            given = self._rows.inputs_on_demand(stage, self.videos.ids(videos))
            outside = list(_digests_of(_outside(stage, given)))
        elif type(stage).outside is not Stage.outside:
            outside = [digest_of(stage.outside_of_all())] * len(videos)
        return maker.many([self._digests(view, videos) for view in maker.views], outside)

    def _digests(self, view: View, videos: Numbers) -> NDArray[np.uint8]:
        """Return each video's digest of a view of its current rows, [n, 16]."""
        if view.kind is ManifestEntry:
            return self._entry_views.digests(view, videos)
        owner = self.owner(view.kind)
        rows = self.latest_rows(owner, videos)  # stages before are done: it is there
        digests = self.states[owner].view_digests(view.name, rows)
        if view.kind.ACCUMULATES:
            digests[~self._rows.of_one_state(view.kind, owner, videos)] = 0
        late = np.flatnonzero(~digests.any(axis=1))
        for begin in range(0, len(late), _AT_ONCE):
            block = late[begin : begin + _AT_ONCE]
            told = bytes.fromhex("".join(self._late(view, owner, videos[block])))
            digests[block] = np.frombuffer(told, np.uint8).reshape(len(block), -1)
        return digests

    def _late(self, view: View, owner: str, numbers: Numbers) -> list[str]:
        """Return digests of rows that were committed before a stage declared this view of them."""
        videos = self.videos.ids(numbers)
        if view.kind.ACCUMULATES:
            records = self._rows.records(view.kind, videos)
            return [view.digest(records[video_id]) for video_id in videos]
        founds = self.look(owner, videos)
        at = {
            v: (view.name, v, found.part) for v, found in zip(videos, founds, strict=True) if found
        }
        missing = [video_id for video_id in videos if at[video_id] not in self._late_views]
        for video_id, of_video in self._rows.records(view.kind, missing).items():
            self._late_views[at[video_id]] = view.digest(of_video)
        return [self._late_views[at[video_id]] for video_id in videos]

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

    def pieces(self, kind: type[Record]) -> Iterator[pa.Table]:
        """Yield the current rows of a table with its `digest` column, a part at a time."""
        return self._rows.pieces(kind, sorted(self.entries))

    def inputs(self, stage: Stage[Any], videos: Sequence[str]) -> dict[str, StageInput]:
        """Return what each video brings into a stage, cut down to the declared fields."""
        return self._rows.inputs(stage, videos)

    def ledger(self, stage: str, videos: Iterable[str]) -> pa.Table:
        """Return the ledger rows of the videos' latest states in a stage, as a table."""
        return self._rows.ledger(stage, videos)

    def is_again(self, found: Found) -> bool:
        """Whether a state counts as not computed: set aside, or a fault that may be gone."""
        state = found.state
        if (decision := self.decision(found)) is not None:
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
    rest = [given[at : at + _ASKED_IN_TURN] for at in range(1, len(given), _ASKED_IN_TURN)]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        for told in pool.map(lambda some: [stage.outside(one) for one in some], rest):
            yield from told


def _each(digests: bytes) -> list[bytes]:
    return [digests[at : at + 32] for at in range(0, len(digests), 32)]


def _digests_of(every: Iterable[dict[str, Any]]) -> Iterator[str]:
    last, digest = None, ""
    for facts in every:
        if facts != last:  # mostly they are the same of all, or of each its own
            last, digest = facts, digest_of(facts)
        yield digest
