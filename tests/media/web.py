"""A web server on the loopback whose every misbehaviour a test can choose."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server does; changed by tests while it runs."""

    content: bytes = b""
    url: str = ""
    serves_ranges: bool = True
    says_etag: bool = True
    says_size: bool = True
    statuses: list[int] = field(default_factory=list)
    cut_after: int | None = None
    stalls: bool = False
    holds_from: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def gets(self) -> list[str | None]:
        """The Range headers of the GET requests so far."""
        return [asked for method, asked in self.asked if method == "GET"]


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve a site until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def _reply(self, with_body: bool) -> None:
            asked = self.headers.get("Range")
            site.asked.append((self.command, asked))
            if site.stalls:
                time.sleep(3)
            if site.statuses:
                status = site.statuses.pop(0)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body, status = site.content, 200
            if asked and site.serves_ranges:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                while site.holds_from is not None and site.holds_from <= int(first) < int(last):
                    time.sleep(0.02)
                body, status = body[int(first) : int(last) + 1], 206
            self.send_response(status)
            if site.says_size:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            if site.says_etag:
                self.send_header("ETag", f'"{hashlib.md5(site.content).hexdigest()}"')
            self.end_headers()
            if with_body:
                sent = body if site.cut_after is None else body[: site.cut_after]
                site.cut_after = None if len(sent) < len(body) else site.cut_after
                self.wfile.write(sent)
                if len(sent) < len(body):
                    self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/clip.mp4"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
