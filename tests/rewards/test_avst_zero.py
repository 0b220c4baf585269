"""Mode avst_zero: the released code's numbers, on made-up answers and on the released ones."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from earshot.rewards import score
from earshot.rewards.avst_zero import score_text
from earshot.rewards.grammar import Task, parse, render_r_avst
from earshot.rewards.r_avst import TASKS

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "r_avst.json").read_text("utf-8"))


@pytest.mark.parametrize("number", range(len(GOLDEN["cases"])))
def test_golden(number: int) -> None:
    """What the released functions gave is given within 1e-12; what they raised is 0, and told."""
    case = GOLDEN["cases"][number]
    got = score_text(case["task"], case["completion"], case["solution"])
    assert got.format == case["format"]
    assert got.task_total(case["task"]) == pytest.approx(case["reward"] or 0.0, abs=1e-12)
    assert got.total == pytest.approx(case["format"] + (case["reward"] or 0.0), abs=1e-12)
    assert got.status == ("original_raised" if case["raises"] else "ok")


def test_the_goldens_hold_what_matters() -> None:
    """Rewards inside (0, 1) for each task, formats of both kinds, and exceptions are among them."""
    cases = GOLDEN["cases"]
    for task in ("temporal", "spatial", "spatio_temporal"):
        inside = [c for c in cases if c["task"] == task and 0 < (c["reward"] or 0) < 1]
        assert len(inside) >= 10
    assert {case["format"] for case in cases} == {0.0, 1.0}
    assert "UnicodeDecodeError" in {case["raises"] for case in cases}


def rows_of(answer: str, task: Task) -> list[dict[str, Any]]:
    """The objects of a truth as a release of ours would hold what R-AVST wrote."""
    zero = (0, 0, 0, 0)
    return [
        {
            "name": block.name,
            "accept": [],
            "tubes": [
                {
                    "boxes": [
                        [line.time_micro / 1e6, None]
                        if line.box_xyxy_micro == zero
                        else [line.time_micro / 1e6, *(e / 1e6 for e in line.box_xyxy_micro or ())]
                        for line in block.lines
                    ]
                }
            ],
        }
        for block in parse(answer, task).answer.blocks
    ]


def truth_json(answer: str, task: Task) -> str:
    """The truth of CONTRACTS 7 for an answer in R-AVST's form; as dirty as it."""
    intervals = [
        [start / 1e6, end / 1e6] for start, end in parse(answer, task).answer.intervals_micro
    ]
    value = {"v": 1, "task": task, "intervals": intervals, "objects": rows_of(answer, task)}
    return json.dumps(value)


def test_a_truth_of_ours_scores_as_the_text_would() -> None:
    """With null for a zero box, truth_json gives the numbers that R-AVST's own text gives."""
    compared = 0
    for case in GOLDEN["cases"]:
        task, solution = case["task"], case["solution"]
        answer = parse(solution, task).answer
        if task != "spatial" and len(answer.intervals_micro) != 1:
            continue
        if render_r_avst(answer, task).split() != solution.split():
            continue
        compared += 1
        by_text = score_text(task, case["completion"], solution)
        by_json = score(task, case["completion"], truth_json(solution, task), mode="avst_zero")
        assert by_json == by_text
    assert compared > 150


def released(shared_data: Path) -> Iterator[tuple[Task, str]]:
    """Task and answer of every released test question."""
    videos = json.loads((shared_data / "annotations" / "ravst_test_qa.json").read_text("utf-8"))
    for video in videos:
        for event in video["annotation"]:
            for key, task in TASKS.items():
                for question in event.get(key, []):
                    yield task, question["A"]


def test_released_truths_score_as_measured(shared_data: Path) -> None:
    """The truth against itself: format 0 everywhere, and the task rewards of CONTRACTS 7."""
    rows = sorted(released(shared_data), key=lambda row: row[0])
    found = {}
    for task, group in groupby(rows, key=lambda row: row[0]):
        scores = [score_text(task, answer, answer) for _, answer in group]
        assert {got.format for got in scores} == {0.0}
        assert {got.status for got in scores} == {"ok"}
        rewards = [got.task_total(task) or 0.0 for got in scores]
        n_perfect = sum(reward == pytest.approx(1, abs=1e-12) for reward in rewards)
        found[task] = (len(rewards), n_perfect, round(fmean(rewards), 4), round(min(rewards), 4))
    assert found == {
        "temporal": (436, 436, 1.0, 1.0),
        "spatial": (417, 284, 0.9594, 0.5),  # 68.1 %
        "spatio_temporal": (199, 139, 0.9545, 0.5625),  # 69.85 %
    }


