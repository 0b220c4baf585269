"""The pipeline: its stages in order, and a run of them over a workspace.

Takes a workspace, a build and a selection; runs what is not fresh, batch by batch. Knows nothing of
Prefect: a plain loop and the flows both drive a `Run`, and hand in how batches are executed.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from earshot import __version__
from earshot.errors import ConfigError, FailureBudgetError
from earshot.schemas.build import Build
from earshot.schemas.config import Config
from earshot.schemas.ids import video_of
from earshot.schemas.request import BuildRequest
from earshot.store.builds import keep_build, load_build, load_input, make_build
from earshot.store.config_file import load_config
from earshot.store.inputs import read_input, remember
from earshot.store.lease import lease, working
from earshot.store.ledger import StageCount, count_stages, reconcile
from earshot.store.manifests import Manifest
from earshot.store.parts import sweep
from earshot.store.plan import Selection, StagePlan, batches, notes, plan, shard_of, todo
from earshot.store.requests import RequestCounts, request_store
from earshot.store.runlog import RunLog
from earshot.store.runner import Receipt, run_batch
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Stage, StageContext
from earshot.store.workspace import Workspace
from earshot.tasks.analyse_captions.stage import AnalyseCaptions
from earshot.tasks.caption_videos.stage import CaptionVideos
from earshot.tasks.extract_objects.stage import ExtractObjects
from earshot.tasks.filter_videos import FilterVideos
from earshot.tasks.inspect_tubes import InspectTubes
from earshot.tasks.isolate import Isolator
from earshot.tasks.probe_videos import ProbeVideos
from earshot.tasks.read_captions import ReadCaptions
from earshot.tasks.reopen import inspected_events, reopen
from earshot.tasks.track_objects.stage import TrackObjects
from earshot.tasks.write_questions import WriteQuestions

STAGES: tuple[type[Stage[Any]], ...] = (
    ProbeVideos,
    CaptionVideos,
    ReadCaptions,
    FilterVideos,
    AnalyseCaptions,
    ExtractObjects,
    TrackObjects,
    InspectTubes,
    WriteQuestions,
)
INSPECT = "inspect"
RELEASE = "release"
ANNOTATE = ("probe", "caption", "captions", "filter", "analyse", "objects", "track", INSPECT)
COLLECT = (INSPECT,)
PUBLISH = ("questions",)
ORDER = (*ANNOTATE, *PUBLISH, RELEASE)

Execute = Callable[[str, Sequence[Sequence[str]]], Iterable[Receipt]]


def make_stages(
    config: Config, context: StageContext, stages: Sequence[type[Stage[Any]]] = STAGES
) -> list[Stage[Any]]:
    """Return the stages that are on, in order, each with its own section of the configuration."""
    return [
        stage(section, context)
        for stage in stages
        if stage.is_on(section := getattr(config, stage.section))
    ]


@dataclass(frozen=True)
class Session:
    """A build opened on its workspace."""

    workspace: Workspace
    build: Build
    manifest: Manifest
    snapshot: Snapshot

    @property
    def counts(self) -> list[StageCount]:
        """Counts of every stage, the manifest's rows first."""
        bad = self.manifest.faults
        reasons: dict[str, int] = {}
        for fault in bad:
            reasons[fault.reason_code] = reasons.get(fault.reason_code, 0) + 1
        rows = StageCount(
            "manifest",
            "video",
            len(self.manifest.entries) + len(bad),
            {"done": len(self.manifest.entries), "quarantined": len(bad)},
            reasons,
        )
        return [rows, *self.snapshot.steady(lambda: count_stages(self.snapshot))]


def new_session(
    workspace: Workspace,
    input_uri: str,
    config: Config,
    input_kind: str | None = None,
    media_root: str | None = None,
    *,
    keep: bool = True,
    stages: Sequence[type[Stage[Any]]] = STAGES,
) -> Session:
    """Start a build, or go on with the latest one if it computes with the same things.

    With `keep` false no build is written: what `plan` looks at is none yet.
    """
    manifest, note = read_input(workspace, input_uri, input_kind, media_root)
    build = make_build(workspace, manifest, config, stages, __version__)
    if keep:
        keep_build(workspace, build, manifest)
        remember(note, manifest)
        manifest = load_input(workspace, build)  # the same, and not all of it in memory
    return _open(workspace, build, manifest, stages)


