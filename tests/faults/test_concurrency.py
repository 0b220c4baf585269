"""Several builds on one workspace at once: each video done once, and no lock left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earshot.media.sample_world import write_sample_world
from tests.faults.builds import (
    Command,
    check_no_leftovers,
    check_nothing_ran_twice,
    content,
    kill,
    start,
)

pytestmark = pytest.mark.slow

COLLECT = """
import sys
from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import COLLECT, open_run, run_plain
for _ in range(3):
    run = open_run(BuildRequest(workspace=sys.argv[1]))
    run_plain(run, COLLECT)
    run.finish()
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sample videos."""
    return write_sample_world(tmp_path_factory.mktemp("world"), 6, 3).manifest


@pytest.fixture(scope="module")
def alone(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A build that had the workspace for itself."""
    command = Command(manifest, tmp_path_factory.mktemp("alone") / "w")
    command.run()
    return command


def finish(builds: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all; each has to end well."""
    for build in builds:
        _, err = build.communicate(timeout=500)
        assert build.returncode == 0, err.decode()


def check(command: Command, alone: Command) -> None:
    """The workspace is as if one build had made it."""
    assert content(command.workspace) == content(alone.workspace)
    check_nothing_ran_twice(command.workspace)
    check_no_leftovers(command.workspace)
    releases = [path.name for path in (command.workspace / "releases").iterdir()]
    assert releases == ["earshot-v1"]


@pytest.mark.kill
def test_two_builds_on_one_workspace(manifest: Path, tmp_path: Path, alone: Command) -> None:
    """The same command twice at once: they share the work, and one release is published."""
    command = Command(manifest, tmp_path / "w")
    finish([command.start(), command.start()])
    check(command, alone)


def test_four_shards_at_once(manifest: Path, tmp_path: Path, alone: Command) -> None:
    """Four processes with overlapping videos of one build, then the build itself finds all done."""
    videos = [json.loads(line)["video_id"] for line in manifest.read_text().splitlines()]
    pieces = [videos[0:3], videos[2:5], videos[3:6], videos[0:6:2]]
    command = Command(manifest, tmp_path / "w")
    finish(
        [
            Command(
                manifest, tmp_path / "w", ("--no-prefect", "--no-release", "--items", ",".join(p))
            ).start()
            for p in pieces
        ]
    )
    report = command.run()
    assert sum(stage["pending"] for stage in report["stages"]) == 0
    check(command, alone)


def test_builds_over_manifests_that_share_videos(
    manifest: Path, tmp_path: Path, alone: Command
) -> None:
    """A video of two manifests is done by one of their builds."""
    lines = manifest.read_text().splitlines(keepends=True)
    part = manifest.with_name("part.jsonl")
    part.write_text("".join(lines[1:4]))
    command = Command(manifest, tmp_path / "w", ("--no-prefect", "--no-release"))
    other = Command(part, tmp_path / "w", ("--no-prefect", "--no-release"))
    finish([command.start(), other.start()])
    check_nothing_ran_twice(command.workspace)
    whole = Command(manifest, tmp_path / "w")
    whole.run()
    check(whole, alone)


def test_a_build_beside_collecting_and_compacting(
    manifest: Path, tmp_path: Path, alone: Command
) -> None:
    """`collect_inspections` and `earshot gc` run beside a build, and neither disturbs it."""
    command = Command(manifest, tmp_path / "w")
    build = command.start()
    workspace = tmp_path / "w"
    while not list(workspace.glob("stages/probe/0*")):
        assert build.poll() is None
        time.sleep(0.05)
    beside = 0
    while build.poll() is None:
        collector = subprocess.Popen(
            [sys.executable, "-c", COLLECT, str(workspace)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        compactor = start(["gc", "-w", str(workspace), "--wait", "1"], "gc")
        finish([collector, compactor])
        beside += 1
    finish([build])
    assert beside
    finish([start(["gc", "-w", str(workspace)], "gc")])
    check(command, alone)


@pytest.mark.kill
def test_a_killed_build_holds_nobody_up(manifest: Path, tmp_path: Path, alone: Command) -> None:
    """The next one takes over its leases at once, not after they expire."""
    command = Command(manifest, tmp_path / "w")
    build = command.start()
    while not list((tmp_path / "w").glob("leases/0*.json")):
        assert build.poll() is None
        time.sleep(0.01)
    kill(build, group=True)
    assert build.returncode == -signal.SIGKILL
    report = command.run()
    log = Path(report["log"]).read_text()
    assert "waiting_for_lease" not in log
    check(command, alone)
