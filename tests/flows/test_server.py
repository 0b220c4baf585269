"""Tests of the workspace's Prefect server and of its history, on real servers and real flows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from earshot.errors import ServerError
from earshot.flows import server
from earshot.flows.api import post, server_answers
from earshot.flows.history import list_flow_runs, read_flow_runs, wait_until_recorded
from earshot.flows.server import SERVER_MODULE, workspace_server
from earshot.flows.server_files import ServerFiles, ServerRecord
from earshot.processes import Process, start_time, wait_until_gone
from tests.flows.calls import clean_environment

pytestmark = pytest.mark.flows

N_TASKS = 150
SLOW_MACHINE_S = 300.0

BUILD = """
import json, sys, time
from pathlib import Path
from uuid import UUID
from earshot.flows.history import wait_until_recorded
from earshot.flows.server import workspace_server
from earshot.flows.settings import apply, prefect_environment

workspace, n, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with workspace_server(workspace) as url:
    apply(prefect_environment(workspace, url))
    from prefect import flow, get_run_logger, runtime, task
    from prefect.cache_policies import NO_CACHE
    from prefect.task_runners import ThreadPoolTaskRunner

    @task(cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=0)
    def add_one(x):
        if what == "hang":
            print(json.dumps({"url": url}), flush=True)
            time.sleep(600)
        if x == 7 and runtime.task_run.run_count == 1:
            raise OSError("once")
        return x + 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
    def many():
        get_run_logger().info("a line of the flow")
        return sum(add_one.map(range(n)).result()), runtime.flow_run.id

    total, run = many()
    recorded = wait_until_recorded(url, [UUID(run)], n, timeout_s=300, stalled_s=200)
    print(json.dumps({"url": url, "run": run, "total": total, "recorded": recorded}))
"""

USE = """
import sys
from pathlib import Path
from earshot.flows.server import workspace_server
with workspace_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.readline()
"""

# A shell's background job ignores Ctrl-C, and so would what it starts.
HISTORY = """
import signal, sys
from pathlib import Path
from earshot.flows.history import open_history
signal.signal(signal.SIGINT, signal.default_int_handler)
open_history(Path(sys.argv[1]), lambda address: print(address, flush=True))
"""


@dataclass(frozen=True)
class Built:
    """A workspace after a build, and what the build said."""

    workspace: Path
    url: str
    run: UUID
    recorded: int
    stderr: str
    stale_server: subprocess.Popen[bytes]


def spawn(script: str, *args: object) -> subprocess.Popen[str]:
    """Start a script as a build of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)], text=True, env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def pretend_server(workspace: Path, *, recycled: bool) -> subprocess.Popen[bytes]:
    """Start a process that the pid file names as the server of a dead build; perhaps wrongly."""
    command = [sys.executable, "-c", "import time; time.sleep(600)", SERVER_MODULE]
    child = subprocess.Popen(command, start_new_session=True)
    started = "an earlier time" if recycled else start_time(child.pid) or ""
    files = ServerFiles.of(workspace)
    files.write_record(ServerRecord(child.pid, started, 1, 1, os.uname().nodename))
    (files.users / "99-dead.json").write_text(
        json.dumps({"pid": child.pid, "started": "never", "host": os.uname().nodename})
    )
    return child


@pytest.fixture(autouse=True)
def no_prefect_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test without the Prefect settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Run a build of 150 mapped tasks in a workspace where a killed build left a server."""
    workspace = tmp_path_factory.mktemp("a workspace")
    stale = pretend_server(workspace, recycled=False)
    out, err = spawn(BUILD, workspace, N_TASKS, "run").communicate(timeout=SLOW_MACHINE_S)
    try:
        said = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        pytest.fail(f"the build failed: {err}")
    yield Built(workspace, said["url"], UUID(said["run"]), said["recorded"], err, stale)
    stale.kill()
    stale.wait()


@pytest.fixture(scope="module")
def left_behind(built: Built) -> tuple[str, ...]:
    """Return what the build left in the server's folder, before any test starts a server again."""
    files = ServerFiles.of(built.workspace)
    left = [path.name for path in files.users.iterdir()]
    return (*left, *(["server.pid"] if files.pid_file.exists() else []))


@pytest.fixture(scope="module")
def url(built: Built, left_behind: tuple[str, ...]) -> Iterator[str]:
    """Yield the server of the built workspace, started again and left by another process."""
    starter = spawn(USE, built.workspace)
    assert starter.stdout is not None
    said = starter.stdout.readline().strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        with workspace_server(built.workspace) as api_url:
            _, err = starter.communicate("leave\n", timeout=60)
            assert api_url == said, err
            yield api_url
    assert not server_answers(said)


def test_importing_flows_imports_no_prefect() -> None:
    """Server, settings and history cost no import of Prefect."""
    script = (
        "import sys, earshot.flows, earshot.flows.server, earshot.flows.history\n"
        "import earshot.flows.settings\n"
        "sys.exit(any(name.split('.')[0] == 'prefect' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_build_leaves_no_process_and_no_pid_file(
    built: Built, left_behind: tuple[str, ...]
) -> None:
    """After the build its server is gone, with its pid file and the note of its user."""
    assert left_behind == ()
    assert not server_answers(built.url)


def test_a_build_says_nothing_of_prefect(built: Built) -> None:
    """No complaint of a lost server or unsent logs reaches the terminal; warnings may."""
    assert "Error logging to API" not in built.stderr
    assert "Traceback" not in built.stderr


def test_the_server_of_a_killed_build_is_ended_by_the_next(built: Built) -> None:
    """A server that the pid file names and nobody uses was ended before ours started."""
    assert built.stale_server.wait(10) == -signal.SIGTERM


