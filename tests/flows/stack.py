"""The services of compose.yaml without containers: the system's PostgreSQL and Redis, on loopback.

Settings and commands are read out of compose.yaml itself, so that it is they that are proven; only
hosts and ports are put in their place.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from earshot.flows.api import server_answers
from tests.flows.calls import clean_environment

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PASSWORD = "not-a-secret"
SLOW_MACHINE_S = 600.0
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Stack:
    """A running stack: where its API is, and what its processes have in their environment."""

    api_url: str
    env: dict[str, str]
    folder: Path
    database_url: str

    def run(self, *command: str, ok: bool = True) -> str:
        """Run a command of the environment as a user of this server would, in the repository."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SLOW_MACHINE_S, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def worker(self, options: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """A worker as compose.yaml starts it, or with other options, in a session of its own."""
        command = shlex.split(COMPOSE["services"]["worker"]["command"])
        if options:
            command = ["prefect", "worker", "start", *shlex.split(options)]
        with process(command, self.env, self.folder / "worker.log") as started:
            yield started

    def sql(self, statement: str) -> str:
        """Run SQL in the server's database."""
        done = subprocess.run(
            ["psql", "-qtA", "-v", "ON_ERROR_STOP=1", self.database_url, "-c", statement],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@contextmanager
def start_stack(folder: Path, **more: str) -> Iterator[Stack]:
    """Start everything that compose.yaml starts, but the worker; `more` are settings of a test.

    Skips the test where PostgreSQL or Redis is not installed.
    """
    with ExitStack() as exits:
        database = exits.enter_context(postgres(folder))
        redis = exits.enter_context(redis_server(folder))
        home = {"PREFECT_HOME": str(folder / "home"), "PATH": f"{BIN}:{os.environ['PATH']}"}
        env = clean_environment() | home | settings(database, redis) | more
        assert COMPOSE["services"]["server"]["environment"] == COMPOSE["x-server"]
        for name in ("migrate", "services"):
            assert COMPOSE["services"][name]["environment"] == COMPOSE["x-server"]
        migrate = shlex.split(COMPOSE["services"]["migrate"]["command"])
        subprocess.run(migrate, env=env, check=True, capture_output=True, timeout=SLOW_MACHINE_S)
        port = free_port()
        url = f"http://127.0.0.1:{port}/api"
        env["PREFECT_API_URL"] = url
        server = COMPOSE["services"]["server"]["command"].replace("0.0.0.0", "127.0.0.1")
        command = [*shlex.split(server), "--port", str(port)]
        exits.enter_context(process(command, env, folder / "server.log"))
        command = shlex.split(COMPOSE["services"]["services"]["command"])
        exits.enter_context(process(command, env, folder / "services.log"))
        wait_for(lambda: server_answers(url), "the server")
        yield Stack(url, env, folder, database)


def settings(database: str, redis: int) -> dict[str, str]:
    """What compose.yaml sets for the server, with hosts and ports of this machine."""
    env = dict(COMPOSE["x-server"])
    written = env["PREFECT_API_DATABASE_CONNECTION_URL"]
    assert written.startswith("postgresql+asyncpg://prefect:${POSTGRES_PASSWORD")
    env["PREFECT_API_DATABASE_CONNECTION_URL"] = database.replace("://", "+asyncpg://", 1)
    assert env["PREFECT_REDIS_MESSAGING_HOST"] in COMPOSE["services"]
    env |= {"PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1", "PREFECT_REDIS_MESSAGING_PORT": str(redis)}
    return env


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own; gives its URL. Its user is never root: that it refuses."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = found[-1] if found else Path(shutil.which("postgres") or "missing")
    if not program.exists():
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None
    data, password, port = folder / "postgres", folder / "password", free_port()
    data.mkdir()
    password.write_text(PASSWORD)
    if user:
        shutil.chown(data, user)
        shutil.chown(password, user)
    subprocess.run(
        [str(program.with_name("initdb")), "-D", str(data), "-U", "prefect", "-A", "scram-sha-256",
         "--pwfile", str(password)],
        user=user, check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    command = [str(program), "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
    url = f"postgresql://prefect:{PASSWORD}@127.0.0.1:{port}"
    with process([*command, "-k", str(data)], dict(os.environ), folder / "postgres.log", user):
        ready = [str(program.with_name("pg_isready")), "-h", "127.0.0.1", "-p", str(port)]
        wait_for(lambda: subprocess.run(ready, capture_output=True).returncode == 0, "PostgreSQL")
        create = ["psql", "-q", f"{url}/postgres", "-c", "CREATE DATABASE prefect"]
        subprocess.run(create, check=True, capture_output=True)
        yield f"{url}/prefect"


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis of its own; gives its port."""
    if not shutil.which("redis-server"):
        pytest.skip("no Redis here: apt-get install redis-server")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    with process([*command, str(folder)], dict(os.environ), folder / "redis.log"):
        ping = ["redis-cli", "-p", str(port), "ping"]
        wait_for(lambda: b"PONG" in subprocess.run(ping, capture_output=True).stdout, "Redis")
        yield port


@contextmanager
def process(
    command: list[str], env: dict[str, str], log: Path, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, ended with all that it started there."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, env=env, user=user, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    try:
        yield child
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            if child.poll() is None:
                os.killpg(child.pid, number)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    continue


def wait_for(ready, what: str, limit_s: float = SLOW_MACHINE_S, every_s: float = 0.5):  # type: ignore[no-untyped-def]
    """Return the first true answer of `ready`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(every_s)
    pytest.fail(f"{what}: not within {limit_s:g} s")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
