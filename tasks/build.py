"""A whole build: the stages, the ledger's proof, and a release; with and without Prefect the same.

Takes an opened `Run`; gives a report that the command line prints and flows return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earshot.schemas.base import Record
from earshot.schemas.ledger import STATUSES
from earshot.schemas.question import Question
from earshot.schemas.release import Absent, LedgerCount
from earshot.schemas.request import BuildRequest
from earshot.store.ledger import StageCount
from earshot.store.runner import fatal
from earshot.tasks.pipeline import ANNOTATE, PUBLISH, Run, Session, open_run, run_plain
from earshot.tasks.publish_release.publish import Publication, publish
from earshot.tasks.publish_release.source import STAGE_KINDS, ReleaseSource


@dataclass(frozen=True)
class Report:
    """What a build came to.

    Attributes:
        was_fresh: nothing had to be computed or published.
        notes: what the selection left undone.
        publication: the release, if one was asked for.
    """

    build_id: str
    run_id: str
    log: str
    counts: list[StageCount]
    publication: Publication | None
    was_fresh: bool
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return what a person wants to read after the table."""
        lines = [f"note      {note}" for note in self.notes]
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


def conclude(run: Run) -> Report:
    """Check the ledger, publish if asked to, and report.

    Raises:
        BuildError: if the ledger does not add up or too much failed.
        ReleaseError: if a gate refuses the release.
    """
    counts = run.finish()
    publication = None
    if run.publishes:
        with run.leased("release"):  # two builds that publish at once would take one number
            run.session.snapshot.refresh()
            publication = publish_session(run.session, counts)
            counts = [*counts, _release_count(run.session)]
    run.log.write("run_finished", build_id=run.session.build.build_id)
    return Report(
        build_id=run.session.build.build_id,
        run_id=run.run_id,
        log=str(run.log.path),
        counts=counts,
        publication=publication,
        was_fresh=not run.batches_executed and (publication is None or not publication.is_new),
        notes=tuple(run.notes()),
    )


def publish_session(session: Session, counts: list[StageCount]) -> Publication:
    """Publish the current rows of a build into the workspace's `releases/`.

    Raises:
        ReleaseError: if a gate refuses it.
        WorkspaceError: when the disk is full, read-only or forbidden.
    """
    source = release_source(session, counts)
    try:
        return publish(source, session.workspace.releases, session.build.config.release)
    except OSError as error:
        said = fatal(error, session.workspace.root)
        if said is None:
            raise
        raise said from error


def release_source(session: Session, counts: list[StageCount]) -> ReleaseSource:
    """Return what a release is made of: current rows, absent videos and counts."""
    kinds: tuple[type[Record], ...] = (*STAGE_KINDS, Question)
    tables = {kind.TABLE: session.snapshot.table(kind) for kind in kinds}
    return ReleaseSource(
        tables=tables,
        absent=_absent(session, tables),
        ledger_counts=tuple(_ledger_count(count) for count in counts),
        build=session.build,
        upstream_digests={"input": session.build.input_digest},
    )


def _absent(session: Session, tables: Mapping[str, pa.Table]) -> tuple[Absent, ...]:
    """One row for every source video without a question: where its way ended, and why."""
    snapshot = session.snapshot
    present = set(tables[Question.TABLE].column("video_id").to_pylist())
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
        rows.extend(
            Absent(
                video_id=row["video_id"],
                stage=name,
                status=row["status"],
                reason_code=row["reason_code"],
                message=row["message"],
            )
            for row in snapshot.ledger(name, here).to_pylist()
            if row["item_kind"] == "video" and row["item_id"] == row["video_id"]
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


def _release_count(session: Session) -> StageCount:
    questions = session.snapshot.table(Question).num_rows
    return StageCount("release", "question", questions, {"done": questions})
