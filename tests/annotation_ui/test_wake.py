"""A webhook wakes the collector and says nothing that is believed."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from earshot.annotation_ui import server as server_module
from earshot.annotation_ui.collect import Collected
from earshot.annotation_ui.server import Login, ServerFolder, serve, stop
from earshot.errors import ServerError
from earshot.flows import wake
from earshot.store.workspace import Workspace
from tests.annotation_ui.conftest import choice
from tests.annotation_ui.desks import push_events, submit, tasks_of

# A shell's background job ignores Ctrl-C, and so would what it starts.
LISTEN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from earshot.cli import main
main()
"""


def test_a_post_wakes_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once are one poll; a fault is said, and the next one is answered again."""
    polls, said, ended = [], [], threading.Event()

    def collect(workspace: Workspace) -> Collected:
        polls.append(workspace)
        if len(polls) == 1:
            raise ServerError("it is down")
        return Collected()

    monkeypatch.setattr(wake, "collect_plainly", collect)
    monkeypatch.setattr(wake, "GAP_S", 0.5)
    place = Workspace.open(tmp_path / "w", create=True)
    told = (place, "127.0.0.1", 0, 600.0, said.append, ended)
    running = threading.Thread(target=wake.listen, args=told)
    running.start()

    def wait_for(n: int) -> None:
        ends = time.monotonic() + 60
        while len(said) < n and time.monotonic() < ends:
            time.sleep(0.05)
        assert len(said) == n

    wait_for(2)
    url = said[0].split()[0]
    assert (said[1], len(polls)) == ("it is down", 1)
    assert httpx.post(url, json={"action": "ANNOTATION_CREATED"}).status_code == 202
    wait_for(3)
    assert len(polls) == 2
    for _ in range(3):
        assert httpx.post(url, content=b"\xff" * 100_000).status_code == 202
    ended.set()
    running.join(60)
    assert not running.is_alive()
    assert len(polls) <= 3
    with pytest.raises(httpx.ConnectError):
        httpx.post(url)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nno colon\r\n\r\n", 202),
        (b"\x16\x03\x01\x02\x00\x01\xff\xfe\r\n\r\n", 400),
        (b"POST / HTTP/9.z\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 501),
        (b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nbroken off", None),
    ],
)
def test_garbage_is_refused_in_silence(
    sent: bytes, code: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is no HTTP gets its status, prints nothing, and the next webhook is heard."""
    with wake.waker("127.0.0.1", 0) as (woken, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
            caller.sendall(sent)
            if code is None:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                assert f" {code} ".encode() in caller.recv(1000)
        assert woken.is_set() == (code == 202)
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}").status_code == 202
        assert woken.is_set()
    assert capfd.readouterr() == ("", "")


@pytest.mark.labelstudio
def test_a_real_webhook_wakes_the_command(
    workspace: Workspace, server: tuple[ServerFolder, Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submit in Label Studio, and `earshot inspect listen` has it, though it polls once an hour.

    The server sends none to loopback unless it is told to: it is started anew with that setting.
    """
    folder, login = server
    given, open_hand = server_module._environment, {"LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "0"}
    with monkeypatch.context() as patch:
        patch.setattr(server_module, "_environment", lambda *told: given(*told) | open_hand)
        assert stop(folder)
        assert serve(folder, print) == (login, False)  # at the same address
    desk, _ = push_events(workspace)
    words = ["inspect", "listen", "-w", str(workspace.root), "--port", "0", "--every", "3600"]
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", LISTEN, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        url = running.stdout.readline().split()[0]
        assert running.stdout.readline().startswith("0 inspections")
        hook = {"url": url, "project": desk.project, "actions": ["ANNOTATION_CREATED"]}
        desk.client.post("/api/webhooks/", {**hook, "send_for_all_actions": False})
        submit(desk, next(iter(tasks_of(desk).values())), choice("verdict", "ok"))
        assert running.stdout.readline().startswith("1 inspections")
    finally:
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=120)
        stop(folder)
        serve(folder, print)
    assert (running.returncode, "Traceback" in rest) == (130, False)


def test_a_taken_port_is_said() -> None:
    """With its number and what to do."""
    with (
        wake.waker("127.0.0.1", 0) as (_, port),
        pytest.raises(ServerError, match=f"port {port} .* name another one"),
        wake.waker("127.0.0.1", port),
    ):
        pass
