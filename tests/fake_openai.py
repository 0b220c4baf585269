"""An OpenAI-compatible server on the loopback whose every answer a test can choose."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One reply that is no answer: a status, or a body that is broken."""

    status: int = 200
    body: bytes = b'{"error": {"message": "scripted"}}'
    retry_after: str | None = None


@dataclass
class Model:
    """What the server does; changed by tests while it runs.

    Attributes:
        reply: gives the text for a request; by default the question's own words.
        faults: replies before that, the first one first.
        requests: bodies of all requests so far; `keys` their Authorization headers.
        most_at_once: how many requests were open at one time.
    """

    reply: Callable[[dict[str, Any]], str] = lambda request: question_of(request)
    faults: list[Fault] = field(default_factory=list)
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    open_now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def question_of(request: dict[str, Any]) -> str:
    """The last text of a request."""
    return str(request["messages"][-1]["content"][-1]["text"])


@contextmanager
def serve(model: Model) -> Iterator[Model]:
    """Serve a model until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with model.lock:
                model.requests.append(request)
                model.keys.append(self.headers.get("Authorization"))
                model.open_now += 1
                model.most_at_once = max(model.most_at_once, model.open_now)
                fault = model.faults.pop(0) if model.faults else None
            try:
                self._send(fault or Fault(200, _completion(model.reply(request), request)))
            finally:
                with model.lock:
                    model.open_now -= 1

        def _send(self, fault: Fault) -> None:
            self.send_response(fault.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(fault.body)))
            if fault.retry_after is not None:
                self.send_header("Retry-After", fault.retry_after)
            self.end_headers()
            self.wfile.write(fault.body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _completion(text: str, request: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [choice],
    }
    return json.dumps(body).encode()
