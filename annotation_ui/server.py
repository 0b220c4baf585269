"""Starts, finds and ends a workspace's own Label Studio server, on loopback alone.

Takes a workspace's folder; all that the server keeps lies below it, readable by its owner alone,
but for the media that it shows. The process is known by its number and start time, and is ended by
them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.environment import Say, label_studio_command
from earshot.errors import ServerError
from earshot.processes import Process, end_process, start_time

HOST = "127.0.0.1"
PORT = 8085
START_LIMIT_S = 900.0
EMAIL = "earshot@localhost.local"
_MARKER = "label-studio"
_POLL_S = 0.25
_CLOSING_S = 10.0


@dataclass(frozen=True)
class Login:
    """Where the server is, and who may enter: the first account, and the pipeline's token."""

    url: str
    email: str
    password: str
    token: str


@dataclass(frozen=True)
class _Record:
    pid: int
    started: str
    port: int

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True)
class ServerFolder:
    """What a workspace keeps of its server."""

    folder: Path

    @property
    def data(self) -> Path:
        """The server's database and its own secret."""
        return self.folder / "data"

    @property
    def media(self) -> Path:
        """The only folder that the server shows: hard copies of clips and nothing else."""
        return self.folder / "media"

    @property
    def log(self) -> Path:
        """What the server wrote since its start."""
        return self.folder / "server.log"

    def read(self, name: str) -> dict[str, str | int]:
        """Return a JSON file of the folder, empty if there is none."""
        try:
            found: dict[str, str | int] = json.loads((self.folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def write(self, name: str, value: dict[str, str | int]) -> None:
        """Write a JSON file whole, readable by its owner alone."""
        part = self.folder / f".{name}.{os.getpid()}"
        with _private(part) as file:
            file.write(json.dumps(value))
        part.replace(self.folder / name)

    def record(self) -> _Record | None:
        """Return the record of the last started server."""
        try:
            return _Record(**self.read("server.json"))  # type: ignore[arg-type]
        except TypeError:
            return None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock under which the server is started and ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def serve(folder: ServerFolder, say: Say, port: int | None = None) -> tuple[Login, bool]:
    """Return the login of the workspace's server, and whether it already ran.

    Args:
        folder: of the server.
        say: told what takes long.
        port: wanted; default: the one it had last, else 8085 or the next free one.

    Raises:
        ServerError: if it can't be installed or doesn't come up.
    """
    with folder.lock():
        running = find(folder)
        if running is not None:
            return running, True
        command = label_studio_command(say)
        wanted = port or int(folder.read("server.json").get("port", PORT))
        # From the look for a free port until it listens: two that start at once would find one.
        with _one_at_a_time():
            return _start(folder, command, _free_port(wanted, exact=port is not None), say), False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold what all servers that this user starts have to wait for."""
    place = user_cache_path("earshot")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "label-studio-start.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find(folder: ServerFolder) -> Login | None:
    """Return the login of the running server, None if none runs."""
    record, known = folder.record(), folder.read("secrets.json")
    if record is None or not record.process.is_running() or "token" not in known:
        return None
    return _login(record, known)


def stop(folder: ServerFolder) -> bool:
    """End the running server; returns whether there was one."""
    with folder.lock():
        record = folder.record()
        if record is None or not end_process(record.process, _MARKER):
            return False
        # The system closes its socket a moment later: the next start would move to another port.
        deadline = time.monotonic() + _CLOSING_S
        while not _is_free(record.port) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return True


def _login(record: _Record, known: dict[str, str | int]) -> Login:
    return Login(record.url, EMAIL, str(known["password"]), str(known["token"]))


def _free_port(wanted: int, *, exact: bool) -> int:
    """Return a port that nobody listens on: the server itself would silently take the next one."""
    for port in range(wanted, wanted + (1 if exact else 50)):
        if _is_free(port):
            return port
    raise ServerError(f"port {wanted} is taken: name another with --port, or none")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _start(folder: ServerFolder, command: Path, port: int, say: Say) -> Login:
    known = folder.read("secrets.json")
    if "password" not in known:
        known = {"password": secrets.token_urlsafe(12), "bootstrap": secrets.token_hex(20)}
        folder.write("secrets.json", known)
    for each in (folder.data, folder.media):
        each.mkdir(exist_ok=True)
    say("starting Label Studio: half a minute the first time")
    with _private(folder.log) as log:
        child = subprocess.Popen(
            [command, "start", "--no-browser", "--internal-host", HOST],
            env=_environment(folder, known, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.data,
            start_new_session=True,
        )
    record = _Record(child.pid, start_time(child.pid) or "", port)
    folder.write("server.json", {**asdict(record)})
    _CHILDREN.append(child)
    try:
        _wait(folder, record, child)
        if "token" not in known:
            known = {"password": known["password"], "token": _own_token(record, known)}
            folder.write("secrets.json", known)
    except BaseException:
        end_process(record.process, _MARKER)
        raise
    return _login(record, known)


# Kept so that nobody complains of a child that is still running: it outlives us on purpose.
_CHILDREN: list[subprocess.Popen[bytes]] = []


def _environment(folder: ServerFolder, known: dict[str, str | int], port: int) -> dict[str, str]:
    """Return all that the server is told: a bare HOST or DEBUG of ours would change it."""
    told = {
        "BASE_DATA_DIR": str(folder.data),
        "HOST": f"http://{HOST}:{port}",
        "PORT": str(port),
        "USERNAME": EMAIL,
        "PASSWORD": str(known["password"]),
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(folder.media),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "ENABLE_LEGACY_API_TOKEN": "true",
    }
    if "bootstrap" in known:
        told["USER_TOKEN"] = str(known["bootstrap"])
    # Left out, Sentry has an address of its own.
    quiet = {"SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "DO_NOT_TRACK": "1"}
    plain = {"PATH": os.defpath, "HOME": str(folder.data), "LANG": "C.UTF-8"}
    return plain | quiet | {f"LABEL_STUDIO_{name}": value for name, value in told.items()}


def _wait(folder: ServerFolder, record: _Record, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not LabelStudio.answers(record.url):
        code = child.poll()
        if code is not None or time.monotonic() > deadline:
            how = f"ended with code {code}" if code is not None else "gave no answer in time"
            raise ServerError(
                f"Label Studio {how}; expected it at {record.url}. Its log {folder.log} ends "
                f"with:\n{_tail(folder.log)}"
            )
        time.sleep(_POLL_S)


def _own_token(record: _Record, known: dict[str, str | int]) -> str:
    """Return a personal token of the first account; the short-lived kind is switched off."""
    client = LabelStudio(record.url, str(known["bootstrap"]))
    made = client.post("/api/token/", {})
    token = str(made["token"])
    # Anybody's token of the old kind never ends, and any member may read it.
    client.post(
        "/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    )
    return token


def _tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) or "(empty)"


def _private(path: Path) -> IO[str]:
    """Open a file for writing that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
