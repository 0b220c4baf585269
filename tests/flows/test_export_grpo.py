"""The flow that exports, on a real server: the folder is there, the counts on the run's page."""

from __future__ import annotations

import json

import pytest

from tests.flows.calls import artifact_of
from tests.tasks.grpo.conftest import films, release  # noqa: F401 - fixtures

pytestmark = pytest.mark.flows


def test_the_export_and_its_counts(release, films, tmp_path):  # noqa: F811
    """Parameters as a deployment is given them, the configuration as JSON."""
    config = {"dialect": "ms-swift", "profile": "qwen3_vl", "batch_prompts": 12}
    call = (
        "from earshot.flows.export_grpo import export_grpo\n"
        f"export_grpo({release.place!r}, {str(films)!r}, {str(tmp_path / 'o')!r}, {config!r})"
    )
    artifact = artifact_of(call, tmp_path)
    assert json.loads(artifact["data"]) == [
        {"what": "prompts", "questions": 12},
        {"what": "no_full_batch", "questions": 6},
    ]
    manifest = json.loads((tmp_path / "o" / "manifest.json").read_text())
    assert manifest["prompts"] == 12
