"""Leases: two that share a video wait for each other, and none outlives its holder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from earshot.store import lease as leases
from earshot.store.lease import Holder, Watch, lease
from earshot.store.workspace import Workspace

HOLD = """
import sys, time
from earshot.store.lease import lease
from earshot.store.workspace import Workspace
with lease(Workspace.open(sys.argv[1]), "track", ["a", "b"], "0001-x"):
    print("held", flush=True)
    time.sleep(600)
"""
# Each line of the log says who begins and who ends: two that share a video must not be mixed.
CROWD = """
import random, sys, time
from pathlib import Path
from earshot.store.lease import lease
from earshot.store.workspace import Workspace
workspace, me, log = Workspace.open(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
dice = random.Random(int(me))
for _ in range(12):
    videos = dice.sample("abcdef", 2)
    with lease(workspace, "track", videos):
        with log.open("a") as file:
            file.write(f"+{me} {''.join(videos)}\\n")
        time.sleep(dice.uniform(0, 0.005))
        with log.open("a") as file:
            file.write(f"-{me} {''.join(videos)}\\n")
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace.open(tmp_path / "w", create=True)


def run_holder(workspace: Workspace) -> subprocess.Popen[str]:
    """Start a process that holds a lease."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def has_to_wait(workspace: Workspace, stage: str, videos: list[str]) -> bool:
    """Whether somebody else holds one of the videos now."""
    wanted = frozenset(videos)
    return any(one.shares(stage, wanted) for one in Watch().live(workspace).values())


def test_only_who_shares_a_video_of_a_stage_waits(workspace: Workspace) -> None:
    """Another stage and other videos go on at once; no videos at all means all of them."""
    with lease(workspace, "track", ["a", "b"]):
        assert has_to_wait(workspace, "track", ["b", "c"])
        assert has_to_wait(workspace, "track", [])
        assert not has_to_wait(workspace, "track", ["c"])
        assert not has_to_wait(workspace, "inspect", ["a"])
        with lease(workspace, "track", ["c"]), lease(workspace, "inspect", ["a"]):
            pass
    assert list(workspace.leases.iterdir()) == []


def test_a_lease_waits_and_says_for_whom(workspace: Workspace) -> None:
    """The second holder comes in when the first has gone, and was told once who it was."""
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with lease(workspace, "track", ["a"], waiting=said.append):
            order.append("second")

    with lease(workspace, "track", ["a"]):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
    assert said == [f"process {os.getpid()} on {os.uname().nodename} works on track"]


def test_a_lease_ends_with_its_process(workspace: Workspace) -> None:
    """A holder that was killed holds nobody up, and its file goes."""
    child = run_holder(workspace)
    assert has_to_wait(workspace, "track", ["b"])
    child.kill()
    child.communicate()
    with lease(workspace, "track", ["b"]):
        assert len(list(workspace.leases.iterdir())) == 1
    assert list(workspace.leases.iterdir()) == []


def foreign(workspace: Workspace) -> Path:
    """A lease of another machine."""
    holder = Holder("o", "track", "0001-x", "elsewhere", "not-here", os.getpid(), ("a",))
    workspace.leases.mkdir(parents=True, exist_ok=True)
    path = workspace.leases / "0000000001.json"
    path.write_text(json.dumps(asdict(holder)))
    return path


@pytest.mark.parametrize("step_s", [-86400.0, 0.0, 86400.0])
def test_a_lease_of_another_machine_expires_by_our_own_clock(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    """It holds while its file is touched, and is over when not: whatever the two clocks say."""
    path = foreign(workspace)
    now = time.time() + step_s
    os.utime(path, (now, now))
    steady = [0.0]
    monkeypatch.setattr(leases.time, "monotonic", lambda: steady[0])
    watch = Watch()
    assert watch.live(workspace)
    for _ in range(3):
        steady[0] += leases.TTL_S * 0.9
        now += 1
        os.utime(path, (now, now))
        assert watch.live(workspace)
    steady[0] += leases.TTL_S * 1.1
    assert not watch.live(workspace)
    assert not path.exists()


def test_a_held_lease_is_touched(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder touches its file, so that it never looks over while the holder lives."""
    monkeypatch.setattr(leases, "TTL_S", 0.04)
    with lease(workspace, "track", ["a"]):
        (path,) = workspace.leases.iterdir()
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 2


def test_a_broken_lease_holds_nobody_up(workspace: Workspace) -> None:
    """What is no lease of ours is not waited for."""
    path = foreign(workspace)
    path.write_text("{")
    with lease(workspace, "track", ["a"]):
        pass


def test_a_crowd_never_does_one_video_twice_at_once(workspace: Workspace, tmp_path: Path) -> None:
    """Four processes that take pairs of six videos, as fast as they can, never share one."""
    log = tmp_path / "log"
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(workspace.root), str(n), str(log)])
        for n in range(4)
    ]
    assert [child.wait(60) for child in crowd] == [0] * 4
    inside: dict[str, str] = {}
    lines = log.read_text().split("\n")[:-1]
    assert len(lines) == 2 * 12 * 4
    for line in lines:
        who, videos = line[1:].split()
        if line[0] == "+":
            assert all(not set(videos) & set(other) for other in inside.values())
            inside[who] = videos
        else:
            del inside[who]
    assert list(workspace.leases.iterdir()) == []
