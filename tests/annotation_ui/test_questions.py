"""A question beside its clip: the answer's boxes and times lie where the truth has them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.keys import boxes_at, read_keys
from earshot.annotation_ui.labeling import (
    QUESTION_CONTROLS,
    QUESTION_FIELDS,
    lint,
    question_config,
)
from earshot.annotation_ui.questions import question_task, read_verdict
from earshot.annotation_ui.read import AnnotationError
from earshot.schemas.arrow import to_table
from earshot.schemas.inspection import QuestionInspection
from earshot.schemas.question import Question
from earshot.store.inspection_report import rejected_questions
from tests.annotation_ui.conftest import choice
from tests.annotation_ui.events import DONE_AT
from tests.factories import make_question, make_video

CLOCK = Clock(0.0, 25.0, 500)


def task(task_name: str = "spatio_temporal") -> dict[str, Any]:
    """The task about a question."""
    return question_task(make_question(task=task_name), make_video(), "clips/a.mp4", CLOCK)  # type: ignore[arg-type]


def verdict(*results: dict[str, Any], question: Question | None = None) -> QuestionInspection:
    """What a person says of it, read back."""
    question = question or make_question()
    whole = {"id": 3, **question_task(question, make_video(), "clips/a.mp4", CLOCK)}
    annotation = {"id": 7, "result": results, "completed_by": 2, "updated_at": DONE_AT}
    return read_verdict(1, whole, annotation)


def test_the_config_fits_the_adapter() -> None:
    """Every name, label, variable and hotkey is as the adapter has it; a task has these fields."""
    assert lint(question_config(), QUESTION_CONTROLS, QUESTION_FIELDS) == []
    assert task()["data"].keys() == QUESTION_FIELDS


def test_boxes_and_times_are_drawn() -> None:
    """At each grid time the truth's box, hidden where it is absent, and the interval as a span."""
    made = task()
    truth = json.loads(make_question(task="spatio_temporal").truth_json)
    (box, span) = made["predictions"][0]["result"]
    assert (span["value"]["start"], span["value"]["end"]) == (2.0, 6.0)
    rows = truth["objects"][0]["tubes"][0]["boxes"]
    keys = read_keys(box["value"]["sequence"])
    found, shown = boxes_at(keys, CLOCK.frames([row[0] for row in rows]), 16 / 9)
    assert shown.tolist() == [row[1] is not None for row in rows]
    expected = np.array([row[1:] for row in rows if row[1] is not None])
    assert found[shown] == pytest.approx(expected, abs=1e-9)
    assert made["data"]["answer"] == "dog (1 drawn); 2.0 to 6.0 s"


@pytest.mark.parametrize("name", ["temporal", "spatial"])
def test_what_an_answer_lacks_is_not_drawn(name: str) -> None:
    """No boxes of a temporal question, no span of a spatial one."""
    kinds = {each["type"] for each in task(name)["predictions"][0]["result"]}
    assert kinds == ({"labels"} if name == "temporal" else {"videorectangle"})


def test_a_rejected_question_is_out_until_it_changes() -> None:
    """By id and content: the same question in other words is asked again."""
    one, other = make_question(), make_question(task="spatial")
    said = verdict(choice("verdict", "reject"), choice("reason", "answer wrong"))
    assert (said.question_id, said.question_digest) == (one.question_id, one.digest)
    assert said.reasons == ("answer wrong",)
    assert rejected_questions(to_table(Question, [one, other]), [said]) == {one.question_id: said}
    changed = one.model_copy(update={"question": "When?"})
    assert rejected_questions(to_table(Question, [changed]), [said]) == {}
    later = said.model_copy(update={"verdict": "ok", "at": said.at.replace(year=2027)})
    assert rejected_questions(to_table(Question, [one]), [later, said]) == {}


def test_no_verdict_is_no_answer() -> None:
    """Nothing is guessed."""
    with pytest.raises(AnnotationError, match="expected one of ok, reject, unsure"):
        verdict()
