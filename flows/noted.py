"""Opens the run that a flow belongs to, and notes the flow run among its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.runtime import deployment, flow_run

from earshot.errors import InputError
from earshot.flows.open_runs import note_flow_run, shared_run
from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import Run


@contextmanager
def noted(request: BuildRequest) -> Iterator[Run]:
    """Give the run of a request; remember the current flow run as one of its own.

    Raises:
        InputError: as `earshot.tasks.pipeline.open_run`, and for relative paths on a worker.
    """
    if deployment.get_id():
        _check_absolute("workspace", request.workspace)
        _check_absolute("input", request.input or "/")
        _check_absolute("media_root", request.media_root or "/")
    run = shared_run(request)
    note_flow_run(run.run_id, UUID(flow_run.get_id()))
    yield run


def _check_absolute(name: str, path: str) -> None:
    # A worker runs each flow in an empty temporary folder that is gone afterwards.
    if "://" not in path and not Path(path).is_absolute():
        raise InputError(
            f"{name} {path!r} is relative: a worker runs the flow in a folder of its own; "
            "give the absolute path"
        )
