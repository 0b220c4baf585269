"""Rows made by columns are the rows that are made one at a time, to the last byte."""

from __future__ import annotations

import random
import re

import numpy as np
import pyarrow as pa
import pytest

from earshot.errors import ItemError
from earshot.geometry.spaces import BoxSpace
from earshot.media.child import Worker
from earshot.prompts.tokens import count_tokens
from earshot.rewards import score
from earshot.schemas.arrow import from_table
from earshot.schemas.question import GridRecord
from earshot.schemas.training import TrainingRow
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from earshot.tasks.grpo.bulk import Shown, tell
from earshot.tasks.grpo.difficulty import Known, Rollouts, measure
from earshot.tasks.grpo.footage import LIMIT_S, Footage
from earshot.tasks.grpo.halves import VIDEO, common_half, whole_rows
from earshot.tasks.grpo.maker import Maker
from earshot.tasks.grpo.ordinary import ordinary_rows
from earshot.tasks.grpo.truths import in_space, render
from earshot.tasks.releases.in_order import read_batches
from tests.tasks.grpo.test_export import config

TASKS = ("temporal", "spatial", "spatio_temporal")
NAMES = (
    "dog",
    'the "big" one',
    "café",
    "woman in a red coat",
    'a\\"boxes":[b',
    "狗",
    "3 men",
    "x_y",
)
SIZES = ((588, 336), (140, 252), (1008, 560), (28, 28))


def make(rng: random.Random, task: str) -> Truth:
    """A truth with one or more objects, instances, absent times, and intervals."""
    start = rng.randint(0, 300) / 10
    spans = tuple((round(start + 20 * n, 1), round(start + 20 * n + 7.3, 1)) for n in range(2))
    spans = spans[: rng.randint(1, 2)]
    times = tuple(round(a + k, 1) for a, _ in spans for k in range(rng.choice([1, 8])))

    def box() -> tuple[float, ...]:
        left, top = rng.randint(0, 900), rng.randint(0, 900)
        right, low = rng.randint(left + 1, 1000), rng.randint(top + 1, 1000)
        return tuple(edge / 1000 for edge in (left, top, right, low))

    def tube() -> TruthTube:
        seen = [rng.random() < 0.8 for _ in times]
        return TruthTube(
            boxes=tuple((t, *box()) if s else (t, None) for t, s in zip(times, seen, strict=True))
        )

    count = rng.choice([0, 1, 3]) if task == "spatial" else 1
    things = tuple(
        TruthObject(
            name=name,
            accept=(name.lower(),),
            tubes=tuple(tube() for _ in range(0 if task == "temporal" else rng.choice([1, 1, 2]))),
        )
        for name in rng.sample(NAMES, count)
    )
    return Truth(
        task=task,
        branch="sounding" if task == "spatial" else None,
        duration_s=60.0,
        intervals=() if task == "spatial" else spans,
        objects=things,
        grid=GridRecord(anchor_s=spans[0][0], step_s=1.0, times_s=times),
        box_space="norm",
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("space", ["resized_px", "rel1000"])
def test_columns_say_what_single_rows_say(task, space):
    """Truth, answer, tokens and objects; what is left over is odd, or can't be told at all."""
    rng = random.Random(f"{task} {space}")
    truths = [make(rng, task) for _ in range(300)]
    sizes = [rng.choice(SIZES) for _ in truths]
    scale = [size if space == "resized_px" else (1000, 1000) for size in sizes]
    shown = Shown(np.array(scale, float), np.full(300, 0.5), np.full(300, 60.0), space)
    budget = 400
    told = tell(task, pa.array([truth.canonical() for truth in truths]), shown, budget)
    assert len(told.rows) > 60
    columns = {name: column.to_pylist() for name, column in told.columns.items()}
    for at, number in enumerate(told.rows.tolist()):
        size = sizes[number] if space == "resized_px" else (None, None)
        truth = in_space(truths[number], BoxSpace(space, *size), (640, 360))
        assert columns["truth_json"][at] == truth.canonical()
        assert columns["answer"][at] == render(truth)
        assert columns["answer_tokens"][at] == count_tokens(render(truth))
        assert score(task, render(truth), truth.canonical()).total == 2
        assert [(e["start_s"], e["end_s"]) for e in columns["gt_events"][at]] == [*truth.intervals]
        boxes = [[(*b.values(),) for b in o["boxes"]] for o in columns["gt_objects"][at]]
        tubes = [tube for thing in truths[number].objects for tube in thing.tubes]
        assert boxes == [[row for row in tube.boxes if len(row) == 5] for tube in tubes]
    for number in set(range(300)) - set(told.rows.tolist()):
        size = sizes[number] if space == "resized_px" else (None, None)
        try:
            truth = in_space(truths[number], BoxSpace(space, *size), (640, 360))
        except ItemError:
            continue
        tubes = [tube for thing in truth.objects for tube in thing.tubes]
        unseen = any(all(len(row) == 2 for row in tube.boxes) for tube in tubes)
        two = task == "spatio_temporal" and len(tubes) > 1
        assert unseen or two or count_tokens(render(truth)) > budget


def test_foreign_truths_are_left_to_the_other_way():
    """Another order of keys, task, space or kind of value, no JSON tail: none is ordinary."""
    truth = make(random.Random(1), "temporal")
    texts = [
        truth.canonical(),
        truth.model_copy(update={"box_space": "native_px"}).canonical(),
        truth.model_copy(update={"task": "spatial"}).canonical(),
        truth.canonical()[:-1] + " }",
        '{"v":1}',
    ]
    shown = Shown(np.ones((5, 2)), np.full(5, 0.5), np.full(5, 60.0), "rel1000")
    assert tell("temporal", pa.array(texts), shown, 1000).rows.tolist() == [0]
    # One that Arrow can't parse is among them: all are left, and that one is told by the other way.
    broken = re.sub(r'"intervals":\[\[[^,]+', '"intervals":[["early"', texts[0])
    assert broken != texts[0]
    assert not len(tell("temporal", pa.array([*texts[1:], broken]), shown, 1000).rows)


@pytest.mark.parametrize("profile", ["qwen2_5_vl", "qwen3_vl"])
def test_whole_rows_are_alike(release, films, profile):
    """Prompts, frames, sizes and rollouts too, for every question of a release."""
    asked_for = config(profile=profile, check_media=False)
    columns = [*release.schema().names]
    questions = pa.concat_tables(read_batches(release, "train", columns, 1000))
    names = questions["question_id"].to_pylist()
    rollouts = Rollouts(names[:5] * 2, [0.5] * 5 + [1.5] * 5)
    known = Known(measure(rollouts, 1.5))
    with Worker(LIMIT_S) as worker:
        footage = Footage(release, films, asked_for, worker)
        coded = questions["video_id"].combine_chunks().dictionary_encode()
        ids = coded.dictionary.to_pylist()
        footage.load(ids)
        makers = [Maker(release, footage.open(name), asked_for) for name in ids]
    at = known.positions(questions["question_id"])
    numbers, table = ordinary_rows(questions, makers, coded.indices, known, at)
    assert numbers.tolist() == list(range(18))
    common = pa.Table.from_batches([common_half(makers)]).take(table[VIDEO])
    rows = from_table(TrainingRow, whole_rows(table, common))
    for question, row in zip(questions.to_pylist(), rows, strict=True):
        maker = makers[ids.index(question["video_id"])]
        assert row == maker.row(question, known.find(question["question_id"]))
