"""Reads a question's truth (CONTRACTS 7) from its JSON, in integers of 1e-6, and refuses bad ones.

Takes the string, gives intervals and tubes over the grid; standard library only, so it knows
nothing of `earshot.schemas`. Never rounds more than a double's noise away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NoReturn

from earshot.names import norm
from earshot.rewards.grammar import MICRO, Block, BoxMicro, IntervalMicro, Task

Branch = Literal["sounding", "silent"]

VERSION = 1
_LIMIT = 10_000_000
"""Numbers have at most 7 digits before the point in the grammar; a truth must be sayable."""


class TruthError(ValueError):
    """A truth that nothing can be scored against; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Tube:
    """One instance: what it may be called, and its box (None = absent) at the times listed.

    Times are in 1e-6 s and lie on the grid; a grid time that is missing is unknown.
    """

    accept: frozenset[str]
    boxes_xyxy_micro: Mapping[int, BoxMicro | None]
    n_visible: int


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What a completion is scored against: seconds and box units in 1e-6; equal to itself alone."""

    task: Task
    branch: Branch | None
    intervals_micro: tuple[IntervalMicro, ...]
    tubes: tuple[Tube, ...]
    grid_micro: tuple[int, ...]
    on_grid: frozenset[int]
    step_micro: int


def read_truth(truth_json: object, task: Task) -> Truth:
    """Return the truth that a JSON string holds.

    Raises:
        TruthError: it is not JSON, of another version or task, has an unknown branch, an invalid
            or empty name, a time asked for without intervals, a tube without a visible time, a
            row off the grid or a time twice, a reversed interval or box, or it is otherwise not
            the record of CONTRACTS 7.
    """
    if not isinstance(truth_json, str):
        _refuse("truth_json", type(truth_json).__name__, "a JSON string")
    return _read(truth_json, task)


@lru_cache(maxsize=256)
def _read(truth_json: str, task: Task) -> Truth:
    """Cached: the completions of one rollout group share their truth."""
    data = _mapping("truth", load_json(truth_json))
    if type(data.get("v")) is not int or data["v"] != VERSION:
        _refuse("v", data.get("v"), f"{VERSION}")
    if data.get("task") != task:
        _refuse("task", data.get("task"), repr(task))
    branch = data.get("branch")
    if branch not in ("sounding", "silent") and (task == "spatial" or branch is not None):
        _refuse("branch", branch, "'sounding' or 'silent' (required in spatial)")
    intervals = tuple(_interval(pair) for pair in _items("intervals", data.get("intervals", [])))
    objects = _items("objects", data.get("objects"))
    grid_micro, step_micro = _grid(data.get("grid"))
    on_grid = frozenset(grid_micro)
    tubes = tuple(tube for each in objects for tube in _tubes(each, on_grid))
    if task != "spatial" and not intervals:
        _refuse("intervals", [], f"at least one, since {task} asks for a time")
    if task == "spatio_temporal" and not tubes:
        _refuse("objects", objects, "at least one tube, since spatio_temporal asks for a place")
    return Truth(task, branch, intervals, tubes, grid_micro, on_grid, step_micro)


def load_json(text: str) -> object:
    """Return what a JSON text says; NaN and Infinity are no JSON.

    Raises:
        TruthError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TruthError(f"truth is not JSON: {error}; write it with Truth.canonical") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _grid(value: object) -> tuple[tuple[int, ...], int]:
    """Return the ascending grid times and the step, in 1e-6 s; without tubes neither is needed."""
    if value is None:
        return (), 0
    grid = _mapping("grid", value)
    times = {micro(time) for time in _items("grid.times_s", grid.get("times_s"))}
    step = micro(grid.get("step_s"))
    if step <= 0:
        _refuse("grid.step_s", grid.get("step_s"), "a positive number of seconds")
    return tuple(sorted(times)), step


def _tubes(value: object, grid: frozenset[int]) -> Iterable[Tube]:
    """Return the tubes of one object; all share its accept set."""
    thing = _mapping("object", value)
    name, accept = thing.get("name"), _items("accept", thing.get("accept"))
    if not isinstance(name, str) or not Block(name).is_named or name != name.strip(" \t\n"):
        _refuse("name", name, "1-80 characters without < and >, no white space at the ends")
    if not norm(name):
        _refuse("name", name, "a letter, digit or symbol: nothing is left of it to compare")
    if not all(isinstance(other, str) for other in accept):
        _refuse("accept", accept, "a list of strings")
    names = frozenset([norm(name), *(str(other) for other in accept)])
    return [_tube(tube, names, grid) for tube in _items("tubes", thing.get("tubes"))]


def _tube(value: object, accept: frozenset[str], grid: frozenset[int]) -> Tube:
    """Return a tube, its rows checked against the grid."""
    boxes: dict[int, BoxMicro | None] = {}
    for row in _items("boxes", _mapping("tube", value).get("boxes")):
        time, box = _row(row)
        if time not in grid or time in boxes:
            _refuse("row", row, "a time of the grid, each at most once")
        boxes[time] = box
    n_visible = sum(box is not None for box in boxes.values())
    if not n_visible:
        _refuse("tube", value, "at least one visible time")
    return Tube(accept, boxes, n_visible)


def _row(value: object) -> tuple[int, BoxMicro | None]:
    """Return the time and the box of `[t, x1, y1, x2, y2]` or `[t, null]`."""
    row = _items("row", value)
    if len(row) == 2 and row[1] is None:
        return micro(row[0]), None
    if len(row) != 5:
        _refuse("row", row, "[t, x1, y1, x2, y2] or [t, null]")
    time, x1, y1, x2, y2 = map(micro, row)
    if x1 >= x2 or y1 >= y2:
        _refuse("box", row, "x1 < x2 and y1 < y2")
    return time, (x1, y1, x2, y2)


def _interval(value: object) -> IntervalMicro:
    pair = [micro(end) for end in _items("interval", value)]
    if len(pair) != 2 or any(start >= end for start, end in pairwise(pair)):
        _refuse("interval", value, "[start, end] with start < end")
    return pair[0], pair[1]


def micro(value: object) -> int:
    """Return a JSON number in 1e-6, exactly where it has at most 6 decimals.

    Below 10 million a double is nearer to its decimal than half a unit, so rounding is exact.

    Raises:
        TruthError: it is no number, not finite, or has more than 7 digits before the point.
    """
    # `true` is an int for isinstance; NaN fails the comparison.
    if not ((type(value) is float or type(value) is int) and -_LIMIT < value < _LIMIT):
        _refuse("number", value, f"a number below {_LIMIT}")
    return round(value * MICRO)


def _mapping(what: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        _refuse(what, value, "a JSON object")
    return value


def _items(what: str, value: object) -> list[object]:
    if not isinstance(value, list):
        _refuse(what, value, "a JSON list")
    return value


def _refuse(what: str, value: object, expected: str) -> NoReturn:
    raise TruthError(
        f"{what} is {str(value)[:200]!r}; expected {expected}. Write truths with Truth.canonical"
    )
