"""Tests of knowing and ending processes, on real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from earshot import processes
from earshot.processes import Process, end_process, start_time

MARKER = "a-marker-of-this-test"
Spawn = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python on a script that prints a line when it is ready; end all of them afterwards."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-u", "-c", script, MARKER],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline()
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


SLEEP = "import time; print('ready'); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP


def known(child: subprocess.Popen[str]) -> Process:
    """Return the child as a Process."""
    return Process(child.pid, start_time(child.pid) or "")


def test_this_process_runs_and_an_ended_one_does_not(spawn: Spawn) -> None:
    """A process runs until it ends; one that only waits to be reaped counts as ended."""
    assert Process.current().is_running()
    child = spawn(SLEEP)
    process = known(child)
    assert process.is_running()
    child.kill()
    assert processes.wait_until_gone(process, 10)  # nobody has reaped it yet


def test_a_recycled_number_is_not_the_process(spawn: Spawn) -> None:
    """The same number with another start time is another process, and gets no signal."""
    child = spawn(SLEEP)
    assert not end_process(Process(child.pid, known(child).started + "0"), MARKER)
    assert child.poll() is None


def test_another_command_gets_no_signal(spawn: Spawn) -> None:
    """A process whose command line lacks the marker is left alone."""
    child = spawn(SLEEP)
    assert not end_process(known(child), "something else")
    assert child.poll() is None


def test_unknown_start_time_never_counts_as_running() -> None:
    """An empty start time, from a pid file that was cut short, matches nothing."""
    assert not Process(os.getpid(), "").is_running()


def test_end_by_sigterm(spawn: Spawn) -> None:
    """A process that heeds SIGTERM ends by it."""
    child = spawn(SLEEP)
    assert end_process(known(child), MARKER)
    assert child.wait(10) == -signal.SIGTERM


def test_a_stubborn_process_is_killed(spawn: Spawn) -> None:
    """A process that ignores SIGTERM is killed after the grace."""
    child = spawn(STUBBORN)
    assert end_process(known(child), MARKER, grace_s=0.3)
    assert child.wait(10) == -signal.SIGKILL


def test_children_of_the_process_end_too(spawn: Spawn) -> None:
    """What the process started in its group is ended with it."""
    script = (
        "import subprocess, sys, time\n"
        f"c = subprocess.Popen([sys.executable, '-c', {SLEEP.replace('print', 'len')!r}])\n"
        "print(c.pid); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", script, MARKER],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    grandchild_pid = int(child.stdout.readline())
    grandchild = Process(grandchild_pid, start_time(grandchild_pid) or "")
    assert grandchild.is_running()
    assert end_process(known(child), MARKER)
    child.communicate()
    assert processes.wait_until_gone(grandchild, 10)


def test_ps_tells_the_same_as_proc(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc, ps knows whether a process runs and since when."""
    child = spawn(SLEEP)
    by_ps = processes._start_time_by_ps(child.pid)
    assert by_ps
    assert by_ps == processes._start_time_by_ps(child.pid)
    assert MARKER in processes._ps(child.pid, "command=")
    child.kill()
    child.wait()
    assert processes._start_time_by_ps(child.pid) is None
