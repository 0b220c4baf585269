"""Flow `publish-release`: questions from what is reviewed, and a release of them."""

from __future__ import annotations

from prefect import flow

from earshot.flows.artifacts import show_counts, show_report
from earshot.flows.batches import run_in_prefect
from earshot.flows.noted import noted
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import Report, conclude
from earshot.tasks.pipeline import PUBLISH


@flow(name="publish-release")
def publish_release(request: BuildRequest) -> Report:
    """Write the questions, check the ledger, publish."""
    with noted(request) as run:
        for _, shard in run.in_turn():
            run_in_prefect(run, PUBLISH, shard)
        report = conclude(run)
        show_counts(run, report.counts)
        show_report(run, report)
    return report
