"""Writes the right answers of a release again, in the box space that a model speaks.

Takes questions with their truths and gives answers as `rewards.grammar.render` writes them, column
by column: a hundred thousand rows take a second or two.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from earshot.errors import ReleaseError
from earshot.rewards.grammar import Task
from earshot.schemas.base import opt, req
from earshot.tasks.bulk_text import Blocks, answer_texts

AnswerSpace = Literal["norm", "rel1000"]
TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")

_NUMBERS = pa.list_(pa.float64())
_TUBE = pa.struct([req("boxes", pa.list_(_NUMBERS))])
_OBJECT = pa.struct([req("name", pa.string()), req("tubes", pa.list_(_TUBE))])
_TRUTH = pa.schema([opt("intervals", pa.list_(_NUMBERS)), opt("objects", pa.list_(_OBJECT))])
_ROWS = 20_000


def render_answers(questions: pa.Table, space: AnswerSpace = "norm") -> pa.ChunkedArray:
    """Return the right answer of each question, parallel to the rows.

    Boxes of `norm` truths have three decimals, so that `rel1000` (whole thousandths, as several
    models are trained on) says exactly the same.

    Args:
        questions: with `task`, `box_space` and `truth_json`.
        space: of the boxes in the answers.

    Raises:
        ReleaseError: a truth is in pixels, whose frame size is no thousandths.
    """
    others = set(questions["box_space"].unique().to_pylist()) - {"norm"}
    if others:
        raise ReleaseError(
            f"truths in the box space {', '.join(sorted(others))}; expected norm: these rows keep "
            "their published answer"
        )
    return pa.chunked_array(
        [_answers(part, space) for part in _parts(questions)] or [[]], pa.string()
    )


def _parts(questions: pa.Table) -> Iterator[pa.Table]:
    wanted = questions.select(["task", "truth_json"])
    for start in range(0, wanted.num_rows, _ROWS):
        yield wanted.slice(start, _ROWS).combine_chunks()


def _answers(questions: pa.Table, space: AnswerSpace) -> pa.Array:
    tasks = questions["task"].to_numpy(zero_copy_only=False)
    pieces, order = [], []
    for task in TASKS:
        rows = np.flatnonzero(tasks == task)
        if len(rows):
            truths = _read(questions["truth_json"].take(pa.array(rows)))
            pieces.append(answer_texts(task, _blocks(task, truths), space))
            order.append(rows)
    back = np.argsort(np.concatenate(order), kind="stable")
    return pa.concat_arrays(pieces).take(pa.array(back))


def _read(truths: pa.ChunkedArray) -> pa.Table:
    """Parse canonical truths, a line each, by Arrow: Python would take most of the time."""
    text = "\n".join(truths.to_pylist()).encode()
    options = pj.ParseOptions(explicit_schema=_TRUTH, unexpected_field_behavior="ignore")
    whole = pj.ReadOptions(block_size=len(text) + 1)
    return pj.read_json(
        io.BytesIO(text), read_options=whole, parse_options=options
    ).combine_chunks()


def _blocks(task: Task, truths: pa.Table) -> Blocks:
    """Return blocks: an object a block in time answers, a tube a block where boxes are asked."""
    spans = truths["intervals"].chunk(0)
    objects = truths["objects"].chunk(0)
    pairs = _values(spans.values.flatten())
    names = objects.values.field("name")
    per_row = objects.offsets.to_numpy()
    nothing = np.empty(0, np.int64)
    if task == "temporal":
        offsets = np.zeros(len(names) + 1, np.int64)
        return Blocks(
            names, per_row, _units(pairs, 10).reshape(-1, 2), spans.offsets.to_numpy(),
            nothing, offsets, nothing.reshape(0, 4),
        )  # fmt: skip
    tubes = objects.values.field("tubes")
    boxes = tubes.values.field("boxes")
    per_object = tubes.offsets.to_numpy()
    of_tube = np.repeat(np.arange(len(names)), np.diff(per_object))
    is_seen = pc.equal(pc.list_value_length(boxes.values), 5).to_numpy(zero_copy_only=False)
    seen_before = np.concatenate([[0], np.cumsum(is_seen)])
    rows = _values(boxes.values.filter(pa.array(is_seen)).flatten()).reshape(-1, 5)
    return Blocks(
        names=names.take(pa.array(of_tube)),
        blocks=per_object[per_row],
        spans=_units(pairs, 10).reshape(-1, 2),
        intervals=spans.offsets.to_numpy(),
        times=_units(rows[:, 0], 10),
        lines=seen_before[boxes.offsets.to_numpy()],
        boxes=_units(rows[:, 1:], 1000),
    )


def _values(numbers: pa.Array) -> np.ndarray:
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _units(values: np.ndarray, per_unit: int) -> np.ndarray:
    """Return rounded decimals as whole units: the truth's numbers are rounded already."""
    units: np.ndarray = np.rint(values * per_unit).astype(np.int64)
    return units
