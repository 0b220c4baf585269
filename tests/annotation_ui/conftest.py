"""What Label Studio does to a task between import and export; and a real one to try it with."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.server import Login, ServerFolder, find, serve, stop
from earshot.annotation_ui.show import Shown, task_of
from earshot.media.sample_world import write_sample_world
from earshot.schemas.config import Config, InspectConfig
from earshot.schemas.request import BuildRequest
from earshot.store.workspace import Workspace
from earshot.tasks.build import run_build
from tests.annotation_ui.events import DONE_AT

Json = dict[str, Any]


BY_PEOPLE = Config(inspect=InspectConfig(backend="label_studio"))


def choice(name: str, *values: str, region: str = "c") -> Json:
    """A result of a <Choices> tag."""
    return {
        "id": region,
        "from_name": name,
        "to_name": "video",
        "type": "choices",
        "value": {"choices": list(values)},
    }


def answered(shown: Shown, *more: Json, edit: Callable[[list[Json]], None] | None = None) -> Json:
    """The task with an annotation that began with the prediction, as the server exports both."""
    task = json.loads(json.dumps(task_of(shown)))
    sent = task["predictions"][0]["result"]
    left = copy.deepcopy(sent)
    if edit:
        edit(left)
    for each in left:  # measured: the exported time is that of the next frame
        for key in each["value"].get("sequence", ()):
            key["time"] = key["frame"] / task["data"]["fps"]
    annotation = {
        "id": 7,
        "result": [*left, *more],
        "was_cancelled": False,
        "completed_by": 1,
        "updated_at": DONE_AT,
        "lead_time": 12.5,
        "prediction": {"result": sent},
    }
    return {"id": 3, "data": task["data"], "annotations": [annotation]}


@pytest.fixture
def ok() -> Json:
    """The verdict ok."""
    return choice("verdict", "ok")


def sequence_of(results: Sequence[Json], region: str) -> list[Json]:
    """The key frames of a region."""
    (found,) = [r for r in results if r["id"] == region and r["type"] == "videorectangle"]
    return found["value"]["sequence"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose events wait for people."""
    folder = tmp_path_factory.mktemp("people")
    manifest = write_sample_world(folder / "world", 5, 0).manifest
    request = BuildRequest(workspace=str(folder / "w"), input=str(manifest), config=BY_PEOPLE)
    run_build(request.model_copy(update={"publish": False}))
    return folder / "w"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerFolder, Login]]:
    """A server of the tests' own; one that is named stays, so that the next run starts at once."""
    if kept := os.environ.get("EARSHOT_TEST_LABEL_STUDIO"):
        folder = ServerFolder(Path(kept))
        yield folder, serve(folder, print)[0]
        return
    folder = ServerFolder(tmp_path_factory.mktemp("server") / "label_studio")
    login, was_running = serve(folder, print)
    assert not was_running
    yield folder, login
    assert stop(folder)
    assert find(folder) is None
    assert not LabelStudio.answers(login.url)


@pytest.fixture
def workspace(
    built: Path, server: tuple[ServerFolder, Login], tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Workspace:  # fmt: skip
    """A copy of it, with a project of its own on the server, reached by address and token."""
    folder, login = server
    shutil.copytree(built, tmp_path / "w")
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", login.token)
    (tmp_path / "w" / "config.toml").write_text(
        f'[inspect]\nbackend = "label_studio"\n[label_studio]\nurl = "{login.url}"\n'
        f'media_root = "{folder.media}"\nproject = "{request.node.name[5:30]} {time.time_ns()}"\n'
    )
    return Workspace.open(tmp_path / "w")