def test_released_truths_score_the_same_as_json(shared_data: Path) -> None:
    """The same rows as truth_json give the same numbers."""
    rows = list(released(shared_data))[::7]
    for task, answer in rows:
        got = score(task, answer, truth_json(answer, task), mode="avst_zero")
        assert got == score_text(task, answer, answer)
    assert len(rows) > 100


TRUTH = (
    "<answer>\n<object>dog</object>\n<where>\n"
    "2.0: [10.0, 10.0, 50.0, 50.0]\n3.0: [10.0, 10.0, 50.0, 50.0]\n</where>\n</answer>"
)
ONE_BOX = "<object>a dog</object><where>\n2.0: [10, 10, 50, 50]\n</where>"


def test_released_defects_are_kept() -> None:
    """One right box is a full track, no answer tags are needed, and [2, nan] is a perfect time."""
    got = score_text("spatial", ONE_BOX, TRUTH)
    assert (got.object, got.spatial, got.format, got.total) == (1.0, 1.0, 0.0, 1.0)
    when = "<answer>\n<object>dog</object>\n<when>[2.0, 8.0]</when>\n</answer>"
    assert score_text("temporal", "<when>[2, nan]</when>", when).temporal == 1.0


def test_a_mapper_replaces_names() -> None:
    """A plugged-in mapper sees the name as written and gives the one that is compared."""
    seen: list[str] = []

    def mapper(name: str) -> str:
        seen.append(name)
        return "dog"

    text = ONE_BOX.replace("a dog", " The Puppy ")
    assert score_text("spatial", text, TRUTH).object == 0.0
    assert score_text("spatial", text, TRUTH, mapper).total == 1.0
    ours = truth_json(TRUTH, "spatial")
    assert score("spatial", text, ours, mode="avst_zero", map_name=mapper).total == 1.0
    assert seen == ["The Puppy", "The Puppy"]


@pytest.mark.parametrize("completion", ["\\", "C:\\xzz", "\ud800", None, 3, ["<answer>"]])
def test_what_the_original_raises_on_is_zero(completion: object) -> None:
    """A lone backslash, a broken escape, a lone surrogate and no text at all: 0, with a status."""
    got = score_text("spatial", completion, TRUTH)
    assert (got.object, got.spatial, got.total, got.status) == (0.0, 0.0, 0.0, "original_raised")


def test_an_unknown_escape_is_no_warning() -> None:
    r"""`\d` is decoded as it stands; Python's DeprecationWarning does not leave the module."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert score_text("spatial", "\\d" + ONE_BOX, TRUTH).total == 1.0
    assert caught == []


@pytest.mark.parametrize(
    "truth",
    [
        None,
        "",
        "[]",
        '{"v":1,"task":"temporal","objects":[],"intervals":[]}',
        '{"v":2,"task":"spatial","objects":[],"intervals":[]}',
        '{"v":1,"task":"spatial","intervals":[]}',
        '{"v":1,"task":"spatial","objects":[{"name":3,"tubes":[]}],"intervals":[]}',
        '{"v":1,"task":"spatial","objects":[{"name":"a","tubes":[{"boxes":[[0]]}]}],"intervals":[]}',
        '{"v":1,"task":"spatial","objects":[{"name":"a","tubes":[{"boxes":[[1e999,null]]}]}],'
        '"intervals":[]}',
    ],
)
def test_a_truth_that_is_no_record_is_a_status(truth: str | None) -> None:
    """bad_truth: nothing applies, total 0."""
    got = score("spatial", ONE_BOX, truth, mode="avst_zero")
    assert (got.status, got.format, got.total) == ("bad_truth", None, 0.0)


def test_a_number_that_is_not_finite_is_zero() -> None:
    """Where the original's arithmetic gives NaN the dimensions are 0 and the status says so."""
    endless = "<object>dog</object>\n<when>[0, inf]</when>"
    got = score_text("temporal", endless, endless)
    assert (got.temporal, got.total, got.status) == (0.0, 0.0, "original_nan")
