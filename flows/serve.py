"""The server process: `python -m earshot.flows.serve WORKSPACE PARENT_PID`.

Serves Prefect on a free loopback port for as long as a process that uses it lives, and writes
where it listens to the workspace's pid file; never outlives its last user by more than seconds.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.flows.server_files import ServerFiles, ServerRecord
from earshot.flows.settings import LOOPBACK, apply, server_environment
from earshot.processes import Process

if TYPE_CHECKING:
    import uvicorn

_CHECK_S = 1.0
_GRACE_S = 10


class Watch:
    """Ends this process when nobody uses the server any more.

    A thread inside the server, not PR_SET_PDEATHSIG: that signal follows the *thread* that started
    the child, knows one parent only, and exists on Linux alone.
    """

    def __init__(self, files: ServerFiles) -> None:
        self.files = files
        self.server: uvicorn.Server | None = None

    def run(self) -> None:
        """Beat the heart of the pid file each second; leave once no user is alive."""
        while self._is_used():
            time.sleep(_CHECK_S)
        if self.server is not None:
            self.server.should_exit = True
            time.sleep(_GRACE_S)
        self.files.pid_file.unlink(missing_ok=True)
        os._exit(0)

    def _is_used(self) -> bool:
        with self.files.lock(wait=False) as held:
            if not held:  # somebody starts, joins or leaves: whoever it is sees to the server
                return True
            if self.files.pid_file.exists():
                os.utime(self.files.pid_file)
            return self.files.has_users()


def listen() -> socket.socket:
    """Return a socket bound to a free loopback port: held from here on, nobody can take it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, 0))
    return listener


def main(workspace: Path, parent_pid: int) -> None:
    """Serve until SIGTERM, or until the last user is gone."""
    files = ServerFiles.of(workspace)
    listener = listen()
    port = int(listener.getsockname()[1])
    me = Process.current()
    files.write_record(ServerRecord(me.pid, me.started, port, parent_pid, os.uname().nodename))
    watch = Watch(files)
    threading.Thread(target=watch.run, daemon=True, name="watch").start()
    apply(server_environment(workspace, port))
    watch.server = make_server()
    watch.server.run(sockets=[listener])
    files.pid_file.unlink(missing_ok=True)


def make_server() -> uvicorn.Server:
    """Return Prefect's application in uvicorn; imports Prefect, so the settings have to stand."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    settings = get_current_settings().server
    config = uvicorn.Config(
        create_app(final=True),
        log_level=settings.logging_level.lower(),
        timeout_keep_alive=settings.api.keepalive_timeout,
        # A client's open websocket would hold the server up for ever.
        timeout_graceful_shutdown=_GRACE_S // 2,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
