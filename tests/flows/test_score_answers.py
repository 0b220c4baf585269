"""The flow that scores, on a real server: its table stands on the page of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.flows.calls import artifact_of
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
    artifact = artifact_of(call, tmp_path)
    rows = json.loads(artifact["data"])
    assert artifact["key"] == "scores"
    assert {row["metric"] for row in rows} >= {"m_tIoU", "m_vIoU", "object_exact"}
    assert (tmp_path / "o" / "scores.json").is_file()
