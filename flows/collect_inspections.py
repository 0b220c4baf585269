"""Flow `collect-inspections`: takes in what people have inspected since the last time.

Meant for a schedule, or for a webhook that wakes it; never waits for anybody.
"""

from __future__ import annotations

from prefect import flow

from earshot.flows.artifacts import show_counts
from earshot.flows.batches import run_in_prefect
from earshot.flows.noted import noted
from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import COLLECT


@flow(name="collect-inspections")
def collect_inspections(request: BuildRequest) -> None:
    """Ask for what waits, shard by shard, and store what was decided."""
    with noted(request) as run:
        for _, shard in run.in_turn():
            run_in_prefect(run, COLLECT, shard)
        show_counts(run, run.finish())
