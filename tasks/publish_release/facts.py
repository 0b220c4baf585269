"""Reads each question once and gives what gates, baselines and plots need of it.

Takes the questions table in batches; keeps no text, only numbers and what is wrong with the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from earshot.geometry.intervals import length_s
from earshot.names import norm
from earshot.prompts.tokens import count_tokens
from earshot.rewards import grammar
from earshot.rewards.scoring import score
from earshot.schemas.config import GateName, ReleaseConfig
from earshot.schemas.question import Task
from earshot.schemas.truth import Truth
from earshot.tasks.publish_release.spool import dicts_of

# Rendered times are rounded half-up to 0.1 s, so the last one may lie this far behind the end.
END_TOLERANCE_S = 0.05 + 1e-6

NONE = "none"

SLACK_S = 0.1 + 1e-6
"""Both ends of an interval may have been rounded away from each other."""

Fault = tuple[GateName, str]

_COLUMNS = (
    "question_id", "video_id", "split", "task", "branch", "box_space", "question", "answer",
    "truth_json", "span",
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One question in numbers.

    Attributes:
        intervals: of the truth, seconds; empty for `spatial` and where the truth is broken.
        centres: (n, 2) centres of all truth boxes as shares of width and height.
        faults: (gate, what is wrong) of this row alone.
        question: its text.
    """

    question_id: str
    video_id: str
    split: str
    task: Task
    duration_s: float
    intervals: tuple[tuple[float, float], ...]
    centres: npt.NDArray[np.float32]
    faults: tuple[Fault, ...]
    question: str = ""


def read_facts(
    questions: pa.Table, durations_s: Mapping[str, float], config: ReleaseConfig
) -> Iterator[Fact]:
    """Yield one fact a question, in the table's order.

    Args:
        questions: any number of rows; read in batches.
        durations_s: probed length of each video; a question about another one is at fault.
        config: limits that rows are held to.
    """
    for row in dicts_of(questions, _COLUMNS):
        yield _fact(row, durations_s.get(row["video_id"]), config)


def _fact(row: dict[str, Any], duration_s: float | None, config: ReleaseConfig) -> Fact:
    truth, faults = _read_truth(row)
    faults += _answer_faults(row["answer"], row["task"], config)
    if duration_s is None:
        faults.append(("dangling", f"video {row['video_id']!r} is not in the videos table"))
        duration_s = truth.duration_s if truth else 0.0
    span = row["span"] and (row["span"]["start_s"], row["span"]["end_s"])
    faults += _time_faults(span, truth, duration_s)
    if truth is not None:
        faults += _box_faults(truth)
        faults += _tube_faults(truth, config)
        faults += _cover_faults(truth, duration_s, config)
    # A row that is broken can't score; saying so a second time helps nobody.
    if not faults:
        faults += _reward_faults(row)
    return Fact(
        question_id=row["question_id"],
        video_id=row["video_id"],
        split=row["split"],
        task=row["task"],
        duration_s=duration_s,
        intervals=truth.intervals if truth and row["task"] != "spatial" else (),
        centres=_centres(truth),
        faults=tuple(faults),
        question=row["question"],
    )


