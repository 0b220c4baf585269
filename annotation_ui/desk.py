"""Where a workspace's people inspect: which server, which project, where clips go.

Takes a workspace and its settings, gives a `Desk`; the project is made where there is none. What is
kept of the round trip lies in the workspace's `label_studio/`:

    media/clips/   what the server shows          pushed/   what each task showed, as it was then
    raw/           every answer of the server     project.json, cursor.json

People work in up to four projects: what waits (`first`), second opinions that don't see the first
ones (`second`), what two people differ about (`third`), and questions (`question`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earshot.annotation_ui.client import Json, LabelStudio
from earshot.annotation_ui.labeling import labeling_config, question_config
from earshot.annotation_ui.server import ServerFolder, find
from earshot.annotation_ui.show import MODEL_VERSION
from earshot.errors import ConfigError, ServerError
from earshot.schemas.config import LabelStudioConfig
from earshot.schemas.ids import h8
from earshot.store.workspace import Workspace, disk_fault, write_atomic

CLIPS = "clips"
_TITLE_LENGTH = 50  # the server takes no more

Role = Literal["first", "second", "third", "question"]
ROLES: tuple[Role, ...] = ("first", "second", "third", "question")
_SUFFIXES: dict[Role, str] = {
    "first": "",
    "second": " - second opinions",
    "third": " - differences",
    "question": " - questions",
}


@dataclass(frozen=True)
class Desk:
    """A project on a server, ready for tasks.

    Attributes:
        workspace: whose events are inspected.
        config: how.
        client: of the server.
        media_root: the folder that the server shows, as this machine sees it.
        project: number of the project.
        role: what people do there.
        is_new: it was made just now, because there was none or it was deleted.
    """

    workspace: Workspace
    config: LabelStudioConfig
    client: LabelStudio
    media_root: Path
    project: int
    role: Role = "first"
    is_new: bool = False

    @property
    def address(self) -> str:
        """The page on which people work."""
        return f"{self.client.url}/projects/{self.project}/data"


def open_desk(
    workspace: Workspace, config: LabelStudioConfig, role: Role = "first", *, make: bool = True
) -> Desk:
    """Return the desk of a workspace.

    Args:
        workspace: whose.
        config: settings.
        role: what people do there.
        make: make the project where it is missing.

    Raises:
        ServerError: if no server runs or answers, or there is no project and none is to be made.
        ConfigError: if the token is missing.
        WorkspaceError: when the disk of the media root fails.
    """
    client, media_root = _server(workspace, config)
    title = _title(workspace, config, role)
    found = _project(workspace, role, title, client)
    if found is None and not make:
        raise ServerError(
            f"Label Studio at {client.url} has no project of this workspace (any more): push first "
            "with `earshot inspect push`; what was collected before stays"
        )
    try:
        (media_root / CLIPS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_fault(media_root / CLIPS, error) from error
    told = found or client.post("/api/projects/", _settings(title, role))
    number = int(told["id"])
    if make:
        shown = config_of(role)
        if found and found["label_config"] != shown:
            client.patch(f"/api/projects/{number}/", {"label_config": shown})
        # The server's own view of the path; where it runs elsewhere, only the end is the same.
        client.serve_folder(number, str(media_root / CLIPS), CLIPS)
    place = {"url": client.url, "project": number}
    write_atomic(note_of(workspace, "project", role), json.dumps(place).encode())
    return Desk(workspace, config, client, media_root, number, role, found is None)


def note_of(workspace: Workspace, what: str, role: Role) -> Path:
    """Return the file that keeps something about a project."""
    end = "" if role == "first" else f"-{role}"
    return workspace.label_studio / f"{what}{end}.json"


def roles_of(workspace: Workspace) -> list[Role]:
    """Return the roles that have, or had, a project."""
    return [role for role in ROLES if note_of(workspace, "project", role).exists()]


def config_of(role: Role) -> str:
    """Return the labeling config of a role."""
    return question_config() if role == "question" else labeling_config()


def _server(workspace: Workspace, config: LabelStudioConfig) -> tuple[LabelStudio, Path]:
    if config.url:
        token = os.environ.get(config.token_env)
        if not token:
            raise ConfigError(
                f"environment variable {config.token_env} (label_studio.token_env) is not set: "
                f"expected a personal access token for {config.url}"
            )
        return LabelStudio(config.url, token, config.timeout_s), Path(config.media_root)
    folder = ServerFolder(workspace.label_studio)
    login = find(folder)
    if login is None:
        raise ServerError(
            f"no Label Studio runs for {workspace.root}: start it with `earshot inspect serve "
            f"-w {workspace.root}`, or set label_studio.url to one that exists"
        )
    return LabelStudio(login.url, login.token, config.timeout_s), folder.media


def _project(workspace: Workspace, role: Role, title: str, client: LabelStudio) -> Json | None:
    """Return the project that was used before, or the one of that title."""
    file = note_of(workspace, "project", role)
    known = json.loads(file.read_bytes()) if file.exists() else {}
    if known.get("url") == client.url and (found := client.project(known["project"])):
        return found
    return client.find_project(title)


def _title(workspace: Workspace, config: LabelStudioConfig, role: Role) -> str:
    title, end = config.project or f"earshot {workspace.root.name}", _SUFFIXES[role]
    if config.url and not config.project:  # on a team's server others' workspaces have that name
        title += f" {h8(str(workspace.root.resolve()))}"
    most = _TITLE_LENGTH - len(end)
    if len(title) > most:  # two that begin alike must not share a project
        title = f"{title[: most - 9]}~{h8(title)}"
    return title + end


def _settings(title: str, role: Role = "first") -> Json:
    return {
        "title": title,
        "label_config": config_of(role),
        "model_version": MODEL_VERSION,
        # Least certain first, by the prediction's score.
        "sampling": "Uncertainty sampling",
        # A skipped task would count as answered here and there: `unsure` says it plainly.
        "show_skip_button": False,
        "show_instruction": False,  # it would pop up each time; the button stays
        "expert_instruction": _ASK if role == "question" else _INSTRUCTION,
    }


_INSTRUCTION = (
    "Play the clip. Is every visible thing that makes the sound boxed, does each box follow its "
    "thing, and is the event's span on the waveform right? Mend what is not, then: <b>a</b> ok, "
    "<b>r</b> reject, <b>s</b> unsure, and <b>Ctrl+Enter</b>. <b>1-9</b> picks an object for a new "
    "box; a selected box goes with <b>Backspace</b>, or is marked with <b>k j o n</b>. Set the "
    "video hop size to 1 once (gear beside the video)."
)
"""Written by us alone: the page takes it as markup."""

_ASK = (
    "Play the clip and read the question. Is it clear, is the answer right and the only right one, "
    "and are its boxes and times right? Then <b>a</b> ok, <b>r</b> reject with a reason, <b>s</b> "
    "unsure, and <b>Ctrl+Enter</b>."
)
