"""Puts the rows of ordinary questions together by columns, for videos that are open.

Takes a chunk of questions and a maker a video; gives their own halves of rows and which questions
they are about. The others are made, or refused, one at a time by `maker.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import ItemError
from earshot.rewards import score
from earshot.tasks.grpo.bulk import Shown, table_of, tell
from earshot.tasks.grpo.difficulty import Known
from earshot.tasks.grpo.halves import OWN, TASKS, VIDEO, frame_lists
from earshot.tasks.grpo.maker import MEDIA_TAGS, Maker

CHECKED = 256
"""One of so many answers is scored against its truth."""

Ints = npt.NDArray[np.int64]


def ordinary_rows(
    asked: pa.Table,
    makers: Sequence[Maker | ItemError],
    of_row: pa.Array,
    known: Known,
    known_at: Ints,
) -> tuple[Ints, pa.Table]:
    """Return the numbers of the questions that are ordinary, ascending, and their rows of `OWN`.

    Args:
        asked: (n,) questions of a release.
        makers: of the videos, or why one is not open.
        of_row: (n,) which of these videos each question is about; a row says which of the open
            ones.
        known: what stored rollouts say.
        known_at: (n,) where they say it; below 0: they say nothing.
    """
    nothing = np.empty(0, np.int64), OWN.empty_table()
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
    columns |= known.columns(known_at[rows])
    columns[VIDEO] = pa.array(place[rows], pa.int32())
    table = pa.table({name: columns[name] for name in OWN.names}).cast(OWN)
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
    frames = frame_lists(makers)
    begins, ends = frames.offsets.to_numpy()[:-1], frames.offsets.to_numpy()[1:]
    index = frames.values.to_numpy()
    gaps = np.append(np.diff(index), 0)
    gaps[ends - 1] = 0  # none from one film to the next
    fps = np.array([maker.clip.fps for maker in makers])
    return Shown(
        scale=np.array([m.seen.size_px if pixels else (1000, 1000) for m in makers], np.float64),
        spacing_s=np.maximum.reduceat(gaps, begins) / fps,
        last_s=index[ends - 1] / fps,
        box_space=first.kind,
    )


def _check(rows: pa.Table) -> None:
    """Raise where a right answer is not right: two parts of earshot would disagree."""
    some = rows.select(["sample_id", "task", "answer", "truth_json"])
    for row in some.take(pa.array(np.arange(0, rows.num_rows, CHECKED))).to_pylist():
        found = score(row["task"], row["answer"], row["truth_json"])
        if found.total != 2:
            raise RuntimeError(
                f"{row['sample_id']}: its own answer scores {found}; report it as a bug"
            )
