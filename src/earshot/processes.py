"""Tells whether a process is still the one that was meant, and ends it.

Knows a process by its start time beside its number, so it never signals a recycled number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process and when it started; `started` is opaque and differs after a reboot."""

    pid: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        pid = os.getpid()
        return cls(pid, start_time(pid) or "")

    def is_running(self) -> bool:
        """Return whether this very process still runs; one that only waits to be reaped doesn't."""
        return bool(self.started) and start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """Return what tells process `pid` from an earlier one of that number, None if none runs."""
    if not Path("/proc/self/stat").exists():
        return _start_time_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name may hold spaces and brackets: fields are counted behind the last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def command_line(pid: int) -> str:
    """Return the command line of process `pid`, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return _ps(pid, "command=")


def end_process(process: Process, marker: str, grace_s: float = 20.0) -> bool:
    """End a process and its group: SIGTERM, and SIGKILL to what is left after `grace_s` seconds.

    Returns False and signals nothing if the process is gone, or if the number now belongs to
    another one: the start time differs, or the command line lacks `marker`. Raises TimeoutError if
    it outlives SIGKILL.
    """
    if not process.is_running() or marker not in command_line(process.pid):
        return False
    _signal(process.pid, signal.SIGTERM)
    if not wait_until_gone(process, grace_s):
        _signal_group(process.pid, signal.SIGKILL)
        if not wait_until_gone(process, grace_s):
            raise TimeoutError(
                f"process {process.pid} ({command_line(process.pid)}) is still there "
                f"{grace_s:g} s after SIGKILL: end it by hand, then run the command again"
            )
    _signal_group(process.pid, signal.SIGKILL)
    return True


def wait_until_gone(process: Process, timeout_s: float) -> bool:
    """Return whether the process ended within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while process.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _signal_group(pid: int, number: signal.Signals) -> None:
    # Only a leader's group is named by its number; ours are started as leaders.
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _start_time_by_ps(pid: int) -> str | None:
    state = _ps(pid, "state=")
    return None if not state or state.startswith("Z") else _ps(pid, "lstart=") or None


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-ww", "-o", column, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
