"""Reads the run history of a workspace's Prefect server, and waits until it is complete.

Speaks HTTP to the server only; never imports Prefect and never opens its database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from earshot.errors import InputError, ServerError
from earshot.flows.api import any_of, post, server_answers
from earshot.flows.server import workspace_server
from earshot.flows.settings import database_of, prefect_folder, user_api_url

FINAL_STATES = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
_POLL_S = 0.5


@dataclass(frozen=True)
class FlowRunSummary:
    """One flow run of the history; `duration_s` is the time it ran, waiting not counted."""

    flow_run_id: UUID
    flow: str
    name: str
    state: str
    start: datetime | None
    duration_s: float
    task_runs: int


class _FlowRun(BaseModel):
    """The fields of `POST /flow_runs/filter` that we read."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    flow_id: UUID
    name: str
    state_name: str | None
    start_time: datetime | None
    total_run_time: float


class _Flow(BaseModel):
    """The fields of `POST /flows/filter` that we read."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str


_FLOW_RUNS = TypeAdapter(list[_FlowRun])
_FLOWS = TypeAdapter(list[_Flow])


def wait_until_recorded(
    api_url: str,
    flow_run_ids: Sequence[UUID],
    expected_task_runs: int,
    timeout_s: float = 600.0,
    stalled_s: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Wait until the history has every task run of these flow runs in a final state.

    Task states travel to the server as events, and it takes in 10 to 25 task runs a second: a
    server that is stopped with the flow loses the rest. `expected_task_runs` counts the task runs
    that came to run (not their retries, not sub-flows, not those whose upstream failed).
    `progress` is called with (recorded, expected) at each change.

    Returns the number recorded. Raises ServerError, naming what is missing, after `timeout_s`
    seconds or when the number hasn't moved for `stalled_s` seconds.
    """
    begun = moved = time.monotonic()
    recorded = -1
    while True:
        count = count_task_runs(api_url, flow_run_ids, final=True) if flow_run_ids else 0
        now = time.monotonic()
        if count != recorded:
            recorded, moved = count, now
            if progress is not None:
                progress(recorded, expected_task_runs)
        if recorded >= expected_task_runs:
            return recorded
        if now - begun > timeout_s or now - moved > stalled_s:
            raise ServerError(_incomplete(api_url, recorded, expected_task_runs, now - begun))
        time.sleep(_POLL_S)


def count_task_runs(api_url: str, flow_run_ids: Sequence[UUID], *, final: bool = False) -> int:
    """Return how many task runs of these flow runs are recorded, sub-flows' stand-ins left out.

    With `final` only those that have ended. Raises ServerError if the server refuses or is gone.
    """
    tasks: dict[str, object] = {"subflow_runs": {"exists_": False}}
    if final:
        tasks["state"] = {"type": {"any_": list(FINAL_STATES)}}
    body = {"flow_runs": any_of(flow_run_ids), "task_runs": tasks}
    return int(post(api_url, "/task_runs/count", body))


def check_history(workspace: Path) -> None:
    """Raise `InputError` where no build of this workspace has run through its own server."""
    if user_api_url() is None and not database_of(workspace).exists():
        raise InputError(
            f"{workspace} has no Prefect history: expected a build that ran through Prefect. Run "
            "`earshot build` without --no-prefect, or set PREFECT_API_URL to your server"
        )


def list_flow_runs(workspace: Path, limit: int = 50) -> list[FlowRunSummary]:
    """Return the workspace's latest flow runs, newest first.

    Starts the workspace's server for it unless one runs. Raises ServerError if it doesn't answer.
    """
    with workspace_server(workspace) as api_url:
        return read_flow_runs(api_url, limit)


def read_flow_runs(api_url: str, limit: int = 50) -> list[FlowRunSummary]:
    """Return the latest `limit` (at most 200) flow runs that the server knows, newest first."""
    body = {"sort": "EXPECTED_START_TIME_DESC", "limit": limit}
    runs = _FLOW_RUNS.validate_json(post(api_url, "/flow_runs/filter", body))
    wanted = {"flows": any_of([run.flow_id for run in runs])}
    flows = _FLOWS.validate_json(post(api_url, "/flows/filter", wanted))
    names = {flow.id: flow.name for flow in flows}
    return [
        FlowRunSummary(
            flow_run_id=run.id,
            flow=names.get(run.flow_id, "?"),
            name=run.name,
            state=run.state_name or "Pending",
            start=run.start_time,
            duration_s=run.total_run_time,
            task_runs=count_task_runs(api_url, [run.id]),
        )
        for run in runs
    ]


def open_history(workspace: Path, announce: Callable[[str], None]) -> None:
    """Keep the workspace's server up until Ctrl-C; `announce` gets the address of its pages.

    Raises ServerError if the server ends by itself.
    """
    with suppress(KeyboardInterrupt), workspace_server(workspace) as api_url:
        announce(api_url.removesuffix("/api"))
        _watch(api_url)
        raise ServerError(
            f"the Prefect server at {api_url} has ended; expected it to run until Ctrl-C. Its "
            f"log is in {prefect_folder(workspace)}; run earshot history again"
        )


def _watch(api_url: str, misses_allowed: int = 5) -> None:
    """Return once the server has not answered several times in a row."""
    misses = 0
    while misses < misses_allowed:
        time.sleep(2.0)
        misses = 0 if server_answers(api_url) else misses + 1


def _incomplete(api_url: str, recorded: int, expected: int, waited_s: float) -> str:
    return (
        f"the history at {api_url} holds {recorded} of {expected} task runs after "
        f"{waited_s:.0f} s; expected all. The build's tables are not touched by this, only the "
        "history is short: the server drops records when it is more than about 3,000 task runs "
        "behind (its log then says 'queue is full'). Use larger batches, or PREFECT_API_URL with "
        "a server on PostgreSQL and Redis"
    )
