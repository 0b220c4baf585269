"""The flow that exports, on a real server: the folder is there, the counts on the run's page."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from earshot.flows.api import post
from earshot.flows.server import workspace_server
from earshot.flows.settings import prefect_environment
from tests.tasks.grpo.conftest import films, release  # noqa: F401 - fixtures

pytestmark = pytest.mark.flows


def test_the_export_and_its_counts(release, films, tmp_path):  # noqa: F811
    """Parameters as a deployment is given them, the configuration as JSON."""
    config = {"dialect": "ms-swift", "profile": "qwen3_vl", "batch_prompts": 12}
    call = (
        "from earshot.flows.export_grpo import export_grpo\n"
        f"export_grpo({release.place!r}, {str(films)!r}, {str(tmp_path / 'o')!r}, {config!r})"
    )
    with workspace_server(tmp_path / "server") as url:
        variables = prefect_environment(tmp_path / "server", url)
        env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        env |= {key: value for key, value in variables.items() if value}
        done = subprocess.run(
            [sys.executable, "-c", call],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (artifact,) = json.loads(post(url, "/artifacts/filter", {}))
    assert json.loads(artifact["data"]) == [
        {"what": "prompts", "questions": 12},
        {"what": "no_full_batch", "questions": 6},
    ]
    manifest = json.loads((tmp_path / "o" / "manifest.json").read_text())
    assert manifest["prompts"] == 12
