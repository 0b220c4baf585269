"""Puts the rows of ordinary questions together by columns, for videos that are open.

Takes a chunk of questions and a maker a video; gives a table of `TrainingRow` and which questions
it is about. The others are made, or refused, one at a time by `maker.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import ItemError
from earshot.prompts.answering import train_prompt
from earshot.rewards import score
from earshot.schemas.question import Task
from earshot.schemas.training import TrainingRow
from earshot.tasks.grpo.bulk import Shown, table_of, tell
from earshot.tasks.grpo.difficulty import Known
from earshot.tasks.grpo.maker import MEDIA_TAGS, Maker

TASKS: tuple[Task, ...] = get_args(Task)
CHECKED = 256
"""One of so many answers is scored against its truth."""
_HERE = "\0"

Ints = npt.NDArray[np.int64]


def ordinary_rows(
    asked: pa.Table,
    makers: Sequence[Maker | ItemError],
    of_row: pa.Array,
    known: Known,
    known_at: Ints,
) -> tuple[Ints, pa.Table]:
    """Return the numbers of the questions that are ordinary, ascending, and their rows.

    Args:
        asked: (n,) questions of a release.
        makers: of the videos, or why one is not open.
        of_row: (n,) which of these videos each question is about.
        known: what stored rollouts say.
        known_at: (n,) where they say it; below 0: they say nothing.
    """
    nothing = np.empty(0, np.int64), TrainingRow.ARROW.empty_table()
    opened = [maker for maker in makers if isinstance(maker, Maker)]
    if not opened:
        return nothing
    is_open = np.array([isinstance(maker, Maker) for maker in makers])
    video = of_row.to_numpy()
    usable = is_open[video] & ~_has_tag(asked["question"])
    config = opened[0].config
    if config.zero_variance == "drop":
        usable &= ~known.is_flat(known_at)
    place = (np.cumsum(is_open) - 1)[video]
    shown = _shown(opened)
    tasks = asked["task"].combine_chunks()
    told = []
    for task in TASKS:
        is_its = pc.equal(tasks, task).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(usable & is_its)
        if len(rows):
            at = place[rows]
            mine = Shown(shown.scale[at], shown.spacing_s[at], shown.last_s[at], shown.box_space)
            truths = asked["truth_json"].take(pa.array(rows)).combine_chunks()
            found = tell(task, truths, mine, config.answer_budget)
            told.append(type(found)(rows[found.rows], found.columns))
    rows, columns = table_of(told)
    if not len(rows):
        return nothing
    mine = asked.take(pa.array(rows)).combine_chunks()
    columns |= {name: mine[name] for name in ("video_id", "task", "branch", "split", "question")}
    columns["sample_id"], columns["options"] = mine["question_id"], mine["options"]
    columns |= _of_videos(opened, place[rows])
    columns |= known.columns(known_at[rows])
    told_of = pa.array([maker.told for maker in opened]).take(pa.array(place[rows]))
    columns["system_prompt"] = _prompts(
        columns["task"], opened, place[rows], columns["grid_step_s"], told_of
    )
    table = pa.table({field.name: columns[field.name] for field in TrainingRow.ARROW}).cast(
        TrainingRow.ARROW
    )
    _check(table)
    return rows, table


def _has_tag(questions: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    found = [pc.match_substring(questions, tag) for tag in MEDIA_TAGS]
    either = pc.or_(pc.or_(found[0], found[1]), found[2])
    tags: npt.NDArray[np.bool_] = either.to_numpy()
    return tags


def _shown(makers: Sequence[Maker]) -> Shown:
    first = makers[0].space
    pixels = first.kind == "resized_px"
    frames = [np.array(maker.seen.frame_indices) for maker in makers]
    fps = np.array([maker.clip.fps for maker in makers])
    return Shown(
        scale=np.array([m.seen.size_px if pixels else (1000, 1000) for m in makers], np.float64),
        spacing_s=np.array([np.diff(each).max() for each in frames]) / fps,
        last_s=np.array([each[-1] for each in frames]) / fps,
        box_space=first.kind,
    )


def _of_videos(makers: Sequence[Maker], place: Ints) -> dict[str, Any]:
    """Return the columns that all rows of a video have in common."""
    at, schema = pa.array(place), TrainingRow.ARROW
    return {
        name: pa.array([maker.common[name] for maker in makers], schema.field(name).type).take(at)
        for name in makers[0].common
    }


def _prompts(
    tasks: pa.ChunkedArray, makers: Sequence[Maker], place: Ints, steps: pa.Array, told: pa.Array
) -> pa.Array:
    """Return the system prompts: what differs by task, size and step, around what differs else."""
    sizes = np.array([maker.seen.size_px for maker in makers], np.float64)[place]
    coded = pc.index_in(tasks, pa.array(TASKS)).to_numpy()
    keys = np.column_stack([coded, sizes, np.asarray(steps)])
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    kind = makers[0].space.kind
    parts = [
        _around(TASKS[int(task)], kind, (int(wide), int(high)), float(step))
        for task, wide, high, step in kinds.tolist()
    ]
    at = pa.array(which.reshape(-1))
    before, behind = (pa.array([part[side] for part in parts]).take(at) for side in (0, 1))
    return pc.binary_join_element_wise(before, told, behind, "")


@lru_cache(maxsize=4096)
def _around(task: Task, kind: str, size_px: tuple[int, int], step_s: float) -> tuple[str, str]:
    before, _, behind = train_prompt(task, kind, size_px, step_s, _HERE).partition(_HERE)
    return before, behind


def _check(rows: pa.Table) -> None:
    """Raise where a right answer is not right: two parts of earshot would disagree."""
    some = rows.select(["sample_id", "task", "answer", "truth_json"])
    for row in some.take(pa.array(np.arange(0, rows.num_rows, CHECKED))).to_pylist():
        found = score(row["task"], row["answer"], row["truth_json"])
        if found.total != 2:
            raise RuntimeError(
                f"{row['sample_id']}: its own answer scores {found}; report it as a bug"
            )
