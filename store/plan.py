"""What a build would do: per stage, how many videos are fresh, stale and why, missing or stopped.

Works on committed parts alone: opens no media, calls nobody, starts nothing.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot.errors import InputError
from earshot.schemas.config import RunConfig
from earshot.store.snapshot import Numbers, Snapshot
from earshot.store.stage import Estimate, Stage
from earshot.store.state_rows import NOTHING
from earshot.store.states import Rows

_AT_ONCE = 1000
# Reading the input of more videos than this would take minutes, and tell little more.
_ASKED = 2000


@dataclass(frozen=True)
class Selection:
    """Which part of the work a build is asked to do.

    Attributes:
        start, end: first and last stage that may run; None: from or to the end.
        only: this stage alone.
        force: stages whose fresh results are computed again.
        again: (stage, video) pairs whose fresh results are computed again.
        videos: these videos alone; None: all.
        run_id: forced results that carry it are not computed again (a run that goes on).
    """

    start: str | None = None
    end: str | None = None
    only: str | None = None
    force: frozenset[str] = frozenset()
    again: frozenset[tuple[str, str]] = frozenset()
    videos: frozenset[str] | None = None
    run_id: str = ""

    def check(self, stages: Collection[str], known_videos: Collection[str]) -> None:
        """Check the names.

        Raises:
            InputError: for an unknown stage or video, or `only` beside a range.
        """
        for name in {self.start, self.end, self.only, *self.force} - {None}:
            if name not in stages:
                raise InputError(f"no stage {name!r}: expected one of {', '.join(stages)}")
        if self.only and (self.start or self.end):
            raise InputError(f"--only {self.only} stands alone: leave out --from and --to")
        order = list(stages)
        if self.start and self.end and order.index(self.start) > order.index(self.end):
            raise InputError(f"--from {self.start} comes after --to {self.end}: swap them")
        idle = sorted(self.force - set(self.stages(order)))
        if idle:
            raise InputError(
                f"--force {idle[0]} is not among the stages that may run "
                f"({', '.join(self.stages(order))}): widen --only, --from or --to, or leave it out"
            )
        unknown = sorted((self.videos or frozenset()) - set(known_videos))
        if unknown:
            raise InputError(
                f"--items {unknown[0]!r} is not in the manifest ({len(known_videos)} videos): "
                "check the id"
            )

    def stages(self, order: Collection[str]) -> list[str]:
        """Return the stages that may run, in order."""
        names = list(order)
        if self.only:
            return [self.only]
        first = names.index(self.start) if self.start else 0
        last = names.index(self.end) if self.end else len(names) - 1
        return names[first : last + 1]


@dataclass(frozen=True)
class StagePlan:
    """What one stage has to do.

    Attributes:
        fresh: nothing to do: done, filtered or rejected under the present key.
        stale: {reason: videos} that have results under another key. A video whose config and
            input changed counts once, under `config+input`.
        missing: never computed.
        again: forced, waiting, transient faults with tries left, or `quarantine retry`.
        quarantined: stopped by a fault, and left so.
        behind: videos that may come on top once the stages before have run (an upper bound).
        blocked: {stage: videos} that need an earlier stage which the selection leaves out; nothing
            is done for them.
        why: {video: reason} of those that are stale.
        cost: estimate for stale, missing and again.
        cost_behind: at most what `behind` will cost on top.
    """

    stage: str
    fresh: int
    stale: dict[str, int]
    missing: int
    again: int
    quarantined: int
    behind: int
    todo: tuple[str, ...]
    blocked: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    cost: Estimate = field(default_factory=Estimate)
    cost_behind: Estimate = field(default_factory=Estimate)
    task_runs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the form that `earshot plan --json` prints."""
        return {
            "stage": self.stage,
            "fresh": self.fresh,
            "stale": self.stale,
            "missing": self.missing,
            "again": self.again,
            "quarantined": self.quarantined,
            "behind": self.behind,
            "blocked": self.blocked,
            "todo": list(self.todo),
            "why": self.why,
            "task_runs": self.task_runs,
            "cost": vars(self.cost),
            "cost_behind": vars(self.cost_behind),
        }


def plan(
    snapshot: Snapshot, selection: Selection, stages: Sequence[str] | None = None
) -> list[StagePlan]:
    """Return what each of some stages (default: the selected ones) has to do, in order."""
    chosen = selection.stages(snapshot.stages) if stages is None else stages
    videos = snapshot.numbers(selection.videos)
    plans: list[StagePlan] = []
    behind: set[str] = set()
    blocked: dict[str, int] = {}
    for name, stage in snapshot.stages.items():
        if name in chosen:
            one = _plan_stage(snapshot, stage, selection, behind)
            plans.append(replace(one, blocked=dict(blocked)))
            behind |= set(one.todo)
        else:
            with snapshot.lock:
                rows = snapshot.latest_rows(name, snapshot.reached(name, videos))
                there = rows[rows != NOTHING]
                waiting = len(rows) - len(there) + int(snapshot.are_again(name, there).sum())
            blocked |= {name: waiting} if waiting else {}
    return plans


def notes(plans: Sequence[StagePlan]) -> list[str]:
    """Return what a selection leaves undone, for people."""
    lines = []
    for one in plans:
        for stage, number in one.blocked.items():
            lines.append(
                f"{one.stage}: {number} video{'s' if number > 1 else ''} need {stage} first, which "
                "is not selected; nothing is done for them"
            )
    return lines


def todo(snapshot: Snapshot, stage: str, selection: Selection) -> list[str]:
    """Return the videos that a stage has to compute now."""
    return list(_plan_stage(snapshot, snapshot.stages[stage], selection, set(), cost=False).todo)


