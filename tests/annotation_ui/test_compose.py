"""A team's Label Studio as compose.yaml sets it, on a real PostgreSQL, without containers.

The image's nginx and uwsgi are not run here: the same application by its own server.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.environment import label_studio_command
from earshot.flows.people import collect_plainly, desk_of
from earshot.schemas.event import Event
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import open_session
from tests.annotation_ui.conftest import choice
from tests.annotation_ui.desks import push_events, rows, submit, tasks_of
from tests.flows.stack import COMPOSE, PASSWORD, free_port, postgres, process, wait_for

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow]

ACCOUNT = {"LABEL_STUDIO_USERNAME": "lead@example.com", "LABEL_STUDIO_PASSWORD": "long-enough-1"}


def settings(database: str, media: Path, port: int) -> dict[str, str]:
    """What compose.yaml sets, with hosts and ports of this machine."""
    outer = {**ACCOUNT, "EARSHOT_MEDIA": str(media), "LABEL_STUDIO_DB_PASSWORD": PASSWORD}
    outer["LABEL_STUDIO_HOST"] = f"http://127.0.0.1:{port}"
    found = {
        name: re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: outer.get(m[1]) or m[2], str(value))
        for name, value in COMPOSE["services"]["label-studio"]["environment"].items()
    }
    host, number, name = re.findall(r"@([^:]+):(\d+)/(\w+)", database)[0]
    here = {"POSTGRE_HOST": host, "POSTGRE_PORT": number, "POSTGRE_USER": "prefect"}
    return found | here | {"POSTGRE_NAME": name, "POSTGRE_PASSWORD": PASSWORD}


def test_a_team_inspects(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign-up is closed, nothing is in SQLite; by address and token it is pushed and collected."""
    media, home, port = tmp_path / "media", tmp_path / "home", free_port()
    media.mkdir()
    home.mkdir()
    with TemporaryDirectory() as open_to_all, postgres(readable(open_to_all)) as database:
        told = settings(database, media, port)
        told |= {"PATH": os.defpath, "HOME": str(home), "LABEL_STUDIO_PORT": str(port)}
        told["LABEL_STUDIO_BASE_DATA_DIR"] = str(home)
        command = [str(label_studio_command(print)), "start", "--no-browser"]
        with process([*command, "--internal-host", "127.0.0.1"], told, tmp_path / "log"):
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: LabelStudio.answers(url), "Label Studio", 900)
            assert httpx.get(f"{url}/user/signup/").status_code == 200
            form = {"email": "a@example.com", "password": "long-enough-1"}
            assert httpx.post(f"{url}/user/signup/", data=form).status_code == 403
            shutil.copytree(built, tmp_path / "w")
            (tmp_path / "w" / "config.toml").write_text(
                f'[inspect]\nbackend = "label_studio"\n[label_studio]\nurl = "{url}"\n'
                f'media_root = "{media}"\nsecond_share = 0\n'
            )
            monkeypatch.setenv("LABEL_STUDIO_TOKEN", token(url))
            workspace = Workspace.open(tmp_path / "w")
            push_events(workspace)
            session = open_session(workspace)
            desk, events = desk_of(session), rows(session, Event)
            tasks = tasks_of(desk)
            assert tasks.keys() == {event.event_id for event in events}
            for task in tasks.values():
                submit(desk, task, choice("verdict", "ok"))
            assert collect_plainly(workspace).inspections == len(events)
        assert not list(home.rglob("*.sqlite3"))


def readable(folder: str) -> Path:
    """A folder into which another user can go: PostgreSQL never runs as root."""
    Path(folder).chmod(0o755)
    return Path(folder)


def token(url: str) -> str:
    """A personal token, made as its owner makes it on the account's page."""
    with httpx.Client(base_url=url, follow_redirects=True) as http:
        http.get("/user/login/")
        form = {
            "email": ACCOUNT["LABEL_STUDIO_USERNAME"],
            "password": ACCOUNT["LABEL_STUDIO_PASSWORD"],
            "csrfmiddlewaretoken": http.cookies["csrftoken"],
        }
        assert http.post("/user/login/", data=form).is_success
        made = http.post("/api/token/", headers={"X-CSRFToken": http.cookies["csrftoken"]})
        assert made.status_code == 201, made.text
        return str(made.json()["token"])
