"""Answers that look at no video, written as completions and scored as a model's (CONTRACTS 8).

Takes questions, gives one `BaselineScore` an answer: the whole video, the best constant relative
interval, the full frame, the best constant box, the most common object. What is searched is
searched on train alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from earshot.geometry.boxes import pairwise_iou
from earshot.geometry.grid import question_grid
from earshot.geometry.spaces import NORM, BoxSpace, convert
from earshot.names import norm
from earshot.rewards.grammar import (
    NONE_ANSWER,
    Answer,
    Block,
    Line,
    make_interval,
    make_line,
    render,
)
from earshot.rewards.metrics import Means
from earshot.rewards.result import Mode
from earshot.schemas.question import Task
from earshot.schemas.truth import Truth
from earshot.tasks.constant_interval import TIMED_TASKS, Search, TimedTask
from earshot.tasks.score_answers.groups import measure_as
from earshot.tasks.score_answers.read import Asked
from earshot.tasks.score_answers.record import BaselineScore

Box = tuple[float, float, float, float]
Share = tuple[float, float]
Floats = npt.NDArray[np.float64]

WHOLE_VIDEO: Share = (0.0, 1.0)
FULL_FRAME: Box = (0.0, 0.0, 1.0, 1.0)
BOX_STEPS = 10
"""Edges of the best constant box are searched in steps of 1/10 of the frame."""
NONE = "none"
_SPANS = [
    (low / BOX_STEPS, high / BOX_STEPS)
    for low in range(BOX_STEPS)
    for high in range(low + 1, BOX_STEPS + 1)
]
BOXES: Floats = np.array([(x1, y1, x2, y2) for x1, x2 in _SPANS for y1, y2 in _SPANS])
"""Every box on that grid, (3025, 4), xyxy in parts of the frame."""
_CHUNK = 256
"""Truth boxes that are compared with all of them at once: some 50 MB."""


@dataclass(frozen=True)
class Blind:
    """One answer to all questions of a task.

    Attributes:
        said: in words.
        searched: train questions that it was searched on; 0 where nothing is searched.
        answer: gives the completion; None where the answer can't be had.
    """

    task: Task
    name: str
    said: str
    searched: int
    answer: Callable[[Asked], str] | None


def score_baselines(
    train: Iterable[Asked], questions: Iterable[Asked], mode: Mode
) -> tuple[BaselineScore, ...]:
    """Return the score of each blind answer to the tasks that `questions` ask.

    Args:
        train, questions: gone through once, and never held as a whole here.
        mode: of the scores.
    """
    truths = ((one, truth) for one in train if (truth := _truth(one)) is not None)
    blinds = [(blind, Means()) for blind in blind_answers(truths)]
    asked: set[Task] = set()
    for one in questions:
        asked.add(one.task)
        for blind, means in blinds:
            if blind.task == one.task and blind.answer is not None:
                means.add(measure_as(mode, one.task, blind.answer(one), one.truth_json).values)
    return tuple(_scored(blind, means) for blind, means in blinds if blind.task in asked)


class _Searched:
    """What was found on the train questions of one task."""

    def __init__(self) -> None:
        self.questions = 0
        self.search, self.boxes = Search(), BoxSearch()
        self.names: dict[str, Counter[str]] = {}

    def add(self, asked: Asked, truth: Truth) -> None:
        self.questions += 1
        if asked.task == "spatial":
            _vote(self.names, asked, truth)
        else:
            self.search.add(asked.duration_s, truth.intervals)
        if asked.task != "temporal":
            self.boxes.add(_boxes(truth))


def blind_answers(train: Iterable[tuple[Asked, Truth]]) -> Iterator[Blind]:
    """Yield the answers that need no search, and those that were searched on train."""
    found: dict[Task, _Searched] = {}
    for asked, truth in train:
        found.setdefault(asked.task, _Searched()).add(asked, truth)
    for task in TIMED_TASKS:
        yield from _timed(task, found.get(task))
    yield from _named(found.get("spatial"))


def _timed(task: TimedTask, train: _Searched | None) -> Iterator[Blind]:
    """Yield the whole video and the best constant interval; with boxes where it is asked where."""
    where = task == "spatio_temporal"
    yield Blind(
        task,
        "whole video, full-frame box" if where else "whole video",
        "0 to 100 % of the video" + (", the full frame" if where else ""),
        0,
        lambda one: _timed_completion(one, WHOLE_VIDEO, FULL_FRAME),
    )
    name = "best constant interval" + (", best constant box" if where else "")
    if train is None:
        yield Blind(task, name, "no train question to search on", 0, None)
        return
    share = train.search.best()
    box = train.boxes.best() if where else FULL_FRAME
    said = f"{share[0]:.0%} to {share[1]:.0%} of the video".replace("%", " %")
    yield Blind(
        task,
        name,
        said + (f", {_box_words(box)}" if where else ""),
        train.questions,
        lambda one: _timed_completion(one, share, box),
    )


def _named(train: _Searched | None) -> Iterator[Blind]:
    """Yield the most common object of each branch, with the full frame and the best box."""
    boxes = {
        "full-frame box": (FULL_FRAME, "the full frame"),
        "best constant box": (FULL_FRAME, ""),
    }
    if train is None:
        for which in boxes:
            said = "no train question to search on"
            yield Blind("spatial", f"most common object, {which}", said, 0, None)
        return
    names = _winners(train.names)
    best = train.boxes.best()
    boxes["best constant box"] = (best, _box_words(best))
    for which, (box, words) in boxes.items():
        spoken = ", ".join(f"{branch}: {name}" for branch, name in sorted(names.items()))
        yield Blind(
            "spatial",
            f"most common object, {which}",
            f"{spoken}; {words}",
            train.questions,
            lambda one, box=box: _named_completion(one, names, box),  # type: ignore[misc]
        )


def most_common_names(train: Iterable[tuple[Asked, Truth]]) -> dict[str, str]:
    """Return for each branch the name that most of its truths have; of equals the first by letter.

    `none` where most truths say that nothing is there.
    """
    counts: dict[str, Counter[str]] = {}
    for asked, truth in train:
        _vote(counts, asked, truth)
    return _winners(counts)


def _vote(counts: dict[str, Counter[str]], asked: Asked, truth: Truth) -> None:
    names = {norm(each.name) for each in truth.objects} or {NONE}
    counts.setdefault(asked.branch or "", Counter()).update(names)


def _winners(counts: Mapping[str, Counter[str]]) -> dict[str, str]:
    return {
        branch: min(counter, key=lambda name: (-counter[name], name))
        for branch, counter in counts.items()
    }


def best_box(truths: Iterable[Truth]) -> Box:
    """Return the box of `BOXES` with the largest mean IoU with the visible truth boxes."""
    search = BoxSearch()
    for truth in truths:
        search.add(_boxes(truth))
    return search.best()


class BoxSearch:
    """Sums up what every box of `BOXES` would score on the visible truth boxes.

    The mean is over the boxes of a question, then over questions: a long tube counts no more than
    a short one.
    """

    def __init__(self) -> None:
        self._totals = np.zeros(len(BOXES))
        self._parts: list[Floats] = []
        self._waiting = 0

    def add(self, boxes: Floats) -> None:
        """Add the boxes (n, 4) of a question, in parts of the frame."""
        if len(boxes):
            self._parts.append(boxes)
            self._waiting += len(boxes)
        if self._waiting >= _CHUNK:
            self._sum()

    def best(self) -> Box:
        """Return the box with the largest mean IoU; of equals the first."""
        self._sum()
        # Sums in another order differ in the last bits; a tie has to stay a tie.
        x1, y1, x2, y2 = BOXES[int(np.argmax(np.round(self._totals, 9)))].tolist()
        return x1, y1, x2, y2

    def _sum(self) -> None:
        if self._parts:
            weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in self._parts])
            self._totals += pairwise_iou(BOXES, np.concatenate(self._parts)) @ weights
        self._parts, self._waiting = [], 0


def _boxes(truth: Truth) -> Floats:
    rows = [
        row[1:]
        for each in truth.objects
        for tube in each.tubes
        for row in tube.boxes
        if len(row) == 5
    ]
    space = BoxSpace(truth.box_space, truth.width, truth.height)
    return convert(np.array(rows, dtype=np.float64).reshape(-1, 4), space, NORM)


def _truth(asked: Asked) -> Truth | None:
    try:
        return Truth.model_validate_json(asked.truth_json)
    except ValidationError:
        return None


def _timed_completion(asked: Asked, share: Share, box: Box) -> str:
    start_s, end_s = (part * asked.duration_s for part in share)
    # A video may be so short that rounding leaves nothing of the interval.
    interval = make_interval(start_s, max(end_s, start_s + 0.1))
    lines = _lines(asked, (start_s, end_s), box) if asked.task == "spatio_temporal" else ()
    return render(Answer((Block("object", lines),), (interval,)), asked.task, asked.box_space)


def _named_completion(asked: Asked, names: dict[str, str], box: Box) -> str:
    name = names.get(asked.branch or "", NONE)
    if name == NONE:
        return render(NONE_ANSWER, asked.task, asked.box_space)
    lines = _lines(asked, asked.span_s or (0.0, asked.duration_s), box)
    return render(Answer((Block(name, lines),)), asked.task, asked.box_space)


def _lines(asked: Asked, span_s: tuple[float, float], box: Box) -> tuple[Line, ...]:
    """Return the box at every grid time of a stretch, in the question's own space."""
    edges = convert([box], NORM, BoxSpace(asked.box_space, *asked.size_px))[0].tolist()
    grid = question_grid([span_s], asked.step_s)
    return tuple(make_line(time_s, edges, asked.box_space) for time_s in grid.times_s)


def _scored(blind: Blind, means: Means) -> BaselineScore:
    return BaselineScore(
        task=blind.task,
        name=blind.name,
        said=blind.said,
        searched=blind.searched,
        metrics=means.values(),
    )


def _box_words(box: Box) -> str:
    return "[" + ", ".join(f"{edge:g}" for edge in box) + "] of the frame"
