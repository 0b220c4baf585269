"""What a workspace keeps about its server: pid file, lock, log, and who uses it.

Takes a workspace's folder, gives records; starts and ends nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from earshot.flows.settings import LOOPBACK, prefect_folder
from earshot.processes import Process


@dataclass(frozen=True)
class ServerRecord:
    """What the pid file says of the running server; `parent_pid` is the build that started it."""

    pid: int
    started: str
    port: int
    parent_pid: int
    host: str

    @property
    def process(self) -> Process:
        """The server's process."""
        return Process(self.pid, self.started)

    @property
    def api_url(self) -> str:
        """The address of the server's API."""
        return f"http://{LOOPBACK}:{self.port}/api"


@dataclass(frozen=True)
class ServerFiles:
    """Where a workspace's server keeps its pid file, its lock, its log and who uses it."""

    folder: Path

    @classmethod
    def of(cls, workspace: Path) -> ServerFiles:
        """Return the files of a workspace; makes their folders."""
        files = cls(prefect_folder(workspace))
        files.users.mkdir(parents=True, exist_ok=True)
        return files

    @property
    def pid_file(self) -> Path:
        """JSON of a `ServerRecord`; its modification time is the server's heartbeat."""
        return self.folder / "server.pid"

    @property
    def users(self) -> Path:
        """One JSON file for each process that uses the server."""
        return self.folder / "server.users"

    @property
    def log(self) -> Path:
        """What the server wrote since its start."""
        return self.folder / "server.log"

    @contextmanager
    def lock(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock under which a server is started, joined or given up.

        Yields whether it is held: with `wait=False` it may not be. Ends with its process.
        """
        with (self.folder / "server.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def read_record(self) -> ServerRecord | None:
        """Return the pid file's record, None if there is none or it is not one of ours."""
        try:
            return ServerRecord(**json.loads(self.pid_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_record(self, record: ServerRecord) -> None:
        """Write the pid file whole."""
        _write_json(self.pid_file, asdict(record))

    def add_user(self) -> Path:
        """Note that this process uses the server; returns the note, which the caller removes."""
        note = self.users / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        _write_json(note, {**asdict(Process.current()), "host": os.uname().nodename})
        return note

    def has_users(self) -> bool:
        """Return whether a live process of this host uses the server; drops notes of the dead."""
        alive = False
        for note in sorted(self.users.glob("*.json")):
            try:
                user = json.loads(note.read_text())
                running = (
                    user["host"] == os.uname().nodename
                    and Process(user["pid"], user["started"]).is_running()
                )
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):
                running = False
            if not running:
                note.unlink(missing_ok=True)
            alive |= running
        return alive

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the server's log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) or "(empty)"


def _write_json(path: Path, value: dict[str, str | int]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value))
    part.replace(path)
