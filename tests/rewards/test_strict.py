"""Mode strict: the worked vectors, a slow reading of CONTRACTS 7, and what is no truth."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import permutations
from typing import Any, cast

import pytest
from hypothesis import given, settings

from earshot.names import norm
from earshot.rewards import Score, score
from earshot.rewards.grammar import Task
from tests import factories, worlds
from tests.rewards.truths import (
    SECOND,
    TASKS,
    Box,
    Case,
    cases,
    completion_of,
    read_vectors,
    truth_of,
    write,
)


def test_all_vectors_are_here() -> None:
    """The file beside the tests holds the contract's 238 vectors, no two of one id."""
    assert len({vector["id"] for vector in read_vectors()}) == len(read_vectors()) == 238


@pytest.mark.parametrize("vector", read_vectors(), ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """Every worked vector has its six values, within 1e-9."""
    got = score(vector["task"], completion_of(vector), vector["truth_json"]).as_dict()
    assert {name: got[name] for name in vector["expected"]} == pytest.approx(
        vector["expected"], abs=1e-9
    )


# --- a slow, literal reading of the page ----------------------------------------------------------


def slow_iou(a: Box, b: Box) -> Fraction:
    """The IoU of two boxes as a fraction."""
    if b[0] >= b[2] or b[1] >= b[3]:
        return Fraction(0)
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return Fraction(shared, both - shared)


def slow_s(case: Case, tube: int, block: int) -> Fraction:
    """s(g, p), by sets of times."""
    truth = dict(case.tubes[tube][1])
    said: dict[Any, Box] = {}
    for position, (t, box) in enumerate(case.blocks[block][1]):
        nearest = min(case.grid, key=lambda g: (abs(g - t), g))
        key = nearest if 2 * abs(nearest - t) <= SECOND else ("extra", position)
        said.setdefault(key, box)
    visible = {t for t, box in truth.items() if box}
    mine = {t for t in said if t in truth or t not in case.grid}
    shared = (slow_iou(cast("Box", truth[t]), said[t]) for t in visible & mine)
    return Fraction(sum(shared, Fraction(0)), len(visible | mine))


def slow_best(case: Case, value: Any) -> Fraction:
    """The largest sum over all one-to-one pairings, by trying them all."""
    places = [*range(len(case.blocks)), *[None] * len(case.tubes)]
    return max(
        sum((value(g, p) for g, p in enumerate(chosen) if p is not None), Fraction(0))
        for chosen in permutations(places, len(case.tubes))
    )


def slow_spatial(case: Case) -> tuple[Fraction, Fraction]:
    """Object and spatial of a case with tubes."""

    def matches(g: int, p: int) -> bool:
        return norm(case.blocks[p][0]) in {norm(case.tubes[g][0]), "thing"}

    any_name = case.task == "spatio_temporal"
    n_g, n_p = len(case.tubes), len(case.blocks)
    m = slow_best(case, lambda g, p: Fraction(matches(g, p)))
    s = slow_best(case, lambda g, p: slow_s(case, g, p) * (any_name or matches(g, p)))
    if case.branch == "silent":
        temper = min(Fraction(1), Fraction(n_g + 2, n_p))
        return m / n_g * temper, s / n_g * temper
    return 2 * m / (n_p + n_g), s / max(n_g, n_p)


def slow_temporal(case: Case) -> Fraction:
    """The IoU of two sets of tenths."""
    truth, said = (
        {tenth for start, end in pairs for tenth in range(start // 100_000, end // 100_000)}
        for pairs in (case.intervals, case.said)
    )
    return Fraction(len(truth & said), len(truth | said))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_strict_is_what_the_page_says(case: Case) -> None:
    """Each dimension agrees with a slow reading in fractions, and the total with its weights."""
    got = score(case.task, case.text, case.truth)
    expected: dict[str, float | None] = {"object": None, "temporal": None, "spatial": None}
    if case.task != "spatial":
        expected["temporal"] = float(slow_temporal(case))
    if case.task == "spatial" and not case.tubes:
        expected["object"] = 0.0
    elif case.task != "temporal":
        object_score, spatial = slow_spatial(case)
        expected["spatial"] = float(spatial)
        if case.task == "spatial":
            expected["object"] = float(object_score)
    for name, value in expected.items():
        assert getattr(got, name) == pytest.approx(value, abs=1e-12), name
    parts = [value for value in expected.values() if value is not None]
    assert got.format is not None
    assert got.total == pytest.approx(got.format + math.fsum(parts) / len(parts), abs=1e-12)


# --- rows of a release ----------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_questions_own_answer_is_perfect(task: Task) -> None:
    """The answer column scores 1 in all that applies and 2 in total against truth_json."""
    question = factories.make_question(task=task)
    got = score(task, question.answer, question.truth_json)
    applies = {value for name, value in got.as_dict().items() if name not in ("total", "status")}
    assert applies == {1.0, None}
    assert (got.total, got.status) == (2.0, "ok")


def test_questions_that_the_pipeline_writes_are_perfect() -> None:
    """What write_questions makes of a world with two dogs, one that leaves, and a silent cat."""
    event = worlds.event_of("dog barking", (2.0, 6.0))
    dog, cat = factories.make_object("v1", "dog"), factories.make_object("v1", "cat")
    world = worlds.World(
        video=factories.make_video("v1"),
        events=[event],
        objects=[dog, cat],
        parts=[worlds.sounding(event, dog), worlds.silent(event, cat)],
        tubes=[
            worlds.tube_of(dog, (2.0, 6.0), visible=[(2.0, 5.0)]),
            worlds.tube_of(dog, (2.0, 6.0), worlds.still(0.6), ordinal=1),
            worlds.tube_of(cat, (2.0, 6.0), worlds.still(0.0)),
        ],
    ).passed()
    questions = [row for row in world.ask().records if isinstance(row, factories.Question)]
    assert {question.task for question in questions} >= {"temporal", "spatial"}
    assert {question.branch for question in questions} >= {"sounding", "silent"}
    totals = [score(q.task, q.answer, q.truth_json).total for q in questions]
    assert totals == [2.0] * len(questions)


# --- precedence, and what is no truth -------------------------------------------------------------

GRID = [0, SECOND]
TUBE = ("dog", [(0, (0, 0, SECOND, SECOND)), (SECOND, None)])
BAD = Score(None, None, None, None, 0.0, "bad_truth")
LONG = "x" * 70_000


def spatial_truth(**changes: Any) -> str:
    """A truth of one tube, changed."""
    value = json.loads(truth_of("spatial", [cast("Any", TUBE)], (), GRID, "sounding"))
    return json.dumps({**value, **changes})


def rows(*boxes: Any) -> list[dict[str, Any]]:
    """Objects with one tube of such rows."""
    return [{"name": "dog", "accept": ["dog"], "tubes": [{"boxes": list(boxes)}]}]


@pytest.mark.parametrize(
    "truth",
    [
        "",
        "null",
        "[]",
        '{"v":1}',
        "[" * 100_000,
        spatial_truth(v=2),
        spatial_truth(v=True),
        spatial_truth(v="1"),
        spatial_truth(task="temporal"),
        spatial_truth(branch="loud"),
        spatial_truth(branch=None),
        spatial_truth(objects=None),
        spatial_truth(objects=[{"name": "", "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": " dog", "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": "a<b", "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": "x" * 81, "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": "?!", "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": 3, "accept": [], "tubes": []}]),
        spatial_truth(objects=[{"name": "dog", "accept": [3], "tubes": []}]),
        spatial_truth(objects=[{"name": "dog", "accept": ["dog"], "tubes": [{"boxes": []}]}]),
        spatial_truth(objects=rows([0, None])),
        spatial_truth(objects=rows([0.5, 0, 0, 1, 1])),
        spatial_truth(objects=rows([0, None], [0, 0, 0, 1, 1])),
        spatial_truth(objects=rows([0, 1, 0, 0, 1])),
        spatial_truth(objects=rows([0, 0, 1, 1, 1])),
        spatial_truth(objects=rows([0, 0, 0, 1])),
        spatial_truth(objects=rows([0, 0, 0, 1, True])),
        spatial_truth(objects=rows([0, 0, 0, 1, 1e9])),
        spatial_truth(objects=rows([0, 0, 0, 1, float("nan")])),
        spatial_truth(objects=rows([0, 0, 0, 1, float("inf")])),
        spatial_truth(intervals=[[3, 2]]),
        spatial_truth(intervals=[[3]]),
        spatial_truth(grid={"anchor_s": 0, "step_s": 0, "times_s": [0, 1]}),
        spatial_truth(grid=None),
    ],
    ids=lambda truth: truth[:60],
)
def test_a_truth_that_cannot_be_scored_is_a_status(truth: str) -> None:
    """bad_truth comes before the completion's own faults: nothing applies, total 0."""
    for completion in (write("spatial", [("dog", [(0, (0, 0, SECOND, SECOND))])]), LONG, "", None):
        assert score("spatial", completion, truth) == BAD


@pytest.mark.parametrize("truth", [None, 3, b"{}", {"v": 1}])
def test_a_truth_that_is_no_text_is_a_bad_one(truth: object) -> None:
    """The truth is a JSON string; a dict is the caller's mistake, told by the status."""
    assert score("spatial", "", truth) == BAD


def test_a_question_of_time_and_place_needs_both() -> None:
    """A spatio_temporal truth without intervals or without tubes can't be answered."""
    tube = cast("Any", TUBE)
    assert score("spatio_temporal", "", truth_of("spatio_temporal", [tube], (), GRID)) == BAD
    assert score("spatio_temporal", "", truth_of("spatio_temporal", [], grid=GRID)) == BAD
    whole = truth_of("spatio_temporal", [tube], grid=GRID)
    assert score("spatio_temporal", "", whole).status == "no_answer"


def test_length_comes_before_the_missing_answer() -> None:
    """Of a good truth and a bad completion: too_long, then no_answer, each with zeros."""
    assert score("spatial", LONG, spatial_truth()) == Score(0, 0, None, 0, 0, "too_long")
    for completion in ("", None, 3, ["<answer></answer>"], b"<answer></answer>"):
        assert score("spatial", completion, spatial_truth()) == Score(0, 0, None, 0, 0, "no_answer")
    none = truth_of("spatial", [], (), GRID, "silent")
    assert score("spatial", "", none) == Score(0, 0, None, None, 0, "no_answer")
    assert score("temporal", "", truth_of("temporal")) == Score(0, None, 0, None, 0, "no_answer")


def test_an_unknown_task_or_mode_is_the_callers_mistake() -> None:
    """Neither can come from a completion, so they raise."""
    with pytest.raises(ValueError, match="spatio_temporal"):
        score(cast("Task", "AVTR"), "", "{}")
    with pytest.raises(ValueError, match="spatio_temporal"):
        score(cast("Task", "AVTR"), "", "{}", mode="avst_zero")
    with pytest.raises(ValueError, match="avst_zero"):
        score("temporal", "", "{}", mode=cast("Any", "lenient"))


def test_own_name_is_accepted_and_accept_is_taken_as_it_stands() -> None:
    """The truth's name is normalised, its accept set is already."""
    objects = [{"name": "The Dog!", "accept": ["puppy", "Hound"], "tubes": []}]
    objects[0]["tubes"] = [{"boxes": [[0, 0, 0, 1, 1]]}]  # type: ignore[assignment]
    truth = spatial_truth(objects=objects)
    line = [(0, (0, 0, SECOND, SECOND))]
    found = {
        name: score("spatial", write("spatial", [(name, cast("Any", line))]), truth).object
        for name in ("dog", "a DOG", "puppy", "hound", "Hound")
    }
    assert found == {"dog": 1.0, "a DOG": 1.0, "puppy": 1.0, "hound": 0.0, "Hound": 0.0}


def test_many_instances_of_one_name_are_assigned_exactly() -> None:
    """40 tubes and 40 shuffled blocks of one name: every block finds its own tube."""
    tubes: list[Any] = [
        ("dog", [(0, (n * 20_000, 0, (n + 1) * 20_000 + 10_000, SECOND))]) for n in range(40)
    ]
    blocks: list[Any] = [(name, lines) for name, lines in reversed(tubes)]
    truth = truth_of("spatial", tubes, (), GRID, "sounding")
    assert score("spatial", write("spatial", blocks), truth).total == 2.0
