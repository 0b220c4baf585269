"""The flow that scores, on a real server: its table stands on the page of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from earshot.flows.api import post
from earshot.flows.server import workspace_server
from earshot.flows.settings import prefect_environment
from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.tasks.publish_release import conftest as worlds

pytestmark = pytest.mark.flows


def test_the_table_is_an_artifact_of_the_run(tmp_path: Path) -> None:
    """A row a task and metric, and the files where `out` says."""
    folder = publish(worlds.make_source(), tmp_path / "r", worlds.CONFIG, now=factories.NOW).folder
    (tmp_path / "p.jsonl").write_text("")
    call = (
        "from earshot.flows.score_answers import score_answers\n"
        f"score_answers({str(folder)!r}, {str(tmp_path / 'p.jsonl')!r}, "
        f"out={str(tmp_path / 'o')!r})"
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
    rows = json.loads(artifact["data"])
    assert artifact["key"] == "scores"
    assert {row["metric"] for row in rows} >= {"m_tIoU", "m_vIoU", "object_exact"}
    assert (tmp_path / "o" / "scores.json").is_file()
