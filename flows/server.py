"""Takes a workspace, gives the address of a Prefect server whose database lies in it.

Starts one on loopback unless `PREFECT_API_URL` names one or another build of the same workspace
already runs one; never imports Prefect (that is the server process's: `earshot.flows.serve`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from earshot.errors import ServerError
from earshot.flows.api import close_dead_runs, flush_client, server_answers
from earshot.flows.server_files import ServerFiles, ServerRecord
from earshot.flows.settings import STARTUP_LIMIT_S, user_api_url
from earshot.processes import Process, end_process, start_time

SERVER_MODULE = "earshot.flows.serve"
HEARTBEAT_STALE_S = 120.0
USER_SERVER_LIMIT_S = 30.0
_POLL_S = 0.1


@contextmanager
def workspace_server(workspace: Path, timeout_s: float = STARTUP_LIMIT_S) -> Iterator[str]:
    """Yield the API address of a Prefect server for this workspace while the block runs.

    `PREFECT_API_URL` wins and starts nothing. Otherwise a server that another living build of the
    workspace runs is shared, one whose builds are all dead is ended, and a new one is started: in
    its own session, so that Ctrl-C reaches only the build. Whoever leaves last ends it; if nobody
    can, because all were killed, it ends itself within seconds.

    Raises ServerError if no server answers within `timeout_s` seconds.
    """
    url = user_api_url()
    if url is not None:
        _check_user_server(url)
        yield url
        return
    files = ServerFiles.of(workspace)
    with files.lock():
        note = files.add_user()
        try:
            record = _join_or_start(files, workspace, note, timeout_s)
        except BaseException:
            note.unlink(missing_ok=True)
            raise
    try:
        yield record.api_url
    finally:
        flush_client()
        with files.lock():
            note.unlink(missing_ok=True)
            if not files.has_users():
                # Not always ours: if ours died, another build has started the next one.
                _end(files, files.read_record() or record)


def _join_or_start(
    files: ServerFiles, workspace: Path, note: Path, timeout_s: float
) -> ServerRecord:
    """Return the running server that others use, else a new one; called under the lock."""
    record = files.read_record()
    _refuse_other_host(files, record)
    if record is not None and record.process.is_running() and _others_use(files, note):
        if not _wait(lambda: server_answers(record.api_url), record.process.is_running, timeout_s):
            raise ServerError(_no_answer(files, record.api_url, timeout_s))
        return record
    if record is not None:
        _end(files, record)
    return _start(files, workspace, timeout_s)


def _others_use(files: ServerFiles, note: Path) -> bool:
    files.has_users()
    return any(other != note for other in files.users.glob("*.json"))


def _start(files: ServerFiles, workspace: Path, timeout_s: float) -> ServerRecord:
    """Start a server process and return its record once it answers."""
    files.pid_file.unlink(missing_ok=True)
    if files.log.exists():
        files.log.replace(files.log.with_suffix(".previous.log"))
    command = [sys.executable, "-m", SERVER_MODULE, str(workspace.absolute()), str(os.getpid())]
    # Prefect reads .env, prefect.toml and pyproject.toml of its folder: there are none in this one.
    with files.log.open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=files.folder, start_new_session=True,
        )  # fmt: skip
    _CHILDREN[child.pid] = child
    process = Process(child.pid, start_time(child.pid) or "")
    try:
        return _wait_for_start(files, child, timeout_s)
    except BaseException:
        end_process(process, SERVER_MODULE)
        child.kill()
        _CHILDREN.pop(child.pid).wait()
        files.pid_file.unlink(missing_ok=True)
        raise


def _wait_for_start(
    files: ServerFiles, child: subprocess.Popen[bytes], timeout_s: float
) -> ServerRecord:
    """Return the record that the child writes, once it answers and has closed dead runs."""
    up = _wait(lambda: _is_up(files, child.pid), lambda: child.poll() is None, timeout_s)
    record = files.read_record()
    if not up or record is None:
        raise ServerError(_no_start(files, child.poll(), timeout_s))
    close_dead_runs(record.api_url)
    return record


def _is_up(files: ServerFiles, pid: int) -> bool:
    record = files.read_record()
    return record is not None and record.pid == pid and server_answers(record.api_url)


# Kept so that nobody complains of a child that is still running when others use it further.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def _end(files: ServerFiles, record: ServerRecord) -> None:
    """End the server of `record` if it is still that process, and remove its pid file."""
    end_process(record.process, SERVER_MODULE)
    child = _CHILDREN.pop(record.pid, None)
    if child is not None:
        child.wait()
    files.pid_file.unlink(missing_ok=True)


def _wait(ready: Callable[[], bool], alive: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while alive() and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(_POLL_S)
    return False


def _check_user_server(url: str) -> None:
    if not _wait(lambda: server_answers(url), lambda: True, USER_SERVER_LIMIT_S):
        raise ServerError(
            f"PREFECT_API_URL={url} gave no answer at {url}/health for {USER_SERVER_LIMIT_S:g} s; "
            "expected a running Prefect server of this version. Start it, mend the address "
            "(it ends in /api), or unset PREFECT_API_URL to let earshot start its own"
        )


def _refuse_other_host(files: ServerFiles, record: ServerRecord | None) -> None:
    """Raise ServerError if a server on another machine lately used this workspace's database."""
    if record is None or record.host == os.uname().nodename:
        return
    try:
        silent_s = time.time() - files.pid_file.stat().st_mtime
    except FileNotFoundError:
        return
    if silent_s < HEARTBEAT_STALE_S:
        raise ServerError(
            f"a Prefect server on host {record.host} uses the history in {files.folder} "
            f"({silent_s:.0f} s ago), and one SQLite file can't have two. Wait until that build "
            "has ended, or name one server for both machines in PREFECT_API_URL"
        )


def _no_start(files: ServerFiles, code: int | None, timeout_s: float) -> str:
    what = f"did not answer within {timeout_s:g} s" if code is None else f"ended with code {code}"
    return (
        f"the Prefect server of {files.folder} {what}; expected it on loopback. Look at its log "
        f"{files.log}, or run without a server: --no-prefect. The log ends with:\n"
        f"{files.log_tail()}"
    )


def _no_answer(files: ServerFiles, url: str, timeout_s: float) -> str:
    return (
        f"the Prefect server at {url}, which another build of this workspace started, gave no "
        f"answer within {timeout_s:g} s. Wait for that build or end it, then run the command "
        f"again. The log {files.log} ends with:\n{files.log_tail()}"
    )
