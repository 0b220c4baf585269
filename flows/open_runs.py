"""Runs that are open in this process: flows, tasks and whoever started them share one.

Imports no Prefect. A plain module of its own on purpose: what stands beside a `@task` is copied to
every worker, and would be opened anew in each.
"""

from __future__ import annotations

import threading
from uuid import UUID

from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import Run, open_run

_RUNS: dict[str, Run] = {}
_FLOW_RUNS: dict[str, list[UUID]] = {}
_LOCK = threading.Lock()


def shared_run(request: BuildRequest) -> Run:
    """Return the process's run for a request, opened at the first call."""
    with _LOCK:
        run = _RUNS.get(request.run_id or "")
        if run is None:
            run = open_run(request)
            _RUNS[run.run_id] = run
        return run


def share_run(run: Run) -> None:
    """Let flows and tasks of this process use a run that was opened already."""
    with _LOCK:
        _RUNS[run.run_id] = run


def note_flow_run(run_id: str, flow_run_id: UUID) -> None:
    """Remember a flow run, whose task runs the history has to hold in the end."""
    _FLOW_RUNS.setdefault(run_id, []).append(flow_run_id)


def close_run(run_id: str) -> list[UUID]:
    """Forget a run; return its flow runs."""
    with _LOCK:
        _RUNS.pop(run_id, None)
        return _FLOW_RUNS.pop(run_id, [])