def test_all_task_runs_survive_the_server(built: Built, url: str) -> None:
    """Every task run of the build is in the history of a server that was started later."""
    assert built.recorded == N_TASKS
    (run,) = read_flow_runs(url)
    assert (run.flow_run_id, run.flow, run.state) == (built.run, "many", "Completed")
    assert run.task_runs == N_TASKS
    assert run.start is not None
    assert run.duration_s > 0
    assert wait_until_recorded(url, [built.run], N_TASKS) == N_TASKS


def test_the_flows_log_survives_the_server(built: Built, url: str) -> None:
    """The last log lines of the build, which Prefect sends late, are in the history."""
    body = {"logs": {"flow_run_id": {"any_": [str(built.run)]}}, "sort": "TIMESTAMP_DESC"}
    messages = {line["message"] for line in json.loads(post(url, "/logs/filter", body))}
    assert {"Finished in state Completed()"} <= messages


def test_waiting_ends_with_the_numbers_when_records_are_missing(built: Built, url: str) -> None:
    """When the number stands still the wait ends and says how many of how many there are."""
    seen: list[tuple[int, int]] = []
    with pytest.raises(ServerError, match=r"150 of 151 task runs.*PREFECT_API_URL"):
        wait_until_recorded(
            url, [built.run], 151, stalled_s=1, progress=lambda *pair: seen.append(pair)
        )
    assert seen == [(150, 151)]


def test_waiting_for_nothing_needs_no_server() -> None:
    """A build without task runs has nothing to wait for."""
    assert wait_until_recorded("http://127.0.0.1:9/api", [], 0) == 0


def test_the_server_stays_when_its_starter_leaves_first(url: str) -> None:
    """The process that started the server has ended, and the server still serves the other one."""
    assert server_answers(url)


def test_a_second_build_shares_the_server_and_does_not_end_it(built: Built, url: str) -> None:
    """Two builds of one workspace use one server, which stays while one of them runs."""
    out, err = spawn(USE, built.workspace).communicate("leave\n", timeout=60)
    assert out.strip() == url, err
    assert server_answers(url)
    with workspace_server(built.workspace) as again:
        assert again == url
    assert server_answers(url)


def test_the_users_server_is_used(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PREFECT_API_URL nothing is started and nothing is written."""
    monkeypatch.setenv("PREFECT_API_URL", url + "/")
    with workspace_server(tmp_path) as used:
        assert used == url
    assert server_answers(url)
    assert not list(tmp_path.iterdir())


def test_a_users_server_that_is_down_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong PREFECT_API_URL is an error with the address and the remedy, not a silent start."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(server, "USER_SERVER_LIMIT_S", 0.2)
    with (
        pytest.raises(ServerError, match=r"127\.0\.0\.1:9/api gave no answer.*unset"),
        workspace_server(tmp_path),
    ):
        pytest.fail("the block must not run")


def test_open_history_serves_the_pages_until_ctrl_c(built: Built, url: str) -> None:
    """The address is announced, the pages are there, and Ctrl-C ends it without an error."""
    child = spawn(HISTORY, built.workspace)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == url.removesuffix("/api")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 0, err


def test_a_server_that_fails_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server process ends at its start, the error carries the end of its log."""
    monkeypatch.setattr(server, "SERVER_MODULE", "earshot.flows.no_such_module")
    with (
        pytest.raises(ServerError, match=r"(?s)ended with code 1.*No module named") as caught,
        workspace_server(tmp_path),
    ):
        pytest.fail("the block must not run")
    files = ServerFiles.of(tmp_path)
    assert str(files.log) in str(caught.value)
    assert not list(files.users.iterdir())
    assert not files.pid_file.exists()


def test_a_server_that_is_too_slow_is_ended(tmp_path: Path) -> None:
    """When the limit passes before the server answers, the error says so and nothing is left."""
    with (
        pytest.raises(ServerError, match=r"did not answer within 0\.5 s"),
        workspace_server(tmp_path, timeout_s=0.5),
    ):
        pytest.fail("the block must not run")
    assert not ServerFiles.of(tmp_path).pid_file.exists()


def test_another_machines_server_is_not_doubled(tmp_path: Path) -> None:
    """A fresh pid file of another host is refused: one SQLite file can't have two servers."""
    files = ServerFiles.of(tmp_path)
    files.write_record(ServerRecord(1, "x", 1, 1, "another-host"))
    with (
        pytest.raises(ServerError, match=r"another-host.*PREFECT_API_URL"),
        workspace_server(tmp_path),
    ):
        pytest.fail("the block must not run")


def test_killed_build(tmp_path: Path) -> None:
    """A SIGKILLed build leaves no server, a recycled number is spared, its run counts as crashed.

    One test, since each step needs the one before and a server takes its time to start.
    """
    bystander = pretend_server(tmp_path, recycled=True)
    build = spawn(BUILD, tmp_path, 1, "hang")
    try:
        assert build.stdout is not None
        said = build.stdout.readline()
        assert said, build.communicate()[1]
        record = ServerFiles.of(tmp_path).read_record()
        assert record is not None
        assert record.parent_pid == build.pid
        assert bystander.poll() is None
        build.kill()
        build.communicate()
        assert wait_until_gone(Process(record.pid, record.started), 60)
        assert not server_answers(record.api_url)
        assert not ServerFiles.of(tmp_path).pid_file.exists()
        (run,) = list_flow_runs(tmp_path)
        assert run.state == "Crashed"
        assert bystander.poll() is None
    finally:
        build.kill()
        build.communicate()
        bystander.kill()
        bystander.wait()
