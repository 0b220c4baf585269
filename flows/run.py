"""Runs a build through Prefect from the command line, with a server of the workspace's own.

Imports Prefect only once there is work and the settings stand; an empty plan starts no server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from uuid import UUID

from earshot.flows.open_runs import close_run, shared_run
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import Report, run_opened
from earshot.tasks.pipeline import Run

Say = Callable[[str], None]


def run_build_in_prefect(request: BuildRequest, say: Say) -> Report:
    """Run a build as the flow `build-dataset`.

    Args:
        request: what to do; its `run_id` is set.
        say: told what takes long.

    Raises:
        EarshotError: as `earshot.tasks.build.run_build`; also `ServerError`.
    """
    run = shared_run(request)
    if not any(one.todo for one in run.plan()):
        close_run(run.run_id)
        return run_opened(run)
    from earshot.flows.server import workspace_server
    from earshot.flows.settings import apply, prefect_environment

    root = run.session.workspace.root
    say("starting the Prefect server")
    with workspace_server(root) as url:
        apply(prefect_environment(root, url))
        if not os.environ.get("EARSHOT_DEBUG"):  # the error itself is said by whoever called
            os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        return _run(run, url, say)


def _run(run: Run, url: str, say: Say) -> Report:
    from earshot.flows.build_dataset import build_dataset

    try:
        return build_dataset(run.request)
    finally:
        _record(url, close_run(run.run_id), run.batches_executed, say)


def _record(url: str, flow_runs: list[UUID], tasks: int, say: Say) -> None:
    from earshot.errors import ServerError
    from earshot.flows.api import flush_client
    from earshot.flows.history import wait_until_recorded

    say(f"waiting until the history holds {tasks} task runs")
    flush_client()
    try:
        wait_until_recorded(url, flow_runs, tasks)
    except ServerError as error:
        say(f"note: {error}")
