"""A whole build: the stages, the ledger's proof, and a release; with and without Prefect the same.

Takes an opened `Run`; gives a report that the command line prints and flows return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa

from earshot.errors import ReleaseError
from earshot.schemas.arrow import table_schema
from earshot.schemas.base import Record
from earshot.schemas.ledger import NOT_BUILT, STATUSES
from earshot.schemas.question import Question, Task
from earshot.schemas.release import Absent, LedgerCount, ReleaseCost
from earshot.schemas.request import BuildRequest
from earshot.store.inspection_report import people_work, rejected_questions, report
from earshot.store.ledger import StageCount
from earshot.store.plan import StagePlan
from earshot.store.requests import RequestCounts
from earshot.store.runner import fatal
from earshot.store.stage import Estimate
from earshot.tasks.pipeline import ANNOTATE, PUBLISH, Run, Session, open_run, run_plain
from earshot.tasks.publish_release.publish import Publication, foresee, publish
from earshot.tasks.publish_release.source import STAGE_KINDS, ReleaseSource
from earshot.tasks.publish_release.spool import collected, videos_of

if TYPE_CHECKING:
    from earshot.tasks.publish_release.text_only import TextOnly


@dataclass(frozen=True)
class Report:
    """What a build came to.

    Attributes:
        was_fresh: nothing had to be computed or published.
        notes: what the selection left undone.
        cost: what language models took for the rows that there are now, over all builds.
        requests: what this run sent them.
        publication: the release, if one was asked for.
    """

    build_id: str
    run_id: str
    log: str
    counts: list[StageCount]
    publication: Publication | None
    was_fresh: bool
    notes: tuple[str, ...] = ()
    cost: ReleaseCost | None = None
    requests: RequestCounts | None = None

    def lines(self) -> list[str]:
        """Return what a person wants to read after the table."""
        lines = [f"note      {note}" for note in self.notes]
        if self.requests:
            lines.append(f"requests  {self.requests.line}")
        if self.cost:
            lines.append(f"cost      {_cost_line(self.cost)}")
        if self.publication:
            lines.append(f"release   {self.publication.folder}")
            lines += [f"note      {warning}" for warning in self.publication.warnings]
        return [*lines, f"log       {self.log}"]

    def to_json(self) -> dict[str, Any]:
        """Return the form that `earshot build --json` prints."""
        return {
            "build_id": self.build_id,
            "run_id": self.run_id,
            "log": self.log,
            "was_fresh": self.was_fresh,
            "release": self.publication.folder if self.publication else None,
            "notes": list(self.notes),
            "cost": self.cost.model_dump() if self.cost else None,
            "requests": vars(self.requests) if self.requests else None,
            "warnings": list(self.publication.warnings) if self.publication else [],
            "stages": [count.to_json() for count in self.counts],
        }


def run_build(request: BuildRequest) -> Report:
    """Run a build in a plain loop.

    Raises:
        EarshotError: as `open_run`, `Run.run_stages`, `Run.finish` and `publish` say.
    """
    return run_opened(open_run(request))


def run_opened(run: Run) -> Report:
    """Run an opened build in a plain loop; see `run_build`."""
    run_plain(run, (*ANNOTATE, *PUBLISH))
    return conclude(run)


def conclude(run: Run, to: str | None = None) -> Report:
    """Check the ledger, publish if asked to, and report.

    Args:
        run: whose stages have run.
        to: folder or fsspec URL to publish to; the workspace's `releases/` if not given.

    Raises:
        BuildError: if the ledger does not add up or too much failed.
        ReleaseError: if a gate refuses the release.
    """
    counts = run.finish()
    publication = None
    if run.publishes:
        with run.leased("release"):  # two builds that publish at once would take one number
            run.session.snapshot.refresh()
            publication = publish_session(run.session, counts, to)
            counts = [*counts, _release_count(publication)]
    cost, requests = _cost(run.session), run.requests()
    if requests:
        run.log.write("requests", **vars(requests))
    run.log.write("run_finished", build_id=run.session.build.build_id)
    return Report(
        build_id=run.session.build.build_id,
        run_id=run.run_id,
        log=str(run.log.path),
        counts=counts,
        publication=publication,
        was_fresh=not run.batches_executed and (publication is None or not publication.is_new),
        notes=tuple(run.notes()),
        cost=cost,
        requests=requests,
    )


def publish_session(
    session: Session, counts: list[StageCount], to: str | None = None
) -> Publication:
    """Publish the current rows of a build into the workspace's `releases/`, or to a place.

    Raises:
        ReleaseError: if a gate refuses it.
        WorkspaceError: when the disk is full, read-only or forbidden.
    """
    source = release_source(session, counts)
    config = session.build.config
    try:
        return publish(
            source,
            to or session.workspace.releases,
            config.release,
            text_only=_text_only(session),
        )
    except OSError as error:
        said = fatal(error, session.workspace.root)
        if said is None:
            raise
        raise said from error


@dataclass(frozen=True)
class TextOnlyPlan:
    """What publication will take of the model that answers test questions without the video.

    Attributes:
        model: its name.
        videos: at most so many still get questions, or get them anew.
        most: test questions of each task that are asked at most.
        cost: about the questions that there are.
        cost_behind: at most what those to come will cost on top.
        trouble: why the questions that there are could not be looked at.
    """

    model: str
    videos: int
    most: int
    cost: Estimate
    cost_behind: Estimate
    trouble: str | None = None

    @property
    def asks(self) -> bool:
        """Whether anything is asked, as far as is known."""
        return bool(self.cost.calls or self.cost_behind.calls)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `earshot plan --json` prints."""
        costs = {"cost": vars(self.cost), "cost_behind": vars(self.cost_behind)}
        return {**vars(self), **costs}


