"""What Label Studio does to a task between import and export, without Label Studio."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from earshot.annotation_ui.show import Shown, task_of
from tests.annotation_ui.events import DONE_AT

Json = dict[str, Any]


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
