"""Cleaning R-AVST's rows for strict: what becomes a truth, and why the rest does not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from earshot.rewards import score
from earshot.rewards.grammar import Task, render
from earshot.rewards.r_avst import BOX_SPACE, TASKS, Cleaned, branch_of, clean

SOUNDING = "What visible object(s) make sound between 0.0 and 3.0, and where is/are they?"
SILENT = "What silent object(s) can be seen between 0.0 and 3.0, and where is/are they?"
ONE = "[1.0, 2.0, 30.0, 40.0]"
TWO = "[50.0, 2.0, 90.0, 40.0]"
ZERO = "[0.0, 0.0, 0.0, 0.0]"


def spatial(*lines: str, name: str = "A dog") -> str:
    """A released spatial answer with one object."""
    rows = "".join(f"{line}\n" for line in lines)
    return f"<answer>\n<object>{name}</object>\n<where>\n{rows}</where>\n</answer>"


def cleaned(answer: str, task: Task = "spatial", question: str = SOUNDING) -> Cleaned:
    """What is made of an answer; it is scored 2 against itself."""
    got = clean(task, question, answer, 10.0)
    assert isinstance(got, Cleaned), got
    assert score(task, render(got.answer, task, BOX_SPACE), got.truth_json).total == 2.0
    return got


def test_zero_boxes_become_absent() -> None:
    """A zero box is a time at which the object is not there; a time without a line is unknown."""
    got = cleaned(spatial(f"0.4: {ONE}", f"1.4: {ZERO}", f"3.4: {ONE}"))
    truth = json.loads(got.truth_json)
    (thing,) = truth["objects"]
    assert thing["name"] == "A dog"
    assert thing["accept"] == ["dog"]
    assert thing["tubes"] == [{"boxes": [[0.4, 1, 2, 30, 40], [1.4, None], [3.4, 1, 2, 30, 40]]}]
    assert truth["grid"] == {"anchor_s": 0.4, "step_s": 1, "times_s": [0.4, 1.4, 3.4]}
    assert (truth["branch"], truth["box_space"]) == ("sounding", "native_px")


def test_repeated_seconds_become_instances() -> None:
    """Two boxes at every second are two instances, told apart by their order of writing."""
    got = cleaned(spatial(f"0.0: {ONE}", f"0.0: {TWO}", f"1.0: {ONE}", f"1.0: {ZERO}"))
    first, second = got.answer.blocks
    assert [line.box_xyxy_micro and line.box_xyxy_micro[0] for line in first.lines] == [10**6] * 2
    assert [line.box_xyxy_micro is None for line in second.lines] == [False, True]


def test_the_other_tasks() -> None:
    """Temporal and spatio-temporal rows keep their one interval; the branch is spatial's alone."""
    when = "<object>dog</object>\n<when>[1.0, 2.5]</when>\n"
    temporal = cleaned(f"<answer>\n{when}</answer>", "temporal")
    assert json.loads(temporal.truth_json)["intervals"] == [[1, 2.5]]
    both = f"<answer>\n{when}<where>\n1.0: {ONE}\n2.0: {ZERO}\n</where>\n</answer>"
    assert "branch" not in json.loads(cleaned(both, "spatio_temporal").truth_json)
    assert [branch_of("spatial", q) for q in (SOUNDING, SILENT)] == ["sounding", "silent"]


WHEN = "<answer>\n<object>dog</object>\n<when>[1.0, 2.0]</when>\n<where>\n{}</where>\n</answer>"


@pytest.mark.parametrize(
    ("task", "answer", "reason"),
    [
        ("spatial", "person", "no_answer"),
        ("spatial", "<answer>\n</answer>", "no_answer"),
        ("spatial", spatial(), "empty_where"),
        ("spatial", spatial(f"0.0: {ZERO}"), "never_visible"),
        ("spatial", spatial(f"0.0: {ONE}", f"0.0: {ZERO}"), "never_visible"),
        ("spatial", spatial(f"0.0: {ONE}", f"0.0: {TWO}", f"1.0: {ONE}"), "uneven_repeats"),
        ("spatial", spatial("0.0: [5.0, 2.0, 5.0, 9.0]"), "empty_box"),
        ("spatial", spatial(*[f"{n}.0: {ONE}" for n in range(2001)]), "over_cap"),
        ("temporal", "<answer>\n<object>dog</object>\n</answer>", "no_interval"),
        ("temporal", WHEN.replace("2.0", "1.0"), "empty_interval"),
        ("spatio_temporal", WHEN.format(f"1.0: {ONE}\n1.0: {TWO}\n"), "several_instances"),
    ],
)
def test_rows_that_cannot_be_cleaned_say_why(task: Task, answer: str, reason: str) -> None:
    """Nothing is guessed: each kind of row has a reason of its own."""
    assert clean(task, SOUNDING, answer, 10.0) == reason


def test_released_rows(shared_data: Path) -> None:
    """Every released row that can be cleaned scores 1 in all that applies; the rest is counted."""
    videos = json.loads((shared_data / "annotations" / "ravst_test_qa.json").read_text("utf-8"))
    found: Counter[tuple[str, object]] = Counter()
    for video in videos:
        for event in video["annotation"]:
            for key, task in TASKS.items():
                for row in event.get(key, []):
                    got = clean(task, row["Q"], row["A"], video["duration"])
                    if isinstance(got, Cleaned):
                        text = render(got.answer, task, BOX_SPACE)
                        found[task, score(task, text, got.truth_json).total] += 1
                    else:
                        found[task, got] += 1
    assert found == {
        ("temporal", 2.0): 436,
        ("spatial", 2.0): 279,
        ("spatial", "empty_where"): 71,
        ("spatial", "uneven_repeats"): 66,
        ("spatial", "never_visible"): 1,
        ("spatio_temporal", 2.0): 143,
        ("spatio_temporal", "uneven_repeats"): 40,
        ("spatio_temporal", "several_instances"): 16,
    }