def plan_text_only(run: Run, plans: Sequence[StagePlan]) -> TextOnlyPlan | None:
    """Return what a publication after some plans' work asks; None where it asks nobody.

    Raises:
        ConfigError: an exclusion list can't be read.
    """
    session, config = run.session, run.session.build.config
    text_only, most = _text_only(session), config.release.text_only_questions
    if text_only is None or not run.publishes:
        return None
    videos = sum(len(one.todo) + one.behind for one in plans if one.stage in PUBLISH)
    cost, trouble = Estimate(), None

    def look() -> Estimate:
        source = release_source(session, [])
        return foresee(source, session.workspace.releases, config.release, text_only)

    try:
        cost = session.snapshot.steady(look)
    except ReleaseError as error:
        trouble = str(error)
    left = len(get_args(Task)) * most - cost.calls if videos or trouble else 0
    return TextOnlyPlan(
        config.llm.model, videos, most, cost, text_only.estimate_unseen(left), trouble
    )


def _text_only(session: Session) -> TextOnly | None:
    """Return the model that sees no video; its client is imported only where one is asked."""
    config = session.build.config
    if not config.release.text_only_questions:
        return None
    from earshot.tasks.publish_release.text_only import TextOnly

    return TextOnly(config.llm, session.workspace.requests)


def release_source(session: Session, counts: list[StageCount]) -> ReleaseSource:
    """Return what a release is made of: current rows, absent videos and counts."""
    kinds: tuple[type[Record], ...] = (*STAGE_KINDS, Question)
    tables = {kind.TABLE: _current(session, kind) for kind in kinds}
    work = people_work(session.snapshot)
    rejected = rejected_questions(tables[Question.TABLE], work.questions)
    return ReleaseSource(
        tables=tables,
        absent=_absent(session, tables),
        rejected={name: ", ".join(each.reasons) for name, each in rejected.items()},
        inspection=report((), work),
        ledger_counts=tuple(_ledger_count(count) for count in counts),
        build=session.build,
        upstream_digests={"input": session.build.input_digest},
        cost=_cost(session),
    )


def _current(session: Session, kind: type[Record]) -> pa.Table:
    """Return the current rows of a table; a large one lies on the disk."""
    schema = table_schema(kind)
    pieces = (piece.cast(schema) for piece in session.snapshot.pieces(kind))
    return collected((batch for piece in pieces for batch in piece.to_batches()), schema)


def _cost(session: Session) -> ReleaseCost | None:
    """Return what the current rows took of language models; None where no stage asks one."""
    snapshot = session.snapshot
    stages = [name for name, stage in snapshot.stages.items() if stage.is_remote]
    if not stages:
        return None
    tokens, usd = 0, 0.0
    is_known = True
    for name in stages:
        for row in snapshot.ledger(name, snapshot.reach(name)).to_pylist():
            if row["tokens"] is not None:
                tokens += row["tokens"]
                usd += row["cost_usd"] or 0.0
                is_known &= row["cost_usd"] is not None
    questions = sum(piece.num_rows for piece in snapshot.pieces(Question))
    return ReleaseCost(
        tokens=tokens,
        usd=usd if is_known else None,
        usd_per_question=usd / questions if is_known and questions else None,
    )


def _cost_line(cost: ReleaseCost) -> str:
    if cost.usd is None:
        return f"{cost.tokens} tokens; the model has no price in llm.prices"
    each = cost.usd_per_question
    per_question = "" if each is None else f", {each:.4f} USD per published question"
    return f"{cost.usd:.4f} USD for {cost.tokens} tokens over all builds{per_question}"


_NOT_BUILT = {"status": "waiting", "reason_code": NOT_BUILT, "message": None}


def _absent(session: Session, tables: Mapping[str, pa.Table]) -> tuple[Absent, ...]:
    """One row for every source video without a question: where its way ended, and why.

    A stage that has no current row of a video has it before it: the workspace is not built up to
    date.
    """
    snapshot = session.snapshot
    present = videos_of(tables[Question.TABLE])
    rows = [
        Absent(
            video_id=fault.video_id or f"line-{fault.line}",
            stage="manifest",
            status="quarantined",
            reason_code=fault.reason_code,
            message=fault.message,
        )
        for fault in session.manifest.faults
        if fault.video_id not in snapshot.entries
    ]
    ends: dict[str, str] = {}
    for name in snapshot.stages:
        ends.update(dict.fromkeys(snapshot.reach(name), name))
    for name in snapshot.stages:
        here = [v for v, stage in ends.items() if stage == name and v not in present]
        said = {
            row["video_id"]: row
            for row in snapshot.ledger(name, here).to_pylist()
            if row["item_kind"] == "video" and row["item_id"] == row["video_id"]
        }
        rows.extend(
            Absent(
                video_id=video_id,
                stage=name,
                **{key: said.get(video_id, _NOT_BUILT)[key] for key in _NOT_BUILT},
            )
            for video_id in here
        )
    return tuple(sorted({row.video_id: row for row in rows}.values(), key=lambda r: r.video_id))


def _ledger_count(count: StageCount) -> LedgerCount:
    said = {status: count.by_status.get(status, 0) for status in STATUSES}
    return LedgerCount(
        stage=count.stage,
        item_kind=count.item_kind,
        total=sum(said.values()),
        reasons=count.reasons,
        **said,
    )


def _release_count(publication: Publication) -> StageCount:
    count = publication.count
    by_status = {"done": count.done, "filtered": count.filtered, "rejected": count.rejected}
    return StageCount(count.stage, count.item_kind, count.total, by_status, count.reasons)
