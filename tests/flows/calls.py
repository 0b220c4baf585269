"""Processes that run flows, with no Prefect setting of whoever runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from earshot.flows.api import post
from earshot.flows.server import workspace_server
from earshot.flows.settings import prefect_environment


def clean_environment() -> dict[str, str]:
    """Return the environment without any Prefect setting."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}


def environment_of(server: Path, url: str) -> dict[str, str]:
    """Return the environment for runs on the server of a folder."""
    settings = prefect_environment(server, url)
    return clean_environment() | {key: value for key, value in settings.items() if value}


def artifact_of(call: str, folder: Path) -> dict[str, Any]:
    """Run Python code that calls a flow, on a server of its own; return its one artifact."""
    with workspace_server(folder / "server") as url:
        done = subprocess.run(
            [sys.executable, "-c", call],
            env=environment_of(folder / "server", url), cwd=folder, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (artifact,) = json.loads(post(url, "/artifacts/filter", {}))
    found: dict[str, Any] = artifact
    return found
