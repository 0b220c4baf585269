"""Cleans R-AVST's released answers into truths that mode `strict` can score, or says why not.

Takes the `A` of a question, gives a truth and the right answer to it: zero boxes become absent, and
an object with several boxes a second becomes several instances where that is certain. Nothing is
guessed, so a row that would need it has a reason instead.

The released form (`research/seeds.md` 1.2)::

    <answer>
    <object>person</object>
    <where>
    1.4: [158.0, 3.0, 561.0, 719.0]
    2.4: [0.0, 0.0, 0.0, 0.0]
    </where>
    </answer>
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from earshot.names import norm
from earshot.rewards.grammar import MICRO, Answer, Block, BoxMicro, Line, Task, parse
from earshot.rewards.truth import Branch

BOX_SPACE = "native_px"
_ZERO_BOX: BoxMicro = (0, 0, 0, 0)

TASKS: dict[str, Task] = {
    "AV Temporal Reasoning": "temporal",
    "AV Spatial Reasoning": "spatial",
    "AV ST Reasoning": "spatio_temporal",
}

Reason = Literal[
    "no_answer",  # nothing that can be read
    "empty_where",  # an object is named and nowhere seen
    "never_visible",  # all boxes of an instance are zero boxes
    "uneven_repeats",  # some seconds have more boxes than others: which instance is missing?
    "no_interval",  # the answer has no time
    "empty_interval",  # start >= end
    "empty_box",  # a box without area that is no zero box
    "several_instances",  # a spatio-temporal answer has one tube, this one needs several
    "over_cap",  # more objects or lines than the answer grammar allows
]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A truth of CONTRACTS 7 and the right answer to it, to be rendered in `native_px`."""

    truth_json: str
    answer: Answer


def branch_of(task: Task, question: str) -> Branch | None:
    """Return the branch of a spatial question, which its only template per branch tells."""
    if task != "spatial":
        return None
    return "silent" if question.startswith("What silent object") else "sounding"


def clean(task: Task, question: str, answer: str, duration_s: float) -> Cleaned | Reason:
    """Return what `strict` can score of a released row, or the reason why it can't.

    The grid are the seconds at which the answer has lines: the release says no more. A second at
    which an object has no line is unknown, a zero box is absent. Boxes stay the release's own
    pixels (maxima W - 1, H - 1).
    """
    parsed = parse(answer, task)
    if parsed.status != "ok" or not parsed.answer.blocks:
        return "no_answer"
    if parsed.has_too_many_blocks or parsed.has_too_many_lines:
        return "over_cap"
    intervals = parsed.answer.intervals_micro
    if task != "spatial" and not intervals:
        return "no_interval"
    if any(start >= end for start, end in intervals):
        return "empty_interval"
    blocks: list[Block] = []
    for block in parsed.answer.blocks:
        instances = [block] if task == "temporal" else _instances(block)
        if isinstance(instances, str):
            return instances
        blocks += instances
    if task != "spatial" and len(blocks) > 1:
        return "several_instances"
    cleaned = Answer(tuple(blocks), intervals)
    return Cleaned(_truth_json(task, branch_of(task, question), cleaned, duration_s), cleaned)


def _instances(block: Block) -> list[Block] | Reason:
    """Split a block into instances: the k-th box of every second is the k-th instance."""
    counts = Counter(line.time_micro for line in block.lines)
    if not counts:
        return "empty_where"
    if len(set(counts.values())) > 1:
        return "uneven_repeats"
    lines: list[list[Line]] = [[] for _ in range(max(counts.values()))]
    seen: Counter[int] = Counter()
    for line in block.lines:
        box = None if line.box_xyxy_micro == _ZERO_BOX else line.box_xyxy_micro
        if box is not None and (box[0] >= box[2] or box[1] >= box[3]):
            return "empty_box"
        lines[seen[line.time_micro]].append(Line(line.time_micro, box))
        seen[line.time_micro] += 1
    if not all(any(line.box_xyxy_micro for line in each) for each in lines):
        return "never_visible"
    ordered = (sorted(each, key=lambda line: line.time_micro) for each in lines)
    return [Block(block.name, tuple(each)) for each in ordered]


def _truth_json(task: Task, branch: Branch | None, answer: Answer, duration_s: float) -> str:
    """Write the truth of CONTRACTS 7, keys sorted."""
    times = sorted({line.time_micro for block in answer.blocks for line in block.lines})
    value: dict[str, object] = {
        "v": 1,
        "task": task,
        "duration_s": duration_s,
        "intervals": [[_number(end) for end in pair] for pair in answer.intervals_micro],
        "objects": [
            {
                "name": block.name,
                "accept": [norm(block.name)],
                "tubes": [{"boxes": _rows(block.lines)}] if block.lines else [],
            }
            for block in answer.blocks
        ],
        "grid": {
            "anchor_s": _number(times[0]) if times else 0,
            "step_s": 1,
            "times_s": [_number(time) for time in times],
        },
        "box_space": BOX_SPACE,
    }
    if branch:
        value["branch"] = branch
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _rows(lines: Iterable[Line]) -> list[list[float | None]]:
    return [
        [_number(line.time_micro), *map(_number, line.box_xyxy_micro)]
        if line.box_xyxy_micro
        else [_number(line.time_micro), None]
        for line in lines
    ]


def _number(micro: int) -> float:
    """Return a number as canonical JSON has it: whole ones without a point."""
    whole, rest = divmod(micro, MICRO)
    return micro / MICRO if rest else whole
