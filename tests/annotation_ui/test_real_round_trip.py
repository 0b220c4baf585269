"""Random tubes through a real Label Studio and back: to the last bit, or as near as promised."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.desk import _settings
from earshot.annotation_ui.keys import boxes_at, read_keys
from earshot.annotation_ui.read import Decision, read_decision
from earshot.annotation_ui.server import Login, ServerFolder
from earshot.annotation_ui.show import Shown, region_id, sent_keys, task_of
from earshot.geometry.boxes import box_iou
from earshot.geometry.tubes import VISIBLE
from earshot.schemas.tube import Tube
from tests.annotation_ui.conftest import choice, sequence_of
from tests.annotation_ui.events import RATES, shown_of, walking
from tests.factories import make_event, make_event_object, make_object

pytestmark = pytest.mark.labelstudio

Json = dict[str, Any]
EVENTS = 40
WIDTH_PX = 1280
OK = choice("verdict", "ok")


def random_event(number: int) -> Shown:
    """An event with two tubes that come and go, on a clip at a usual rate."""
    random = np.random.default_rng(number)
    fps = RATES[number % len(RATES)]
    clock = Clock(int(random.integers(0, 50)) / fps, fps, int(random.integers(4, 9) * fps))
    event, things = make_event(label=f"random {number}"), [make_object(), make_object(name="cat")]
    tubes = []
    for ordinal, thing in enumerate(things):
        runs = random.integers(1, 12, 5)
        seen = np.repeat(random.permutation([True, False, True, True, False]), runs).tolist()
        # A tube has no more samples than its video has frames.
        step_s = float(random.choice([s for s in (0.2, 0.1, 0.04, 0.25) if s * fps > 1 - 1e-6]))
        tubes.append(walking(thing, seen, number * 2 + ordinal, step_s, 1.5, ordinal))
    parts = [make_event_object(event, thing) for thing in things]
    return shown_of(*tubes, event=event, clock=clock, objects=things, parts=parts)


@pytest.fixture(scope="module")
def project(server: tuple[ServerFolder, Login]) -> Iterator[tuple[LabelStudio, int, list[Shown]]]:
    """A project with random events, each answered ok as the page does it, on a real server."""
    _, login = server
    client = LabelStudio(login.url, login.token)
    number = int(client.post("/api/projects/", _settings(f"random {time.time_ns()}"))["id"])
    events = [random_event(each) for each in range(EVENTS)]
    client.import_tasks(number, [task_of(each) for each in events])
    yield client, number, events
    client._ask("DELETE", f"/api/projects/{number}/")


def back(client: LabelStudio, project: int) -> dict[str, Json]:
    """Whole tasks by uid."""
    return {task["data"]["uid"]: task for task in client.changed_tasks(project, None)}


def read(task: Json, shown: Shown, *, dense: bool) -> Decision:
    """What the latest annotation of a task says."""
    known = {tube.digest: tube for tube in shown.tubes} if dense else {}
    last = max(task["annotations"], key=lambda each: each["id"])
    found = read_decision(1, task, last, task["predictions"][0]["result"], known)
    assert found is not None
    return found


def submit(client: LabelStudio, task: Json, results: list[Json]) -> None:
    """Answer a task."""
    (prediction,) = task["predictions"]
    body = {"result": results, "lead_time": 1.0, "parent_prediction": prediction["id"]}
    client.post(f"/api/tasks/{task['id']}/annotations/", body)


def in_clip(tube: Tube, shown: Shown) -> np.ndarray:
    """Which samples the clip shows, one a frame."""
    frames = shown.clock.frames(tube.times_s)
    first = np.zeros(frames.size, dtype=bool)
    first[np.unique(frames, return_index=True)[1]] = True
    return first & shown.clock.holds(frames)


def test_random_tubes_come_back(project: tuple[LabelStudio, int, list[Shown]]) -> None:
    """Unchanged: equal; of key frames alone: IoU >= 0.9 and the same absences; one moved: local."""
    client, number, events = project
    for task in back(client, number).values():
        submit(client, task, [*task["predictions"][0]["result"], OK])
    tasks = back(client, number)
    compared = 0
    for shown in events:
        decision = read(tasks[shown.uid], shown, dense=True)
        assert decision.revised == ()
        assert dict(decision.kept) == {tube.tube_id: tube for tube in shown.tubes}
        again = read(tasks[shown.uid], shown, dense=False)
        for tube in shown.tubes:
            here = in_clip(tube, shown)
            if tube.tube_id not in again.kept:
                assert not sent_keys(tube, shown)
                continue
            made = again.kept[tube.tube_id]
            _, boxes, states = tube.arrays()
            _, made_boxes, made_states = made.arrays()
            assert ((states == VISIBLE) == (made_states == VISIBLE))[here].all()
            both = here & (states == VISIBLE)
            assert (box_iou(boxes[both], made_boxes[both]) >= 0.9 - 1e-6).all()
            compared += int(both.sum())
    assert compared > 500

    moved = 0
    for shown in events:
        task = tasks[shown.uid]
        left = json.loads(json.dumps(task["predictions"][0]["result"]))
        boxes_left = [r for r in left if r["type"] == "videorectangle"]
        if not boxes_left or len(boxes_left[0]["value"]["sequence"]) < 5:
            continue
        name = boxes_left[0]["id"]
        keys = sequence_of(left, name)
        middle = len(keys) // 2
        keys[middle]["x"] += 3.0 if keys[middle]["x"] < 50 else -3.0
        submit(client, task, [*left, OK])
        answers = client.get(f"/api/tasks/{task['id']}/annotations/")
        decision = read({**task, "annotations": answers}, shown, dense=True)
        (revised,) = decision.revised
        tube = next(each for each in shown.tubes if region_id(each) == name)
        frames = shown.clock.frames(tube.times_s)
        outside = (frames <= keys[middle - 1]["frame"]) | (frames >= keys[middle + 1]["frame"])
        pairs = zip(tube.boxes, revised.boxes, outside.tolist(), strict=True)
        assert all(one == other for one, other, is_out in pairs if is_out)
        assert revised.state == tube.state
        assert revised.boxes != tube.boxes
        moved += 1
    assert moved > 10


def test_our_interpolation_is_the_servers(
    project: tuple[LabelStudio, int, list[Shown]],
) -> None:
    """Of all random tubes, wherever Label Studio's own export of every frame works."""
    client, number, events = project
    path = f"/api/projects/{number}/export"
    exported = client.get(path, exportType="JSON", interpolate_key_frames="true")
    sent = {task_of(each)["data"]["uid"]: task_of(each)["predictions"][0] for each in events}
    compared = 0
    for task in exported:
        (first, *_) = sorted(task["annotations"], key=lambda each: each["id"])
        for result in first["result"]:
            if result["type"] != "videorectangle":
                continue
            keys = read_keys(sequence_of(sent[task["data"]["uid"]]["result"], result["id"]))
            dense = [key for key in result["value"]["sequence"] if key["enabled"]]
            if not dense:  # it is seen for single frames alone
                continue
            frames = np.array([key["frame"] for key in dense])
            boxes, shown = boxes_at(keys, frames, 1.0)
            inside = shown & (frames <= keys[-1].frame)
            theirs = np.array([[key[n] for n in ("x", "y", "width", "height")] for key in dense])
            ours = 100 * np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
            half_px = 0.5 / WIDTH_PX * 100
            assert np.allclose(ours[inside], theirs[inside], atol=half_px)
            compared += int(inside.sum())
    assert compared > 1000
