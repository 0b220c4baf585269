"""The few calls that earshot makes to a Prefect server itself, and the last flush of its client.

Never imports Prefect: it speaks HTTP, and looks at Prefect's client only where a flow loaded it.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import BaseModel, TypeAdapter

from earshot.errors import ServerError
from earshot.flows.settings import LOOPBACK

# (module, class) of what Prefect's client sends in the background.
_BACKGROUND = (
    ("prefect.events.worker", "EventsWorker"),
    ("prefect.logging.handlers", "APILogWorker"),
)


class _Id(BaseModel):
    id: UUID


_IDS = TypeAdapter(list[_Id])


def http_client(api_url: str, timeout_s: float = 30.0) -> httpx.Client:
    """Return a client of the API at `api_url`, with the credentials that the environment names."""
    headers = {}
    if key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    if pair := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    address = urlsplit(api_url)
    # A proxy of the environment can't reach this machine's loopback.
    local = address.hostname in {LOOPBACK, "localhost", "::1"}
    return httpx.Client(
        base_url=api_url.rstrip("/"),
        headers=headers,
        timeout=timeout_s,
        trust_env=not local,
        # Reading the certificates costs 50 ms of CPU, and plain HTTP needs none.
        verify=address.scheme != "http",
    )


def server_answers(api_url: str, timeout_s: float = 5.0) -> bool:
    """Return whether a Prefect server at `api_url` says that it is healthy."""
    try:
        with http_client(api_url, timeout_s) as client:
            return client.get("/health").status_code == httpx.codes.OK
    except (httpx.TransportError, httpx.InvalidURL):
        return False


def post(api_url: str, path: str, body: Mapping[str, object]) -> bytes:
    """Return the body of the answer to a POST of `body`; ServerError if it is not a success."""
    try:
        with http_client(api_url) as client:
            response = client.post(path, json=body)
    except httpx.TransportError as error:
        raise ServerError(
            f"the Prefect server at {api_url} is gone ({error!r}); expected it to answer {path}. "
            "See server.log in the workspace's prefect folder, and run the command again"
        ) from error
    if not response.is_success:
        raise ServerError(
            f"the Prefect server at {api_url} answered {path} with {response.status_code}: "
            f"{response.text[:300]}. Expected a success: server and client need the same version "
            "of Prefect"
        )
    return response.content


def any_of(ids: Sequence[UUID]) -> dict[str, object]:
    """Return the filter "one of these ids"."""
    return {"id": {"any_": [str(value) for value in ids]}}


def close_dead_runs(api_url: str) -> int:
    """Call the flow runs that still count as running crashed; returns how many there were.

    Only right on a server that has just started on its own database: whatever ran then was cut off
    with the server before it. Prefect itself leaves them running for ever.
    """
    states = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    runs = _IDS.validate_json(post(api_url, "/flow_runs/filter", {"flow_runs": states}))
    message = "The build's process ended without closing this run; the next build resumed its work."
    crashed = {"type": "CRASHED", "name": "Crashed", "message": message}
    for run in runs:
        post(api_url, f"/flow_runs/{run.id}/set_state", {"state": crashed, "force": True})
    return len(runs)


def flush_client(timeout_s: float = 15.0) -> None:
    """Send what Prefect's client in this process still holds back: events, and 2 s of log lines.

    Without it a short build's log is lost with the server, and Prefect complains at exit. Does
    nothing where Prefect isn't loaded.
    """
    for module, name in _BACKGROUND:
        loaded = sys.modules.get(module)
        if loaded is not None:
            getattr(loaded, name).drain_all(timeout=timeout_s)
