"""A training row in two halves: what a question has of its own, and what its video gives to all.

Takes makers and the own halves, gives `TrainingRow`s. The halves go over the disk apart, since the
second one and the system prompt are most of a row and stand in many.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earshot.prompts.answering import train_prompt
from earshot.schemas.base import req
from earshot.schemas.question import Task
from earshot.schemas.training import TrainingRow
from earshot.tasks.grpo.maker import Maker
from earshot.tasks.grpo.profiles import seen_frames

TASKS: tuple[Task, ...] = get_args(Task)
VIDEO = "video"
"""Column of an own half: the row of its video in another table."""
_OWN = (
    "sample_id", "video_id", "task", "branch", "split", "question", "answer", "options",
    "gt_events", "gt_objects", "truth_json", "grid_step_s", "answer_tokens", "n_rollouts",
    "reward_mean", "reward_std",
)  # fmt: skip
_ALL = TrainingRow.ARROW
OWN = pa.schema([*(_ALL.field(name) for name in _OWN), req(VIDEO, pa.int32())])
COMMON = pa.schema(
    [field for field in _ALL if field.name not in (*_OWN, "system_prompt")]
    + [req("told", pa.string())]
)
_HERE = "\0"

Ints = npt.NDArray[np.int64]


def common_half(makers: Sequence[Maker]) -> pa.RecordBatch:
    """Return a row of `COMMON` a video."""
    columns: dict[str, Any] = {"frame_indices": frame_lists(makers)}
    columns["told"] = [maker.told for maker in makers]
    if makers:
        facts = zip(*(maker.common.values() for maker in makers), strict=True)
        columns |= zip(makers[0].common, facts, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(columns.get(field.name, []), field.type) for field in COMMON], schema=COMMON
    )


def frame_lists(makers: Sequence[Maker]) -> pa.ListArray:
    """Return the frames seen of each video."""
    counts = np.array([maker.seen.count for maker in makers], np.int64)
    frames = seen_frames(np.array([maker.seen.n_frames for maker in makers], np.int64), counts)
    offsets = pa.array(np.append(0, np.cumsum(counts)), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.array(frames, pa.int32()), COMMON.field("frame_indices").type
    )


def whole_rows(own: pa.Table, common: pa.Table) -> pa.Table:
    """Return `TrainingRow`s of both halves: (n,) of `OWN`, and (n,) of `COMMON` parallel to it."""
    found = {name: own[name] for name in _OWN}
    found |= {name: common[name] for name in common.column_names}
    found["system_prompt"] = _prompts(own, common)
    return pa.table({name: found[name] for name in _ALL.names}, schema=_ALL)


def _prompts(own: pa.Table, common: pa.Table) -> pa.Array:
    """Return the system prompts: what differs by task, size and step, around what differs else."""
    tasks = pc.index_in(own["task"], pa.array(TASKS)).to_numpy()
    steps, step = np.unique(own["grid_step_s"].to_numpy(), return_inverse=True)
    wide, high = (common[name].to_numpy() for name in ("model_width", "model_height"))
    kinds = np.column_stack([tasks, step, wide, high]).astype(np.uint16).view(np.uint64)
    _, first, which = np.unique(kinds.reshape(-1), return_index=True, return_inverse=True)
    space = common["box_space"][0].as_py() if len(first) else ""
    parts = [
        _around(TASKS[tasks[at]], space, (int(wide[at]), int(high[at])), float(steps[step[at]]))
        for at in first.tolist()
    ]
    at = pa.array(which)
    before, behind = (
        pa.array([part[side] for part in parts], pa.string()).take(at) for side in (0, 1)
    )
    return pc.binary_join_element_wise(before, common["told"].combine_chunks(), behind, "")


@lru_cache(maxsize=4096)
def _around(task: Task, kind: str, size_px: tuple[int, int], step_s: float) -> tuple[str, str]:
    before, _, behind = train_prompt(task, kind, size_px, step_s, _HERE).partition(_HERE)
    return before, behind
