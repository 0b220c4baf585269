"""Truths and answers for the tests of the rewards, with numbers as integers of 1e-6.

A tube is a name and rows of (time, box or None); a block is a name and rows of (time, box).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from earshot.rewards.grammar import Task

TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")
SECOND = 1_000_000

Box = tuple[int, int, int, int]
TubeRows = tuple[str, list[tuple[int, Box | None]]]
BlockRows = tuple[str, list[tuple[int, Box]]]
Pairs = list[tuple[int, int]]


def read_vectors() -> list[dict[str, Any]]:
    """The worked vectors, behind the file's first row, which says what they are."""
    text = Path(__file__).with_name("reward_vectors.jsonl").read_text("utf-8")
    return [json.loads(row) for row in text.splitlines()][1:]


def completion_of(vector: dict[str, Any]) -> str:
    """The text of a vector, put together where the file holds only its recipe."""
    if "completion" in vector:
        return str(vector["completion"])
    build = vector["completion_build"]
    piece, times = build["repeat"]
    return str(build["prefix"] + piece * times + build["suffix"])


@dataclass(frozen=True)
class Case:
    """A truth and an answer to it."""

    task: Task
    branch: str | None
    tubes: list[TubeRows]
    intervals: Pairs
    grid: list[int]
    blocks: list[BlockRows]
    said: Pairs

    @property
    def truth(self) -> str:
        """The truth's JSON."""
        return truth_of(self.task, self.tubes, self.intervals, self.grid, self.branch)

    @property
    def text(self) -> str:
        """The answer."""
        return write(self.task, self.blocks, self.said)


def number(micro: int) -> str:
    """Six decimals, exactly."""
    sign = "-" if micro < 0 else ""
    return f"{sign}{abs(micro) // SECOND}.{abs(micro) % SECOND:06d}"


def truth_of(
    task: Task,
    tubes: Sequence[TubeRows] = (),
    intervals: Iterable[tuple[int, int]] = ((2 * SECOND, 6 * SECOND),),
    grid: Sequence[int] = (),
    branch: str | None = None,
) -> str:
    """The JSON of a truth; every tube is an object of its own, accepted as `thing` too."""
    value: dict[str, Any] = {
        "v": 1,
        "task": task,
        "duration_s": 60,
        "intervals": [[start / SECOND, end / SECOND] for start, end in intervals],
        "objects": [
            {
                "name": name,
                "accept": [name, "thing"],
                "tubes": [
                    {
                        "boxes": [
                            [t / SECOND, *(edge / SECOND for edge in box)]
                            if box
                            else [t / SECOND, None]
                            for t, box in rows
                        ]
                    }
                ]
                if rows
                else [],
            }
            for name, rows in tubes
        ],
        "grid": {
            "anchor_s": min(grid, default=0) / SECOND,
            "step_s": 1,
            "times_s": [t / SECOND for t in grid],
        },
        "box_space": "norm",
        **({"branch": branch} if branch else {}),
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def write(task: Task, blocks: Sequence[BlockRows], said: Iterable[tuple[int, int]] = ()) -> str:
    """An answer; nothing is refused, so it may break the format's rules of order."""
    when = ", ".join(f"[{number(start)}, {number(end)}]" for start, end in said)
    parts = []
    for position, (name, rows) in enumerate(blocks):
        parts.append(f"<object>{name}</object>")
        if task != "spatial" and position == 0:
            parts.append(f"<when>{when}</when>")
        if task != "temporal":
            lines = (f"{number(t)}: [{', '.join(map(number, box))}]" for t, box in rows)
            parts.append("\n".join(["<where>", *lines, "</where>"]))
    return "\n".join(["<answer>", *(parts or ["<object>none</object>"]), "</answer>"])


def own_blocks(tubes: Iterable[TubeRows]) -> list[BlockRows]:
    """What a truth's own rendering says: absent times have no line."""
    return [(name, [(t, box) for t, box in rows if box]) for name, rows in tubes]


# --- strategies ----------------------------------------------------------------------------------

NAMES = ("dog", "cat", "thing")
FAR: Box = (960_000, 960_000, 1_000_000, 1_000_000)
"""A box that no drawn truth reaches."""


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """A box within [0, 0.9]; a coarse lattice, so that overlaps and ties are common."""
    x1, x2 = sorted(draw(st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True)))
    return x1 * 100_000, y1 * 100_000, x2 * 100_000, y2 * 100_000


@st.composite
def tubes_on(draw: st.DrawFn, grid: Sequence[int]) -> TubeRows:
    """A tube with visible, absent and unknown times, at least one visible."""
    seen = draw(st.sampled_from(grid))
    rows: list[tuple[int, Box | None]] = []
    for t in grid:
        state = "visible" if t == seen else draw(st.sampled_from(["visible", "absent", "unknown"]))
        if state != "unknown":
            rows.append((t, draw(boxes()) if state == "visible" else None))
    return draw(st.sampled_from(("dog", "cat"))), rows


@st.composite
def blocks_near(draw: st.DrawFn, grid: Sequence[int], tubes: Sequence[TubeRows]) -> BlockRows:
    """A block with some of a tube's boxes and some others, now and then off the grid."""
    _, rows = draw(st.sampled_from(tubes)) if tubes else ("", [])
    known = dict(rows)
    times = draw(st.lists(st.sampled_from(grid), max_size=5, unique=True))
    shift = draw(st.sampled_from([0, 0, 200_000, -500_000, 500_000]))
    lines = [(t + shift, known.get(t) or draw(boxes())) for t in sorted(times)]
    if draw(st.integers(0, 4)) == 0:
        lines.append((40 * SECOND + draw(st.integers(0, 3)) * SECOND, draw(boxes())))
    return draw(st.sampled_from(NAMES)), lines


@st.composite
def spans(draw: st.DrawFn, max_size: int = 3) -> Pairs:
    """One to three intervals on tenths of a second."""
    pairs = st.tuples(st.integers(0, 250), st.integers(1, 80))
    drawn = draw(st.lists(pairs, min_size=1, max_size=max_size))
    return [(start * 100_000, (start + length) * 100_000) for start, length in drawn]


@st.composite
def cases(draw: st.DrawFn, task: Task | None = None) -> Case:
    """Any truth with any answer near it."""
    task = task or draw(st.sampled_from(TASKS))
    start = draw(st.integers(0, 30)) * 100_000
    grid = [start + n * SECOND for n in range(draw(st.integers(1, 5)))]
    n_tubes = {"temporal": 0, "spatio_temporal": 1, "spatial": draw(st.integers(0, 3))}[task]
    tubes = [draw(tubes_on(grid)) for _ in range(n_tubes)]
    n_blocks = draw(st.integers(1, {"temporal": 1, "spatial": 4, "spatio_temporal": 2}[task]))
    blocks = [draw(blocks_near(grid, tubes)) for _ in range(n_blocks)]
    branch = draw(st.sampled_from(["sounding", "silent"])) if task == "spatial" else None
    intervals, said = ([], []) if task == "spatial" else (draw(spans()), draw(spans()))
    return Case(task, branch, tubes, intervals, grid, blocks, said)