def _read_truth(row: dict[str, Any]) -> tuple[Truth | None, list[Fault]]:
    """Return the truth, or what keeps it from being one (CONTRACTS 7, bad_truth)."""
    try:
        truth = Truth.model_validate_json(row["truth_json"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        return None, [("truth", f"{where}: {first['msg']}")]
    faults: list[Fault] = [
        ("truth", f"{name} {getattr(truth, name)!r} but the row says {row[name]!r}")
        for name in ("task", "branch", "box_space")
        if getattr(truth, name) != row[name]
    ]
    if truth.canonical() != row["truth_json"]:
        faults.append(("truth", "the JSON is not canonical (RFC 8785)"))
    if truth.task != "spatial" and not truth.intervals:
        faults.append(("truth", f"a {truth.task} truth without intervals"))
    if any(norm(each.name) == NONE for each in truth.objects):
        faults.append(("truth", "an object is called 'none', which is the none-answer"))
    return truth, faults


def _answer_faults(answer: str, task: Task, config: ReleaseConfig) -> Iterator[Fault]:
    parsed = grammar.parse(answer, task)
    if not parsed.format_ok:
        yield "answer", f"status {parsed.status}, format not ok: {_short(answer)}"
    for too_many, what, cap in (
        (parsed.has_too_many_blocks, "objects", grammar.MAX_BLOCKS),
        (parsed.has_too_many_intervals, "intervals", grammar.MAX_INTERVALS),
        (parsed.has_too_many_lines, "box lines", grammar.MAX_LINES),
    ):
        if too_many:
            yield "answer", f"more than {cap} {what}"
    tokens = count_tokens(answer)
    if tokens > config.max_answer_tokens:
        yield "length", f"about {tokens:,} tokens, limit {config.max_answer_tokens:,}"


def _reward_faults(row: dict[str, Any]) -> Iterator[Fault]:
    """Yield what the right answer doesn't get: 1 in each dimension, 2 in all (CONTRACTS 7)."""
    found = score(row["task"], row["answer"], row["truth_json"])
    got = {name: getattr(found, name) for name in ("format", "object", "temporal", "spatial")}
    less = {name: value for name, value in got.items() if value not in (None, 1.0)}
    if found.status != "ok" or less or found.total != 2.0:
        yield "reward", f"status {found.status}, total {found.total:g}, below 1: {less}"


def _time_faults(
    span: tuple[float, float] | None, truth: Truth | None, duration_s: float
) -> Iterator[Fault]:
    spans = [] if span is None else [("span", span)]
    spans += [("truth interval", pair) for pair in (truth.intervals if truth else ())]
    for what, (start_s, end_s) in spans:
        if not 0 <= start_s < end_s <= duration_s + END_TOLERANCE_S:
            yield "span", f"{what} [{start_s}, {end_s}] s in a video of {duration_s} s"


def _box_faults(truth: Truth) -> Iterator[Fault]:
    edges = _boxes(truth)
    empty = ~((edges[:, 0] < edges[:, 2]) & (edges[:, 1] < edges[:, 3]))
    outside = (edges.min(axis=1, initial=0) < 0) | (edges.max(axis=1, initial=0) > 1)
    for box in edges[empty][:1]:
        yield "box", f"box {_numbers(box)} has no area"
    for box in edges[outside & ~empty][:1]:
        yield "frame", f"box {_numbers(box)} leaves the frame"


def _tube_faults(truth: Truth, config: ReleaseConfig) -> Iterator[Fault]:
    """Yield tubes without a box, and those that are seen too seldom (CONTRACTS 5).

    A spatial answer lists for a tube the times that somebody looked at; a moment's tube has to
    cover the whole grid.
    """
    for each in truth.objects:
        if not each.tubes and truth.task != "temporal":
            yield "tube", f"{each.name!r} has no tube"
        for tube in each.tubes:
            visible = sum(len(row) == 5 for row in tube.boxes)
            # A tube may be absent just beyond the window that it was looked for in, at both ends.
            listed = len(tube.boxes) - min(2, len(tube.boxes) - visible)
            due = listed if truth.task == "spatial" else len(truth.grid.times_s)
            if not visible:
                yield "tube", f"a tube of {each.name!r} has no box"
            elif visible < config.min_visible_share * due:
                yield "coverage", f"a tube of {each.name!r} is seen at {visible} of {due} times"


def _cover_faults(truth: Truth, duration_s: float, config: ReleaseConfig) -> Iterator[Fault]:
    covered = length_s([pair for pair in truth.intervals if pair[0] < pair[1]])
    if truth.task != "spatial" and covered > config.max_event_cover * duration_s + SLACK_S:
        limit = config.max_event_cover
        yield "whole_video", f"{covered:g} of {duration_s:g} s are the answer, limit {limit:g}"


def _centres(truth: Truth | None) -> npt.NDArray[np.float32]:
    if truth is None:
        return np.empty((0, 2), dtype=np.float32)
    edges = _boxes(truth)
    return ((edges[:, :2] + edges[:, 2:]) / 2).astype(np.float32)


def _boxes(truth: Truth) -> npt.NDArray[np.float64]:
    """Return all visible truth boxes (n, 4) as shares of the frame, xyxy."""
    rows = [
        box[1:]
        for each in truth.objects
        for tube in each.tubes
        for box in tube.boxes
        if len(box) == 5
    ]
    edges = np.array(rows, dtype=np.float64).reshape(-1, 4)
    edges /= np.array(_frame_size(truth) * 2)
    return edges


def _frame_size(truth: Truth) -> tuple[float, float]:
    if truth.box_space == "norm":
        return (1.0, 1.0)
    if truth.box_space == "rel1000":
        return (1000.0, 1000.0)
    return (float(truth.width or 1), float(truth.height or 1))


def _numbers(box: npt.NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{edge:g}" for edge in box) + "]"


def _short(text: str) -> str:
    folded = " ".join(text.split())
    return repr(folded if len(folded) <= 80 else f"{folded[:77]}...")