def open_session(
    workspace: Workspace,
    build_id: str | None = None,
    stages: Sequence[type[Stage[Any]]] = STAGES,
) -> Session:
    """Open a build (default: the latest) for reading."""
    build = load_build(workspace, build_id)
    return _open(workspace, build, load_input(workspace, build), stages)


def _open(
    workspace: Workspace,
    build: Build,
    manifest: Manifest,
    kinds: Sequence[type[Stage[Any]]],
) -> Session:
    config = build.config
    context = StageContext(
        manifest.base,
        workspace.cache,
        config.run.limit_s,
        config.fetch,
        config.llm,
        workspace.requests,
    )
    stages = make_stages(config, context, kinds)
    snapshot = Snapshot(workspace, build, manifest.entries, stages)
    snapshot.save()
    return Session(workspace, build, manifest, snapshot)


class Run:
    """One pass over the stages: decides what is left to do and keeps the failure budget."""

    def __init__(self, session: Session, request: BuildRequest) -> None:
        self.session = session
        self.run_id = request.run_id or new_run_id()
        self.request = request.model_copy(update={"run_id": self.run_id})
        self.selection = Selection(
            start=request.start,
            end=request.end,
            only=request.only,
            force=frozenset(request.force),
            again=frozenset((INSPECT, video_of(one)) for one in request.reopen),
            videos=frozenset(request.items) or None,
            run_id=self.run_id,
        )
        off = {stage.name for stage in STAGES} - session.snapshot.stages.keys()
        known = [name for name in ORDER if name not in off]
        self.selection.check(known, session.manifest.entries)
        session.snapshot.steady(lambda: inspected_events(session.snapshot, request.reopen))
        self.log = RunLog(session.workspace, self.run_id)
        self.batches_executed = 0
        run = session.build.config.run
        _check_isolated(run.isolate)
        self._isolated = Isolator(run.isolate, run.limit_s)
        self._requests_before = self._requests()
        self._begun: set[tuple[str, str]] = set()
        self._first: dict[str, list[bool]] = {}
        self._hopeless: str | None = None
        self._lock = threading.Lock()

    def requests(self) -> RequestCounts | None:
        """Return what this run sent to language models; None where no stage asks one."""
        now, before = self._requests(), self._requests_before
        return now - before if now and before else None

    def _requests(self) -> RequestCounts | None:
        if not any(stage.is_remote for stage in self.session.snapshot.stages.values()):
            return None
        return request_store(self.session.workspace.requests).counts()

    @property
    def publishes(self) -> bool:
        """Whether a release is to be published at the end."""
        return self.request.publish and RELEASE in self.selection.stages(ORDER)

    def plan(self) -> list[StagePlan]:
        """Return what each selected stage has to do."""
        snapshot = self.session.snapshot
        plans = snapshot.steady(lambda: plan(snapshot, self.selection, self.stages(ORDER)))
        snapshot.save(on_the_way=True)
        return plans

    def notes(self) -> list[str]:
        """Return what the selection leaves undone and what is not built as told, for people."""
        found = []
        if self.request.input is None and (others := _told_otherwise(self.session)):
            file = self.session.workspace.config_file
            found.append(
                f"{file} differs from this build in {', '.join(others)}: `earshot build --input "
                f"{self.session.build.input_uri}` takes that in"
            )
        if self.selection.only is None and self.selection.start is None:
            return found
        return [*found, *notes(self.plan())]

    def shards(self) -> list[list[str]]:
        """Return the selected videos, cut into shards."""
        videos = sorted(self.selection.videos or self.session.manifest.entries)
        return shard_of(videos, self.session.build.config.run.shard_size)

    def in_turn(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the shards with their numbers from 1, so that several builds share the work.

        Shards on which another process works come last; by then they are done, or left by it.
        """
        left = dict(enumerate(self.shards(), start=1))
        while left:
            others = working(self.session.workspace)
            free = [number for number, shard in left.items() if others.isdisjoint(shard)]
            # At random where there is company: two that take the same one go in step from then on.
            number = random.choice(free) if free and others else min(free or left)
            yield number, left.pop(number)

    def stages(self, among: Sequence[str]) -> list[str]:
        """Return those of some stages that the selection lets run, in order."""
        chosen = self.selection.stages(ORDER)
        return [name for name in self.session.snapshot.stages if name in chosen and name in among]

    def run_stages(self, names: Sequence[str], videos: Sequence[str], execute: Execute) -> None:
        """Run stages over a shard, one after the other, batches as `execute` likes.

        Raises:
            FailureBudgetError: when the first videos of a stage all fail.
            EndpointError: when a language model can't be asked.
            WorkspaceError: when the disk fails.
        """
        self._check_ready(names, videos)
        for name in self.stages(names):
            if not self.batches(name, videos):
                continue  # a lease for nothing would have to wait for whoever works here
            with self.leased(name, videos):
                if name == INSPECT:
                    self._reopen(videos)
                work = self.batches(name, videos)  # once more: it may be done meanwhile
                total = sum(len(batch) for batch in work)
                self.log.write("stage_started", stage=name, total=total)
                started = time.monotonic()
                for _ in execute(name, work) if work else ():
                    pass
                seconds = round(time.monotonic() - started, 3)
                self.log.write("stage_finished", stage=name, total=total, seconds=seconds)
        # So that plan, status and the next start are quick beside or after a killed build, too.
        self.session.snapshot.save(on_the_way=True)

    def _check_ready(self, names: Sequence[str], videos: Sequence[str]) -> None:
        """Find out before the first stage works what would stop a later one, such as no key."""
        may_run = False
        for name in self.stages(names):
            may_run = may_run or bool(self.batches(name, videos))
            if may_run:
                self.session.snapshot.stages[name].ready()

    def batches(self, stage: str, videos: Sequence[str]) -> list[list[str]]:
        """Return what a stage has to do now among some videos."""
        snapshot = self.session.snapshot
        snapshot.refresh()
        chosen = replace(self.selection, videos=frozenset(videos))
        work = snapshot.steady(lambda: todo(snapshot, stage, chosen))
        return batches(self.session.build.config.run, snapshot.stages[stage], work)

    def _reopen(self, videos: Sequence[str]) -> None:
        here = [one for one in self.request.reopen if video_of(one) in set(videos)]
        if here:
            reopen(self.session.snapshot, INSPECT, here, self.run_id)

    def execute(self, stage: str, videos: Sequence[str]) -> Receipt:
        """Run one batch and commit it.

        Raises:
            FailureBudgetError: when the first videos of the stage all failed, or nearly all of a
                batch.
        """
        with self._lock:
            self.batches_executed += 1
        if self._hopeless:  # batches that were handed out before it was found
            raise FailureBudgetError(self._hopeless)
        snapshot = self.session.snapshot
        left = self._left(stage, videos)
        receipt = run_batch(
            snapshot, snapshot.stages[stage], left, self.run_id, self.log, self._isolated
        )
        self._check_first(stage, receipt)
        self._check_batch(stage, receipt)
        return receipt

    def _left(self, stage: str, videos: Sequence[str]) -> Sequence[str]:
        """Return a batch's videos; on a second try, without those that the first committed."""
        with self._lock:
            if (stage, videos[0]) not in self._begun:
                self._begun.add((stage, videos[0]))
                return videos
            return [video for batch in self.batches(stage, videos) for video in batch]

    def finish(self) -> list[StageCount]:
        """Check the ledger and the failure budget, and return the counts.

        Raises:
            ReconcileError: if the ledger does not add up.
            FailureBudgetError: if too many videos were quarantined.
        """
        self._isolated.close()
        with self.leased("ledger"):  # what is read under a lease is not compacted away
            self.session.snapshot.refresh()
            sweep(self.session.workspace, self.session.snapshot.stages)
            counts = self.session.counts
            self.session.snapshot.save()
        reconcile(counts)
        self._check_share(counts)
        return counts

    @contextmanager
    def leased(self, what: str, videos: Sequence[str] = ()) -> Iterator[None]:
        """Hold the lease of some videos (default: all) of a stage or the release."""
        with lease(
            self.session.workspace,
            what,
            videos,
            self.session.build.build_id,
            lambda who: self.log.write("waiting_for_lease", stage=what, held_by=who),
        ):
            yield

    def _check_first(self, stage: str, receipt: Receipt) -> None:
        run = self.session.build.config.run
        with self._lock:
            seen = self._first.setdefault(stage, [])
            failed = receipt.counts.get("quarantined", 0)
            seen += [True] * failed + [False] * (sum(receipt.counts.values()) - failed)
            if len(seen) < run.failure_first or not all(seen):
                return
            self._hopeless = (
                f"stage {stage}: the first {len(seen)} videos all failed "
                f"(run.failure_first is {run.failure_first}): see `earshot quarantine list "
                f"--workspace {self.session.workspace.root}`, mend the cause, build again"
            )
        raise FailureBudgetError(self._hopeless)

    def _check_batch(self, stage: str, receipt: Receipt) -> None:
        run = self.session.build.config.run
        failed, total = receipt.counts.get("quarantined", 0), sum(receipt.counts.values())
        if total < run.failure_first or failed <= run.failure_batch * total:
            return
        with self._lock:
            self._hopeless = (
                f"stage {stage}: {failed} of {total} videos of a batch failed, more than "
                f"run.failure_batch {run.failure_batch}: see `earshot quarantine list "
                f"--workspace {self.session.workspace.root}`, mend the cause (or raise "
                "run.failure_batch to 1, if it is the videos), build again"
            )
        raise FailureBudgetError(self._hopeless)

    def _check_share(self, counts: Sequence[StageCount]) -> None:
        share = self.session.build.config.run.failure_share
        failed = sum(c.by_status.get("quarantined", 0) for c in counts if c.item_kind == "video")
        total = counts[0].n_in
        if failed > share * total:
            raise FailureBudgetError(
                f"{failed} of {total} videos are in quarantine, more than run.failure_share "
                f"{share}: see `earshot quarantine list --workspace "
                f"{self.session.workspace.root}`; raise the share or mend the cause"
            )


def _check_isolated(names: Sequence[str]) -> None:
    known = [stage.name for stage in STAGES]
    for name in names:
        if name not in known:
            raise ConfigError(f"run.isolate {name!r}: expected stages among {', '.join(known)}")


def open_run(
    request: BuildRequest, *, keep: bool = True, stages: Sequence[type[Stage[Any]]] = STAGES
) -> Run:
    """Open the workspace (made where it is missing) and the build that a request asks for.

    With `keep` false the build is not written: for looking only. Other `stages` than the
    pipeline's own are for benchmarks.

    Raises:
        InputError: for a bad manifest, selection or workspace without a build.
    """
    workspace = Workspace.open(request.workspace, create=request.input is not None)
    if request.input is None:
        session = _to_publish(open_session(workspace, stages=stages))
    else:
        session = new_session(
            workspace,
            request.input,
            request.config,
            request.input_kind,
            request.media_root,
            keep=keep,
            stages=stages,
        )
    return Run(session, request)


def _to_publish(session: Session) -> Session:
    """Return a session that publishes as the workspace's config.toml says, where there is one.

    What may be published (takedowns, licences, benchmarks) changes no row: nobody expects to build
    again for it.
    """
    file = session.workspace.config_file
    if not file.exists():
        return session
    config = session.build.config.model_copy(update={"release": load_config(file).release})
    return replace(session, build=session.build.model_copy(update={"config": config}))


def _told_otherwise(session: Session) -> list[str]:
    """Return the sections of the workspace's config.toml that the build was not made with."""
    file = session.workspace.config_file
    if not file.exists():
        return []
    told, built = load_config(file), session.build.config
    # Those that change no row are not built.
    others = ("release", "label_studio", "run", "fetch")
    names = [name for name in Config.model_fields if name not in others]
    return [name for name in names if getattr(told, name) != getattr(built, name)]


def new_run_id() -> str:
    """Return a run id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_plain(run: Run, names: Sequence[str]) -> None:
    """Run stages in a plain loop over shards and batches: no Prefect, one batch at a time."""
    for _, shard in run.in_turn():
        run.run_stages(names, shard, lambda stage, work: (run.execute(stage, b) for b in work))
