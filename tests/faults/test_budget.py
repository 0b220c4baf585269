"""The failure budget: of a batch, of the first videos, of the run; and what a retry leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earshot.errors import ConfigError, FailureBudgetError
from earshot.media.sample_world import write_sample_world
from earshot.schemas.config import Config, ReleaseConfig, RunConfig
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import run_build
from earshot.tasks.pipeline import open_run

MISSING = 12


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve videos that are not there."""
    path = tmp_path / "m.jsonl"
    rows = [
        {"video_id": f"v{n:02d}", "uri": f"{n}.mp4", "captions": [], "source": "s"}
        for n in range(MISSING)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def request(manifest: Path, **run: object) -> BuildRequest:
    """A build of them with some settings of the run."""
    config = Config(run=RunConfig(**run), release=ReleaseConfig(allow_empty=True))  # type: ignore[arg-type]
    return BuildRequest(
        workspace=str(manifest.parent / "w"), input=str(manifest), config=config, publish=False
    )


def committed(manifest: Path) -> int:
    """How many videos were committed, over all runs."""
    logs = (manifest.parent / "w" / "logs").glob("*.jsonl")
    return sum(log.read_text().count('"video_done"') for log in logs)


def test_a_batch_that_nearly_all_fails_stops_the_build(manifest: Path, tmp_path: Path) -> None:
    """One batch is tried, not the next; what it came to is kept, and the setting is named."""
    world = write_sample_world(tmp_path / "world", 1, 3).manifest
    good = json.loads(world.read_text())
    good |= {"video_id": "a", "uri": str(world.parent / good["uri"])}
    manifest.write_text(json.dumps(good) + "\n" + manifest.read_text())
    with pytest.raises(FailureBudgetError, match=r"5 of 6 videos of a batch failed.*failure_batch"):
        run_build(request(manifest, batch_size=6, failure_first=6, failure_batch=0.8))
    assert committed(manifest) == 6


def test_a_raised_budget_lets_all_through(manifest: Path) -> None:
    """Then each video has its row, and the run's own budget is the last word."""
    wide = {"batch_size": 6, "failure_first": 100, "failure_batch": 1.0}
    with pytest.raises(FailureBudgetError, match="12 of 12 videos are in quarantine"):
        run_build(request(manifest, **wide))
    report = run_build(request(manifest, **wide, failure_share=1.0))
    assert report.counts[1].by_status == {"quarantined": MISSING}


def test_a_batch_that_is_tried_again_leaves_out_what_was_committed(manifest: Path) -> None:
    """Prefect hands a batch out again after an infrastructure error: nothing is done twice."""
    run = open_run(request(manifest, failure_first=100, failure_batch=1.0))
    (batch,) = run.batches("probe", run.shards()[0])
    assert sum(run.execute("probe", batch).counts.values()) == MISSING
    assert run.execute("probe", batch).counts == {}
    assert committed(manifest) == MISSING


def test_an_unknown_stage_can_not_be_isolated(manifest: Path) -> None:
    """A typing error in run.isolate is told before anything runs."""
    with pytest.raises(ConfigError, match=r"run\.isolate 'analyze': expected stages among probe"):
        run_build(request(manifest, isolate=("analyze",)))
