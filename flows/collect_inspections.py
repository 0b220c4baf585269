"""Flow `collect-inspections`: takes in what people have inspected since the last time.

Meant for a schedule, or for a webhook that wakes it; never waits for anybody.
"""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from earshot.flows.artifacts import show_counts
from earshot.flows.batches import run_in_prefect
from earshot.flows.noted import noted
from earshot.flows.people import collect_decisions, collected, has_desk
from earshot.schemas.request import BuildRequest
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import COLLECT, open_session


@flow(name="collect-inspections")
def collect_inspections(request: BuildRequest) -> None:
    """Commit what was decided in Label Studio, then inspect those videos, shard by shard.

    Inside `build-dataset`, or where people inspect nowhere, whatever waits is inspected.
    """
    # A build must not fail because the annotators' server is down.
    is_alone = flow_run.get_parent_flow_run_id() is None
    workspace = Workspace.open(request.workspace)
    left: BuildRequest | None = request
    if is_alone and has_desk(open_session(workspace)):
        _, left = collect_decisions(workspace)
    with noted(left or request) as run:
        if left is not None:
            for _, shard in run.in_turn():
                run_in_prefect(run, COLLECT, shard)
        show_counts(run, run.finish())
    if left is not None and left is not request:
        collected(workspace, left)
