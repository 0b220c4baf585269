"""A proxy before a real Label Studio that breaks what it is told to, for real, over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Fault = Callable[["Proxy", BaseHTTPRequestHandler, Callable[[], httpx.Response]], bool]
"""Takes the proxy, the request and what forwards it; returns whether it has answered itself."""


class Proxy:
    """Passes requests on; those of one method and path go through `fault` while there is one."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.fault: Fault | None = None
        self.on: tuple[str, str] = ("", "")
        self.hits = 0
        self.url = ""

    @contextmanager
    def breaking(self, method: str, path: str, fault: Fault) -> Iterator[None]:
        """Break requests for a while; at least one has to come."""
        self.on, self.fault, self.hits = (method, path), fault, 0
        try:
            yield
        finally:
            self.fault = None
        assert self.hits


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}

            def forward() -> httpx.Response:
                return httpx.request(
                    self.command, proxy.target + self.path, content=body, headers=headers,
                    timeout=120, trust_env=False,
                )  # fmt: skip

            method, path = proxy.on
            if proxy.fault and self.command == method and path in self.path:
                proxy.hits += 1
                if proxy.fault(proxy, self, forward):
                    return
            answer = forward()
            give(self, answer.status_code, answer.content, answer.headers["Content-Type"])

        do_GET = do_POST = do_PATCH = do_DELETE = do  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()


def give(request: BaseHTTPRequestHandler, code: int, body: bytes, kind: str) -> None:
    """Answer a request; whoever asked may be gone."""
    try:
        request.send_response(code)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except ConnectionError:
        request.close_connection = True


def error_500(proxy: Proxy, request: BaseHTTPRequestHandler, forward: object) -> bool:
    """What Django says where it fails."""
    give(request, 500, b'{"detail": "rotation"}', "application/json")
    return True


def slow(proxy: Proxy, request: BaseHTTPRequestHandler, forward: Callable[[], object]) -> bool:
    """Answered, too late."""
    forward()
    time.sleep(4)
    request.close_connection = True
    return True


def cut(proxy: Proxy, request: BaseHTTPRequestHandler, forward: Callable[[], object]) -> bool:
    """Done, and the connection ends before the answer."""
    forward()
    request.close_connection = True
    return True


def down(proxy: Proxy, request: BaseHTTPRequestHandler, forward: object) -> bool:
    """Nothing is done at all."""
    request.close_connection = True
    return True
