"""Whatever breaks between us and a real Label Studio: a clear message, then each thing once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.server import Login, ServerFolder
from earshot.errors import ServerError, WorkspaceError
from earshot.flows.people import collect_plainly, desk_of
from earshot.schemas.event import Event
from earshot.schemas.inspection import Inspection
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import open_session
from tests.annotation_ui.conftest import choice
from tests.annotation_ui.desks import push_events, rows, submit, tasks_of
from tests.annotation_ui.proxy import Fault, Proxy, cut, down, error_500, proxied, slow
from tests.faults.disks import small_disk

pytestmark = pytest.mark.labelstudio

OK = choice("verdict", "ok")
FAULTS = [
    pytest.param(error_500, "answered .* with 500", id="500"),
    pytest.param(slow, "gave no answer .* in time", id="slow"),
    pytest.param(cut, "can't be reached", id="cut"),
    pytest.param(down, "can't be reached", id="down"),
]
TASKS = "/api/tasks?"


@pytest.fixture
def proxy(
    workspace: Workspace, server: tuple[ServerFolder, Login], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """What stands between the workspace and the server."""
    file = workspace.config_file
    with proxied(server[1].url) as found:
        text = re.sub(r'url = "[^"]*"', f'url = "{found.url}"', file.read_text())
        off = "second_share = 0\nquestion_share = 0\ntimeout_s = 2\n"
        file.write_text(text + off)
        yield found


def desk_at(workspace: Workspace) -> Desk:
    """The desk, with time enough."""
    file = workspace.config_file
    file.write_text(file.read_text().replace("timeout_s = 2\n", "timeout_s = 60\n"))
    return desk_of(open_session(workspace))


def events_sent(desk: Desk) -> list[str]:
    """The event of every task there is, sorted."""
    return sorted(each["data"]["event_id"] for each in desk.client.all_tasks(desk.project))


def decided(workspace: Workspace) -> list[str]:
    """The event of every person's inspection, sorted."""
    found = rows(open_session(workspace), Inspection)
    return sorted(each.event_id for each in found if each.inspected_by == "human")


def events_of(workspace: Workspace) -> list[str]:
    """Every event, sorted."""
    return sorted(each.event_id for each in rows(open_session(workspace), Event))


