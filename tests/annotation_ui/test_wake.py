"""A webhook wakes the collector and says nothing that is believed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import pytest

from earshot.annotation_ui.collect import Collected
from earshot.errors import ServerError
from earshot.flows import wake
from earshot.store.workspace import Workspace


def test_a_post_wakes_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once are one poll; a fault is said, and the next one is answered again."""
    polls, said, stop = [], [], threading.Event()

    def collect(workspace: Workspace) -> Collected:
        polls.append(workspace)
        if len(polls) == 1:
            raise ServerError("it is down")
        return Collected()

    monkeypatch.setattr(wake, "collect_plainly", collect)
    monkeypatch.setattr(wake, "GAP_S", 0.5)
    place = Workspace.open(tmp_path / "w", create=True)
    told = (place, "127.0.0.1", 0, 600.0, said.append, stop)
    running = threading.Thread(target=wake.listen, args=told)
    running.start()

    def wait_for(n: int) -> None:
        ends = time.monotonic() + 60
        while len(said) < n and time.monotonic() < ends:
            time.sleep(0.05)
        assert len(said) == n

    wait_for(1)
    url = said[0].split()[0]
    assert httpx.post(url, json={"action": "ANNOTATION_CREATED"}).status_code == 202
    wait_for(2)
    assert (said[1], len(polls)) == ("it is down", 1)
    for _ in range(3):
        assert httpx.post(url, content=b"\xff" * 100_000).status_code == 202
    stop.set()
    running.join(60)
    assert not running.is_alive()
    assert len(polls) <= 2
    with pytest.raises(httpx.ConnectError):
        httpx.post(url)


def test_a_taken_port_is_said() -> None:
    """With its number and what to do."""
    with (
        wake.waker("127.0.0.1", 0) as (_, port),
        pytest.raises(ServerError, match=f"port {port} .* name another one"),
        wake.waker("127.0.0.1", port),
    ):
        pass