def batches(run: RunConfig, stage: Stage[Any], videos: list[str]) -> list[list[str]]:
    """Cut videos into batches of the stage's size, in order."""
    size = run.track_batch_size if stage.batch == "track_batch_size" else run.batch_size
    return [videos[at : at + size] for at in range(0, len(videos), size)]


def shard_of(videos: list[str], size: int) -> list[list[str]]:
    """Cut videos into shards of at most `size`, as even as can be, in order."""
    count = max(1, math.ceil(len(videos) / size))
    bounds = [len(videos) * at // count for at in range(count + 1)]
    return [videos[a:b] for a, b in itertools.pairwise(bounds)]


def _plan_stage(
    snapshot: Snapshot,
    stage: Stage[Any],
    selection: Selection,
    behind: set[str],
    *,
    cost: bool = True,
) -> StagePlan:
    with snapshot.lock:
        reached = snapshot.reached(stage.name, snapshot.numbers(selection.videos))
        rows = snapshot.latest_rows(stage.name, reached)
        again, quarantined = _kinds(snapshot, stage.name, rows, selection)
        missing = rows == NOTHING
        why = _why(snapshot, stage.name, reached[missing])
        work = tuple(snapshot.videos.ids(reached[missing | again]))
    unseen = sorted(behind - set(work))
    return StagePlan(
        stage.name,
        fresh=len(reached) - len(work) - int(quarantined.sum()),
        stale=dict(sorted(Counter(why.values()).items())),
        missing=int(missing.sum()) - len(why),
        again=int(again.sum()),
        quarantined=int(quarantined.sum()),
        behind=len(unseen),
        todo=work,
        why=why,
        cost=_cost(snapshot, stage, work) if cost and work else Estimate(),
        cost_behind=_cost_unseen(snapshot, stage, unseen) if cost and unseen else Estimate(),
        task_runs=len(batches(snapshot.build.config.run, stage, list(work))),
    )


def _kinds(
    snapshot: Snapshot, stage: str, rows: Rows, selection: Selection
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which of the latest rows are computed again, and which are left in quarantine."""
    states, there = snapshot.states[stage], np.flatnonzero(rows != NOTHING)
    own = rows[there]
    here = states.column("run_id", own) == states.text(selection.run_id)
    forced = np.full(len(own), stage in selection.force)
    if named := [video_id for name, video_id in selection.again if name == stage]:
        forced |= np.isin(states.column("video", own), snapshot.videos.of(named))
    status, are_again = states.column("status", own), snapshot.are_again(stage, own)
    stopped = status == states.text("quarantined")
    for at, _, decision in snapshot.decided(stage, own):
        stopped[at] &= decision.action != "drop"
    again, quarantined = np.zeros((2, len(rows)), np.bool_)
    # What waits is asked again in every run, but once.
    again[there] = ~here & (forced | (status == states.text("waiting")) | are_again)
    quarantined[there] = ~again[there] & (are_again | stopped)
    return again, quarantined


def _why(snapshot: Snapshot, stage: str, videos: Numbers) -> dict[str, str]:
    """Name the parts of the key that differ from the nearest earlier one, of videos with any."""
    states, maker = snapshot.states[stage], snapshot.maker(stage)
    videos = videos[states.last(videos) != NOTHING]
    words = snapshot.input_digests(stage, videos)
    parts = [("code", "stage_version"), ("config", "config_digest")]
    parts += [("prompt", "prompt_digest"), ("model", "model_digest")]
    now = [states.text(told) for told in maker.made_of]
    nearest = np.full(len(videos), -1)
    fewest = np.full(len(videos), len(now) + 2)
    at, left = states.last(videos), np.arange(len(videos))
    while len(left):
        rows = at[left]
        differs = [
            states.column(name, rows) != own for (_, name), own in zip(parts, now, strict=True)
        ]
        differs.append((states.column("input_digest", rows) != words[left]).any(axis=1))
        number = np.sum(differs, axis=0)
        nearer = number <= fewest[left]  # of equally near ones the first
        bits = np.sum([told << place for place, told in enumerate(differs)], axis=0)
        nearest[left[nearer]], fewest[left[nearer]] = bits[nearer], number[nearer]
        at[left] = states.column("before", rows)
        left = left[at[left] != NOTHING]
    names = [*(name for name, _ in parts), "input"]
    said = {
        bits: "+".join(name for place, name in enumerate(names) if bits >> place & 1)
        for bits in np.unique(nearest).tolist()
    }
    return dict(
        zip(snapshot.videos.ids(videos), (said[at] for at in nearest.tolist()), strict=True)
    )


def _cost(snapshot: Snapshot, stage: Stage[Any], videos: tuple[str, ...]) -> Estimate:
    if type(stage).estimate is Stage.estimate:  # costs nothing: no need to read the inputs
        return Estimate()
    asked = videos if len(videos) <= _ASKED else _spread(videos, _ASKED)
    cost = Estimate()
    for at in range(0, len(asked), _AT_ONCE):
        given = snapshot.inputs(stage, asked[at : at + _AT_ONCE])
        cost += stage.estimate(list(given.values()))
    if len(asked) == len(videos) or cost == Estimate():
        return cost
    return cost.scaled(
        len(videos) / len(asked), f"estimated from {len(asked)} of {len(videos)} videos"
    )


def _spread(videos: Sequence[str], count: int) -> tuple[str, ...]:
    """Return so many videos, evenly spread."""
    return tuple(videos[len(videos) * at // count] for at in range(count))


def _cost_unseen(snapshot: Snapshot, stage: Stage[Any], videos: Sequence[str]) -> Estimate:
    if type(stage).estimate_unseen is Stage.estimate_unseen:
        return Estimate()
    return stage.estimate_unseen([snapshot.entries[video_id] for video_id in videos])
