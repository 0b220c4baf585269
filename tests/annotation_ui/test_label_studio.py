"""The round trip through a real Label Studio: pushed once, taken back once, to the last bit."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.server import Login, ServerFolder, serve
from earshot.annotation_ui.show import region_id
from earshot.errors import ServerError
from earshot.flows import people
from earshot.flows.people import collect_plainly
from earshot.media.review_clip import ClipPlan, check_clip
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.inspection import Inspection
from earshot.schemas.tube import RevisedTube, Tube
from earshot.store.reviewed import tubes_of
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import open_session
from tests.annotation_ui.conftest import choice, sequence_of
from tests.annotation_ui.desks import push_events, rows, submit, tasks_of

pytestmark = pytest.mark.labelstudio

Json = dict[str, Any]


def test_the_server_is_private(server: tuple[ServerFolder, Login]) -> None:
    """Loopback, no sign-up, no old tokens, secrets for their owner alone; found the second time."""
    folder, login = server
    assert serve(folder, print) == (login, True)
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    for name in ("secrets.json", "server.json", "server.log"):
        assert stat.S_IMODE((folder.folder / name).stat().st_mode) == 0o600
    form = {"email": "a@example.com", "password": "long-enough-1"}
    assert httpx.post(f"{login.url}/user/signup/", data=form).status_code == 403
    client = LabelStudio(login.url, login.token)
    assert client.get("/api/jwt/settings")["legacy_api_tokens_enabled"] is False
    record = folder.record()
    assert record is not None
    command = Path(f"/proc/{record.pid}/cmdline").read_bytes().decode()
    log = folder.log.read_text()
    for secret in (login.token, login.password):
        assert secret not in command
        assert secret not in log
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{record.port:04X} 00000000:0000 0A" in listening
    assert f"00000000:{record.port:04X} 00000000:0000 0A" not in listening


def test_only_the_media_root_is_shown(
    workspace: Workspace, server: tuple[ServerFolder, Login]
) -> None:
    """A clip is served to whoever is logged in, in ranges; the database and others to nobody."""
    push_events(workspace)
    folder, login = server
    clip = next((folder.media / "clips").glob("*.mp4"))
    with httpx.Client(base_url=login.url) as http:
        address = f"/data/local-files/?d=clips/{clip.name}"
        assert http.get(address).status_code in (302, 401)
        access = http.post("/api/token/refresh", json={"refresh": login.token}).json()["access"]
        http.headers["Authorization"] = f"Bearer {access}"
        part = http.get(address, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, clip.read_bytes()[10:20])
        for name in ("../data/label_studio.sqlite3", "../secrets.json", "clips/../../secrets.json"):
            assert not http.get(f"/data/local-files/?d={name}").is_success


def test_a_push_sends_each_event_once(workspace: Workspace) -> None:
    """One task an event with all its tubes and an exact clip; again, nothing is sent."""
    desk, told = push_events(workspace)
    session = open_session(workspace)
    events = rows(session, Event)
    assert told.sent == len(events) > 3
    assert (told.there, told.faults) == (0, [])
    tasks = tasks_of(desk)
    assert tasks.keys() == {event.event_id for event in events}
    parts, tubes = rows(session, EventObject), rows(session, Tube)
    for event in events:
        (prediction,) = tasks[event.event_id]["predictions"]
        shown = {region_id(tube) for tube in tubes_of(event, parts, tubes)}
        boxes = {r["id"] for r in prediction["result"] if r["type"] == "videorectangle"}
        assert boxes <= shown
    again = push_events(workspace)[1]
    assert (again.sent, again.there) == (0, len(events))
    order = [t["predictions"][0]["score"] for t in sorted(tasks.values(), key=lambda t: t["id"])]
    assert order == sorted(order)


def test_what_nobody_changed_comes_back_to_the_last_bit(workspace: Workspace) -> None:
    """(a) Every event ok: tubes, absences and segments are what they were; once, not twice."""
    desk, _ = push_events(workspace)
    for task in tasks_of(desk).values():
        submit(desk, task, choice("verdict", "ok"))
    told = collect_plainly(workspace)
    session = open_session(workspace)
    events = {event.event_id: event for event in rows(session, Event)}
    people = [row for row in rows(session, Inspection) if row.inspected_by == "human"]
    assert told.inspections == len(people) == len(events)
    assert (told.tubes, told.phantoms, told.faults) == (0, 0, [])
    for row in people:
        assert row.segments == row.shown_segments == events[row.event_id].segments
        assert all(t.verdict == "ok" and t.before_digest == t.after_digest for t in row.tubes)
        assert (row.seconds, row.annotator) == (20.0, "user-1")
    statuses = {c.stage: c.by_status for c in session.counts if c.item_kind == "event"}
    assert statuses["inspect"]["done"] == len(events)
    assert collect_plainly(workspace).inspections == 0
    assert push_events(workspace)[1].sent == 0
    kept = sorted((workspace.label_studio / "raw").rglob("*.gz"))
    lines = [line for file in kept for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert {json.loads(line)["data"]["event_id"] for line in lines} == events.keys()


def test_a_moved_a_deleted_and_a_new_box(workspace: Workspace) -> None:
    """(c) Only the neighbourhood of the moved key changes; the others are rejected and added."""
    desk, _ = push_events(workspace)
    session = open_session(workspace)
    parts, tubes = rows(session, EventObject), rows(session, Tube)
    tasks = tasks_of(desk)
    event = next(
        each
        for each in rows(session, Event)
        if any(
            r["type"] == "videorectangle" for r in tasks[each.event_id]["predictions"][0]["result"]
        )
    )
    task = tasks[event.event_id]
    left = json.loads(json.dumps(task["predictions"][0]["result"]))
    (box, *_) = [r for r in left if r["type"] == "videorectangle"]
    tube = next(t for t in tubes_of(event, parts, tubes) if region_id(t) == box["id"])
    sequence = sequence_of(left, box["id"])
    sequence[0]["x"] = max(sequence[0]["x"] - 2.0, 0.0)
    drawn = json.loads(json.dumps(box))
    drawn["id"] = "Ab3_xYz012"
    submit(desk, task, drawn, choice("verdict", "ok"), results=left)
    told = collect_plainly(workspace)
    assert (told.inspections, told.tubes) == (1, 2)
    session = open_session(workspace)
    fixed = next(r for r in rows(session, RevisedTube) if r.parent_digest == tube.digest)
    same = [a == b for a, b in zip(tube.boxes, fixed.boxes, strict=True)]
    assert not all(same)
    assert same[-1] or len(sequence) == 2
    assert fixed.state == tube.state
    (row,) = [r for r in rows(session, Inspection) if r.inspected_by == "human"]
    assert sorted({t.verdict for t in row.tubes}) in (["added", "fixed"], ["added", "fixed", "ok"])


def test_a_changed_answer_is_another_decision(workspace: Workspace) -> None:
    """The later word of the same person counts; the first row stays."""
    desk, _ = push_events(workspace)
    task = next(iter(tasks_of(desk).values()))
    made = submit(desk, task, choice("verdict", "ok"))
    assert collect_plainly(workspace).inspections == 1
    verdict = [choice("verdict", "reject"), choice("reason", "bad media")]
    body = {"result": [*task["predictions"][0]["result"], *verdict], "lead_time": 30.0}
    desk.client.patch(f"/api/annotations/{made['id']}/", body)
    assert collect_plainly(workspace).inspections == 1
    people = [r for r in rows(open_session(workspace), Inspection) if r.inspected_by == "human"]
    assert sorted(row.verdict for row in people) == ["ok", "reject"]
    assert max(people, key=lambda row: row.at).reasons == ("bad media",)


def test_a_senseless_answer_goes_back_and_the_others_go_on(workspace: Workspace) -> None:
    """Without a verdict nothing is taken; the place is told, once; once mended it is taken."""
    desk, _ = push_events(workspace)
    first, second, *_ = tasks_of(desk).values()
    made = submit(desk, first)
    submit(desk, second, choice("verdict", "unsure"))
    told = collect_plainly(workspace)
    assert told.inspections == 1
    ((place, why),) = told.faults
    assert f"task={first['id']}" in place
    assert "expected one of ok, reject, unsure" in why
    raw = sorted((workspace.label_studio / "raw").rglob("*.gz"))
    again = collect_plainly(workspace)
    assert (again.inspections, again.faults) == (0, [])
    assert sorted((workspace.label_studio / "raw").rglob("*.gz")) == raw
    body = {"result": [*first["predictions"][0]["result"], choice("verdict", "ok")]}
    desk.client.patch(f"/api/annotations/{made['id']}/", body)
    assert collect_plainly(workspace).inspections == 1


def test_a_deleted_project_loses_nothing(workspace: Workspace) -> None:
    """What was collected stays; a push makes a new project of what is left."""
    desk, sent = push_events(workspace)
    submit(desk, next(iter(tasks_of(desk).values())), choice("verdict", "ok"))
    assert collect_plainly(workspace).inspections == 1
    desk.client._ask("DELETE", f"/api/projects/{desk.project}/")
    with pytest.raises(ServerError, match="has no project of this workspace"):
        collect_plainly(workspace)
    again, told = push_events(workspace)
    assert again.project != desk.project
    assert (told.sent, told.answered) == (sent.sent - 1, 1)


def test_a_killed_collection_is_taken_up(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind the commit, the next one takes nothing twice and finishes the build."""
    desk, _ = push_events(workspace)
    task = next(iter(tasks_of(desk).values()))
    submit(desk, task, choice("verdict", "ok"))
    with monkeypatch.context() as patch:
        patch.setattr(people, "run_plain", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect_plainly(workspace)
    (workspace.label_studio / "cursor.json").unlink()
    assert collect_plainly(workspace).inspections == 0
    session = open_session(workspace)
    statuses = {c.stage: c.by_status for c in session.counts if c.item_kind == "event"}
    assert statuses["inspect"]["done"] == 1
    assert len([r for r in rows(session, Inspection) if r.inspected_by == "human"]) == 1


def test_a_wrong_token_is_said_without_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 names the server and the remedy, never the token; an address without a server too."""
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "ab.cdef.wrong")
    with pytest.raises(ServerError, match="refuses the token") as caught:
        push_events(workspace)
    assert "wrong" not in str(caught.value)
    file = workspace.config_file
    file.write_text(file.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1"))
    with pytest.raises(ServerError):
        push_events(workspace)


def test_every_clip_is_exact(workspace: Workspace, server: tuple[ServerFolder, Login]) -> None:
    """As checked after encoding, once more in the media root; and nothing else lies there."""
    desk, _ = push_events(workspace)
    folder, _ = server
    for task in tasks_of(desk).values():
        told = json.loads(task["data"]["shown"])
        clip = folder.media / task["data"]["video"].partition("?d=")[2]
        fps = Fraction(task["data"]["fps"]).limit_denominator(2000)
        check_clip(clip, ClipPlan(told["offset_s"], fps, told["n_frames"], 2, 2))
    assert {file.suffix for file in folder.media.rglob("*") if file.is_file()} == {".mp4"}


def test_the_flow_collects_on_its_own(workspace: Workspace) -> None:
    """`collect-inspections` in a Prefect of the tests' own does what the command does."""
    desk, _ = push_events(workspace)
    task = next(iter(tasks_of(desk).values()))
    submit(desk, task, choice("verdict", "ok"))
    script = (
        "import sys\n"
        "from earshot.flows.server import workspace_server\n"
        "from earshot.flows.settings import apply, prefect_environment\n"
        "from pathlib import Path\n"
        "root = Path(sys.argv[1])\n"
        "with workspace_server(root) as url:\n"
        "    apply(prefect_environment(root, url))\n"
        "    from earshot.flows.collect_inspections import collect_inspections\n"
        "    from earshot.schemas.request import BuildRequest\n"
        "    collect_inspections(BuildRequest(workspace=str(root)))\n"
        "    collect_inspections(BuildRequest(workspace=str(root)))\n"
    )
    command = [sys.executable, "-c", script, str(workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    session = open_session(workspace)
    people = [row for row in rows(session, Inspection) if row.inspected_by == "human"]
    assert [row.event_id for row in people] == [task["data"]["event_id"]]
    statuses = {c.stage: c.by_status for c in session.counts if c.item_kind == "event"}
    assert statuses["inspect"]["done"] == 1
