"""Flow `annotate-videos`: from a manifest to tubes that wait for inspection, or are inspected."""

from __future__ import annotations

from prefect import flow

from earshot.flows.artifacts import show_counts
from earshot.flows.batches import run_in_prefect, with_workers
from earshot.flows.noted import noted
from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import ANNOTATE


@flow(name="annotate-shard", flow_run_name="shard-{number}")
def annotate_shard(request: BuildRequest, number: int) -> None:
    """Run every stage up to inspection on one shard, the unit of retry and cancelling."""
    with noted(request) as run:
        run_in_prefect(run, ANNOTATE, run.shards()[number - 1])


@flow(name="annotate-videos")
def annotate_videos(request: BuildRequest) -> None:
    """Run every stage up to inspection, shard by shard."""
    with noted(request) as run:
        shard_flow = with_workers(annotate_shard, run)
        for number, _ in run.in_turn():
            shard_flow(run.request, number)
        show_counts(run, run.finish())
