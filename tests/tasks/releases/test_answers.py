"""Answers that are written again from the truths say what was published, in any box space."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pytest

from earshot.errors import ReleaseError
from earshot.rewards import grammar
from earshot.rewards.strict import score
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from earshot.tasks.releases import Release
from earshot.tasks.releases.answers import render_answers
from tests.factories import make_truth, render_truth


def test_published_answers_come_out_byte_for_byte(release):
    """All tasks of a release."""
    questions = Release(release).read()
    assert render_answers(questions).to_pylist() == questions["answer"].to_pylist()
    assert Release(release).answers("norm")["answer"].to_pylist() == questions["answer"].to_pylist()


def truths(count: int) -> list[Truth]:
    """Any tasks, several intervals, objects, instances, absent times, none-answers."""
    rng = random.Random(8)
    made = []
    for index in range(count):
        task = ("temporal", "spatial", "spatio_temporal")[index % 3]
        one = make_truth(task)
        if task == "temporal":
            at = [round(rng.random() + 3 * n, 1) for n in range(rng.randrange(1, 4))]
            spans = tuple((begin, round(begin + 1.5, 1)) for begin in at)
            one = one.model_copy(update={"intervals": spans})
        if task == "spatial":
            names = rng.sample(["dog", "Männer", 'car & "bus"', "bell"], rng.randrange(4))
            one = one.model_copy(update={"objects": tuple(_thing(rng, name) for name in names)})
        made.append(one)
    return made


def _thing(rng: random.Random, name: str) -> TruthObject:
    tubes = tuple(_tube(rng) for _ in range(rng.randrange(1, 3)))
    return TruthObject(name=name, accept=(name,), tubes=tubes)


def _tube(rng: random.Random) -> TruthTube:
    rows: list[tuple[float, ...]] = [(2.0, 0.1, 0.0, 1.0, 0.5)]
    for second in range(3, 6):
        x, y = round(rng.random() * 0.5, 3), round(rng.random() * 0.5, 3)
        box = (float(second), x, y, round(x + 0.3, 3), round(y + 0.123, 3))
        rows.append(box if rng.random() < 0.7 else (float(second), None))
    return TruthTube(boxes=tuple(rows))


def table(made: list[Truth]) -> pa.Table:
    """Those truths as questions."""
    return pa.table(
        {
            "task": [one.task for one in made],
            "box_space": [one.box_space for one in made],
            "truth_json": [one.canonical() for one in made],
        }
    )


def test_columns_write_what_the_grammar_writes():
    """The same bytes as one answer at a time."""
    made = truths(300)
    none = grammar.render(grammar.NONE_ANSWER, "spatial", "norm")
    expected = [render_truth(one) if one.objects else none for one in made]
    assert none in expected
    assert render_answers(table(made)).to_pylist() == expected


def test_thousandths_are_the_same_boxes():
    """Scored against the truth in thousandths, each answer is right in every dimension."""
    made = truths(60)
    for one, text in zip(made, render_answers(table(made), "rel1000").to_pylist(), strict=True):
        data = json.loads(one.canonical())
        data["box_space"] = "rel1000"
        for thing in data["objects"]:
            for tube in thing["tubes"]:
                tube["boxes"] = [
                    [row[0], *(None if v is None else round(v * 1000) for v in row[1:])]
                    for row in tube["boxes"]
                ]
        assert score(one.task, text, json.dumps(data)).total == 2.0


def test_truths_in_pixels_are_refused():
    """A thousandth of an unknown frame is not known."""
    rows = table(truths(3)).set_column(1, "box_space", pa.array(["norm", "native_px", "norm"]))
    with pytest.raises(ReleaseError, match="box space native_px"):
        render_answers(rows)
