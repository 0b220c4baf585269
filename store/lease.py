"""Leases: who works on which videos of a stage, with an expiry: none outlives its holder.

A lease is a numbered file that names its videos; of two that share a video, the higher number waits
for the lower. Two builds over different manifests so never do one video twice, and share no more
than they have to. Leases save double work, never correctness: parts are uniquely named and readers
take the latest. A lease whose process is gone (same machine), or whose file was not touched for
`TTL_S` seconds of the waiting process's own clock, is taken over.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from earshot.store.workspace import (
    Workspace,
    disk_fault,
    is_alive,
    place,
    temporary_name,
    write_atomic,
)

TTL_S = 60.0
_POLL_S = 0.1
_SUFFIX = ".json"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, and of what.

    Attributes:
        owner: a random name of this one lease.
        stage: stage name, or what else is done to the videos.
        build_id: the build that works.
        host, place, pid: the process; `place` tells where the number means anything.
        videos: empty: all of them.
    """

    owner: str
    stage: str
    build_id: str
    host: str
    place: str
    pid: int
    videos: tuple[str, ...]

    def shares(self, stage: str, videos: frozenset[str]) -> bool:
        """Whether it has one of some videos of a stage (none: all of them)."""
        if stage != self.stage:
            return False
        return not videos or not self.videos or not videos.isdisjoint(self.videos)


class Watch:
    """Tells which leases are over; remembers since when each file has not been touched."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float]] = {}

    def live(self, workspace: Workspace) -> dict[Path, Holder]:
        """Return the leases that hold; removes those that are over."""
        found: dict[Path, Holder] = {}
        for path in _files(workspace):
            holder = _read(path)
            if holder is None:  # given up this very moment, or no lease: then it holds nobody up
                continue
            if self._is_over(path, holder):
                with suppress(OSError):
                    path.unlink()
            else:
                found[path] = holder
        return found

    def _is_over(self, path: Path, holder: Holder) -> bool:
        if holder.place == place() and not is_alive(holder.pid):
            return True
        try:
            touched = path.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        # By our own steady clock: two machines, and one before and after a step, differ.
        known, since = self._seen.get(path, (None, 0.0))
        if known != touched:
            self._seen[path] = (touched, time.monotonic())
            return False
        return time.monotonic() - since > TTL_S


def working(workspace: Workspace) -> frozenset[str]:
    """Return the videos on which other processes work."""
    here = (place(), os.getpid())
    held = Watch().live(workspace).values()
    return frozenset(v for one in held if (one.place, one.pid) != here for v in one.videos)


@contextmanager
def lease(
    workspace: Workspace,
    stage: str,
    videos: Sequence[str],
    build_id: str = "",
    waiting: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lease of some videos of a stage, waiting as long as a live process has one of them.

    Args:
        workspace: where.
        stage: stage name, or what else is done to the videos.
        videos: their ids; empty: all of them.
        build_id: whose work it is; compaction keeps the rows of builds that hold leases.
        waiting: told once who holds them, if somebody does.

    Raises:
        WorkspaceError: when the folder can't be written.
    """
    owner = secrets.token_hex(8)
    mine = Holder(owner, stage, build_id, socket.gethostname(), place(), os.getpid(), tuple(videos))
    path = _acquire(workspace, mine, waiting)
    stop = threading.Event()
    keeper = threading.Thread(target=_renew, args=(path, stop), daemon=True, name="lease")
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        _give_up(path, mine)


def _acquire(workspace: Workspace, mine: Holder, waiting: Callable[[str], None] | None) -> Path:
    watch, videos, told = Watch(), frozenset(mine.videos), False
    path = _enter(workspace, mine)
    while True:
        live = watch.live(workspace)
        if path not in live:  # we slept so long that somebody took us for dead
            path = _enter(workspace, mine)
            continue
        before = [
            holder
            for other, holder in sorted(live.items())
            if other < path and holder.shares(mine.stage, videos)
        ]
        if not before:
            return path
        if waiting and not told:
            waiting(f"process {before[0].pid} on {before[0].host} works on {before[0].stage}")
            told = True
        _touch(path)
        time.sleep(_POLL_S)


def _enter(workspace: Workspace, mine: Holder) -> Path:
    """Put a lease with the highest number among the others; it may have to wait for them."""
    while True:
        last = max((int(path.stem) for path in _files(workspace)), default=0)
        path = workspace.leases / f"{last + 1:010d}{_SUFFIX}"
        if not _create(path, mine):
            continue
        # Whoever has a higher number may have looked before this file was there: so it must not
        # stay below theirs. Looked after, they wait for it, and nothing has to be done.
        if max(_files(workspace), default=path) <= path:
            return path
        _give_up(path, mine)
        time.sleep(random.uniform(0, _POLL_S))


def _create(path: Path, mine: Holder) -> bool:
    whole = path.with_name(temporary_name(mine.owner))
    write_atomic(whole, json.dumps(asdict(mine)).encode())
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_fault(path, error) from error
    finally:
        with suppress(OSError):
            whole.unlink()
    return True


def _give_up(path: Path, mine: Holder) -> None:
    # A disk that fails has said so already; a lease that stays ends with its process.
    holder = _read(path)
    if holder is not None and holder.owner == mine.owner:
        with suppress(OSError):
            path.unlink()


def _files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.leases.glob(f"[0-9]*{_SUFFIX}"))


def _read(path: Path) -> Holder | None:
    try:
        content = json.loads(path.read_text())
        return Holder(**{**content, "videos": tuple(content["videos"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _touch(path: Path) -> None:
    # Touched and not written anew: that needs no room on a full disk.
    with suppress(OSError):
        os.utime(path)


def _renew(path: Path, stop: threading.Event) -> None:
    while not stop.wait(TTL_S / 4):
        _touch(path)
