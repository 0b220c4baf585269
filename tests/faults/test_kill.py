"""SIGKILL at any moment, then the same command: the same tables, and nothing done twice."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from earshot.media.sample_world import write_sample_world
from earshot.store.workspace import Workspace
from tests.faults.builds import (
    Command,
    check_no_leftovers,
    check_nothing_ran_twice,
    content,
    kill,
    releases,
    start,
    states,
)

pytestmark = pytest.mark.slow

VIDEOS = 4
SEED = 20260301
# Dies at the n-th call of a function; of a file, half is written before.
DIE = """
import os, signal
import {module} as module
real, calls = module.{name}, [0]
def dying(*args, **kwargs):
    calls[0] += 1
    if calls[0] == {step}:
        if "{name}" == "_write_bytes":
            args[0].write_bytes(args[1][: len(args[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
module.{name} = dying
"""


class Undisturbed(NamedTuple):
    """What a build that nobody killed came to, and how long it took."""

    manifest: Path
    workspace: Path
    content: dict[str, Any]
    releases: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """An undisturbed build of a few short videos."""
    folder = tmp_path_factory.mktemp("whole")
    manifest = write_sample_world(folder / "world", VIDEOS, 3).manifest
    command = Command(manifest, folder / "w")
    began = time.monotonic()
    command.run()
    seconds = time.monotonic() - began
    check_nothing_ran_twice(command.workspace)
    found = content(command.workspace)
    return Undisturbed(manifest, command.workspace, found, releases(command.workspace), seconds)


def check_rerun(whole: Undisturbed, command: Command) -> None:
    """Run a killed command again and compare."""
    command.wait_until_alone()
    command.run()
    assert content(command.workspace) == whole.content
    assert releases(command.workspace) == whole.releases
    check_nothing_ran_twice(command.workspace)
    check_no_leftovers(command.workspace)
    command.wait_until_alone()


def few(values: Iterable[Any], *chosen: Any) -> list[Any]:
    """All values; some of them are also in the lane of few kills."""
    return [pytest.param(v, marks=pytest.mark.kill) if v in chosen else v for v in values]


@pytest.mark.parametrize("number", few(range(16), 4, 9))
def test_killed_at_a_random_moment(whole: Undisturbed, tmp_path: Path, number: int) -> None:
    """The group or the parent alone, spread over the whole build; children end by themselves."""
    share = (number + random.Random(SEED + number).random()) / 16
    command = Command(whole.manifest, tmp_path / "w")
    build = command.start()
    time.sleep(whole.seconds * (0.15 + 0.85 * share))
    kill(build, group=number % 2 == 0)
    check_rerun(whole, command)


@pytest.mark.flows
@pytest.mark.parametrize("number", few(range(4), 2))
def test_killed_with_prefect(whole: Undisturbed, tmp_path: Path, number: int) -> None:
    """The server, which has a session of its own, goes too; the history goes on with the next."""
    command = Command(whole.manifest, tmp_path / "w", options=())
    build = command.start()
    server = tmp_path / "w" / "prefect" / "server.pid"
    deadline = time.monotonic() + 120
    # From the server's start on, and well into the stages.
    while not (server.exists() and (number == 0 or list((tmp_path / "w" / "stages").glob("*/0*")))):
        assert time.monotonic() < deadline
        assert build.poll() is None
        time.sleep(0.05)
    time.sleep(number * random.Random(SEED + number).uniform(1, 3))
    kill(build, group=number % 2 == 0)
    check_rerun(whole, command)
    assert not server.exists()


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [
        ("earshot.store.parts", "_write_bytes", 2),
        pytest.param("earshot.store.parts", "_write_bytes", 12, marks=pytest.mark.kill),
        ("earshot.store.parts", "fsync_folder", 1),
        ("earshot.store.parts", "fsync_folder", 8),
        ("earshot.store.builds", "write_atomic", 3),
        ("earshot.store.lease", "write_atomic", 2),
        ("earshot.tasks.publish_release.publish", "write_tables", 1),
        ("earshot.tasks.publish_release.publish", "write_json", 2),
        pytest.param(
            "earshot.tasks.publish_release.shelf", "rename_whole", 1, marks=pytest.mark.kill
        ),
        ("earshot.tasks.publish_release.shelf", "_flush", 5),
    ],
)
def test_killed_inside_a_write(
    whole: Undisturbed, tmp_path: Path, module: str, name: str, step: int
) -> None:
    """In the middle of a part's file, between a part's file and its rename, in a publication."""
    command = Command(whole.manifest, tmp_path / "w")
    build = command.start(code=DIE.format(module=module, name=name, step=step))
    _, err = build.communicate(timeout=200)
    assert build.returncode == -signal.SIGKILL, err.decode()
    check_rerun(whole, command)


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [
        ("earshot.store.parts", "_write_bytes", 3),
        ("earshot.store.parts", "fsync_folder", 2),
        ("earshot.store.gc", "commit_tables", 3),
        ("earshot.store.gc", "drop_build", 1),
        pytest.param("earshot.store.gc", "drop_part", 2, marks=pytest.mark.kill),
        ("earshot.store.parts", "has_no_writer", 1),
    ],
)
def test_killed_inside_a_compaction(
    whole: Undisturbed, tmp_path: Path, module: str, name: str, step: int
) -> None:
    """`earshot gc` at each of its steps: the tables stay, the next one brings it to its end."""
    workspace = tmp_path / "w"
    shutil.copytree(whole.workspace, workspace)
    builds = workspace / "builds"
    (latest,) = builds.glob("*.json")
    for number in range(2, 5):  # so that there are builds to drop
        shutil.copy(latest, builds / latest.name.replace("0001", f"000{number}"))
    (workspace / "stages" / "probe" / ".tmp-left-there-1").mkdir()
    options = ["gc", "-w", str(workspace)]
    collector = start(options, "gc", DIE.format(module=module, name=name, step=step))
    _, err = collector.communicate(timeout=200)
    assert collector.returncode == -signal.SIGKILL, err.decode()
    assert content(workspace) == whole.content
    collector = start(options, "gc")
    _, err = collector.communicate(timeout=200)
    assert collector.returncode == 0, err.decode()
    assert content(workspace) == whole.content
    ran = [folder.name for folder in (whole.workspace / "stages").iterdir()]
    assert "questions" in ran
    for stage in ran:
        assert len(list((workspace / "stages" / stage).glob("[!.]*"))) == 1
    assert len(states(workspace)) == len(states(whole.workspace))
    assert Workspace.open(workspace).leases.exists()
    report = Command(whole.manifest, workspace).run()
    assert report["was_fresh"]
