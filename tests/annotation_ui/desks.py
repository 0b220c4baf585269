"""What people do at a real Label Studio, in a line each: rows, tasks, answers, another person."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import urlsplit

import httpx

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.push import Pushed
from earshot.annotation_ui.server import Login
from earshot.flows.people import desk_of, push_all
from earshot.schemas.arrow import from_table
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import Session, open_session

Json = dict[str, Any]


def push_events(workspace: Workspace) -> tuple[Desk, Pushed]:
    """Push all; return the desk of the events, and what their push came to."""
    return push_all(workspace)[0]


def opened(workspace: Workspace) -> tuple[Session, Desk]:
    """The build and the desk."""
    session = open_session(workspace)
    return session, desk_of(session)


def rows(session: Session, kind: type) -> list:  # type: ignore[type-arg]
    """Current rows of a table."""
    return from_table(kind, session.snapshot.table(kind))


def tasks_of(desk: Desk) -> dict[str, Json]:
    """Whole tasks by event."""
    return {t["data"]["event_id"]: t for t in desk.client.changed_tasks(desk.project, None)}


def submit(
    desk: Desk,
    task: Json,
    *more: Json,
    results: list[Json] | None = None,
    by: LabelStudio | None = None,
) -> Json:
    """Do what the page does on Submit: a copy of the prediction, and what the person added."""
    (prediction,) = task["predictions"]
    left = results if results is not None else json.loads(json.dumps(prediction["result"]))
    body = {"result": [*left, *more], "lead_time": 20.0, "parent_prediction": prediction["id"]}
    answer: Json = (by or desk.client).post(f"/api/tasks/{task['id']}/annotations/", body)
    return answer


def somebody(login: Login, client: LabelStudio) -> LabelStudio:
    """Another person, invited as people are: by the link."""
    link = urlsplit(client.get("/api/invite")["invite_url"])
    with httpx.Client(base_url=login.url, follow_redirects=True) as http:
        address = f"{link.path}?{link.query}"
        http.get(address)
        form = {
            "email": f"{secrets.token_hex(4)}@example.com",
            "password": secrets.token_urlsafe(12),
            "csrfmiddlewaretoken": http.cookies["csrftoken"],
        }
        assert http.post(address, data=form).is_success
        made = http.post("/api/token/", headers={"X-CSRFToken": http.cookies["csrftoken"]})
        assert made.status_code == 201, made.text
    return LabelStudio(login.url, made.json()["token"])