def command(*words: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "earshot.cli", "inspect", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_push_that_breaks_is_taken_up(
    workspace: Workspace, proxy: Proxy, fault: Fault, said: str
) -> None:
    """The server fails while it takes tasks in; again, and each event is there once."""
    with proxy.breaking("POST", "/import", fault), pytest.raises(ServerError, match=said) as caught:
        push_events(workspace)
    assert os.environ["LABEL_STUDIO_TOKEN"] not in str(caught.value)
    desk = desk_at(workspace)
    push_events(workspace)
    assert events_sent(desk) == events_of(workspace)


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_collection_that_breaks_is_taken_up(
    workspace: Workspace, proxy: Proxy, fault: Fault, said: str
) -> None:
    """The server fails while it says what was decided; again, and each decision is here once."""
    desk = desk_at(workspace)
    push_events(workspace)
    for task in tasks_of(desk).values():
        submit(desk, task, OK)
    file = workspace.config_file
    file.write_text(file.read_text().replace("timeout_s = 60\n", "timeout_s = 2\n"))
    with proxy.breaking("GET", TASKS, fault), pytest.raises(ServerError, match=said):
        collect_plainly(workspace)
    desk_at(workspace)
    collect_plainly(workspace)
    assert decided(workspace) == events_of(workspace)
    assert collect_plainly(workspace).inspections == 0


def test_a_killed_push_is_taken_up(workspace: Workspace, proxy: Proxy) -> None:
    """SIGKILL before and after the server took the tasks in: each event is there once."""
    desk = desk_at(workspace)
    for is_after in (False, True):
        running = command("push", "-w", str(workspace.root))

        def kill(
            _: Proxy, request: BaseHTTPRequestHandler, forward: object,
            child: subprocess.Popen[str] = running, after: bool = is_after,
        ) -> bool:  # fmt: skip
            if after:
                forward()  # type: ignore[operator]
            child.send_signal(signal.SIGKILL)
            request.close_connection = True
            return True

        with proxy.breaking("POST", "/import", kill):
            running.communicate(timeout=300)
        assert running.returncode == -signal.SIGKILL
        assert events_sent(desk) == (events_of(workspace) if is_after else [])
    assert push_events(workspace)[1].sent == 0
    assert events_sent(desk) == events_of(workspace)


def test_what_a_killed_push_left_goes(
    workspace: Workspace, server: tuple[ServerFolder, Login], tmp_path: Path
) -> None:
    """SIGKILL of all its processes while a clip is written: the half of it goes with a later push.

    On a media root that others use, too, not before it is old: it might be one that they cut now.
    """
    clips = server[0].media / tmp_path.name / "clips"
    file = workspace.config_file
    file.write_text(
        re.sub(r'media_root = "[^"]*"', f'media_root = "{clips.parent}"', file.read_text())
    )
    running = command("push", "-w", str(workspace.root))
    ends = time.monotonic() + 300
    while not list(clips.glob(".*")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < ends
        time.sleep(0.001)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    (left,) = clips.glob(".*")
    push_events(workspace)
    assert left.exists()
    os.utime(left, (0, 0))
    push_events(workspace)
    assert list(clips.glob(".*")) == []
    shutil.rmtree(clips.parent)


def test_a_killed_collection_and_two_at_once(workspace: Workspace, proxy: Proxy) -> None:
    """SIGKILL in the middle of a poll; then two collect at the same time: each decision once."""
    desk = desk_at(workspace)
    push_events(workspace)
    for task in tasks_of(desk).values():
        submit(desk, task, OK)
    running = command("collect", "-w", str(workspace.root))

    def kill(_: Proxy, request: BaseHTTPRequestHandler, forward: object) -> bool:
        running.send_signal(signal.SIGKILL)
        request.close_connection = True
        return True

    with proxy.breaking("GET", TASKS, kill):
        running.communicate(timeout=300)
    assert running.returncode == -signal.SIGKILL
    both = [command("collect", "-w", str(workspace.root), "--json") for _ in range(2)]
    told = [json.loads(each.communicate(timeout=300)[0]) for each in both]
    assert sorted(each["inspections"] for each in told) == [0, len(events_of(workspace))]
    assert decided(workspace) == events_of(workspace)


def test_a_task_edited_while_it_is_collected(workspace: Workspace, proxy: Proxy) -> None:
    """The answer changes behind the poll's back: the next poll has the later word, which counts."""
    desk = desk_at(workspace)
    push_events(workspace)
    task = next(iter(tasks_of(desk).values()))
    made = submit(desk, task, OK)
    left = [*task["predictions"][0]["result"], choice("verdict", "reject")]
    changed = {"result": [*left, choice("reason", "bad media")], "lead_time": 5}
    edited: list[bool] = []

    def edit(_: Proxy, request: BaseHTTPRequestHandler, forward: object) -> bool:
        from tests.annotation_ui.proxy import give

        answer = forward()  # type: ignore[operator]
        if not edited:
            edited.append(True)
            desk.client.patch(f"/api/annotations/{made['id']}/", changed)
        give(request, answer.status_code, answer.content, "application/json")
        return True

    with proxy.breaking("GET", TASKS, edit):
        assert collect_plainly(workspace).inspections == 1
    assert collect_plainly(workspace).inspections == 1
    found = [e for e in rows(open_session(workspace), Inspection) if e.inspected_by == "human"]
    assert [e.verdict for e in sorted(found, key=lambda e: e.at)] == ["ok", "reject"]


def test_a_full_media_disk_is_said(
    workspace: Workspace, server: tuple[ServerFolder, Login], tmp_path: Path
) -> None:
    """No clip fits: the disk is named, nothing half lies there; with room each event goes once."""
    file = workspace.config_file
    place = server[0].media / tmp_path.name
    with small_disk(place, "64m") as disk:
        text = re.sub(r'media_root = "[^"]*"', f'media_root = "{disk.folder}"', file.read_text())
        file.write_text(text + "second_share = 0\nquestion_share = 0\n")
        (disk.folder / "clips").mkdir()
        disk.fill(leave_bytes=20_000)
        with pytest.raises(WorkspaceError, match="the disk is full: free some space"):
            push_events(workspace)
        assert not list((disk.folder / "clips").iterdir())
        disk.empty()
        desk, told = push_events(workspace)
        assert told.faults == []
        assert events_sent(desk) == events_of(workspace)
    place.rmdir()


def test_the_token_is_in_no_process_list(workspace: Workspace, proxy: Proxy) -> None:
    """While a push runs, no command line shows it; nor does anything that it prints or keeps."""
    desk_at(workspace)
    token = os.environ["LABEL_STUDIO_TOKEN"]
    seen: list[str] = []

    def look(_: Proxy, request: BaseHTTPRequestHandler, forward: object) -> bool:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes().decode(errors="replace"))
            except OSError:
                continue
        return False

    running = command("push", "-w", str(workspace.root))
    with proxy.breaking("POST", "/import", look):
        out, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors
    assert any("inspect" in each for each in seen)
    assert not any(token in each for each in (*seen, out, errors))
    kept = (p for p in workspace.root.rglob("*") if p.is_file())
    assert not any(token.encode() in file.read_bytes() for file in kept)
