"""Collects when a webhook says that something was decided, and now and then in any case.

Takes a workspace and a port. What a webhook says is never read: it only wakes, so nothing is lost
with one that does not come, and one from a stranger costs a poll.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from earshot.errors import EarshotError, ServerError
from earshot.flows.people import collect_plainly
from earshot.store.workspace import Workspace

GAP_S = 5.0
"""Between two polls, however many webhooks come."""

_MOST_BYTES = 16 * 2**20
_PATIENCE_S = 10.0
"""For whoever connects and then says nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: who hangs up in the middle is no fault of ours."""


@contextmanager
def waker(host: str, port: int) -> Iterator[tuple[threading.Event, int]]:
    """Give an event that is set by every POST to an address, and the port.

    Raises:
        ServerError: if the port is taken.
    """
    woken = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S

        def do_POST(self) -> None:
            """Answer at once: the server waits a second, and its people with it."""
            length = self.headers.get("Content-Length") or "0"
            if not (length.isascii() and length.isdigit()):
                self.send_error(400, "Content-Length: expected a number of bytes")
                return
            self.rfile.read(min(int(length[:20]), _MOST_BYTES))
            woken.set()
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: who posts may post secrets."""

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise ServerError(f"port {port} on {host}: {error.strerror}; name another one") from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield woken, int(server.server_address[1])
        finally:
            server.shutdown()


def listen(
    workspace: Workspace,
    host: str,
    port: int,
    every_s: float,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Collect now, when woken, and every so many seconds, until `stop`; faults are said.

    Raises:
        ServerError: if the port is taken.
    """
    stop = stop or threading.Event()
    with waker(host, port) as (woken, number):
        say(f"http://{host}:{number}/ wakes it")
        while not stop.is_set():
            woken.clear()
            try:
                say(collect_plainly(workspace).line)
            except EarshotError as error:
                say(str(error))
            stop.wait(GAP_S)
            woken.wait(every_s)
