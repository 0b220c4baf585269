"""Reads completions and truths as R-AVST's released code reads them, in linear time.

Takes text, gives what it claims to see and when; every oddity of the original's regular expressions
is kept. The public place is `earshot.rewards.avst_zero`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from earshot.rewards.grammar import Task
from earshot.rewards.truth import VERSION, TruthError, load_json

NameMapper = Callable[[str], str]
"""Takes a predicted name as written, gives the name to compare."""

_ARTICLES = ("a ", "an ", "the ")
_MARKS = re.compile(r"[^\w\s]")
_WRAPPED = re.compile(r"'answer':\s*+'")
_OBJECT_THEN_WHEN = re.compile(r"</object>\n<when>\[")
_OBJECT_THEN_WHERE = re.compile(r"</object>\s*+<where>")
_DECIMAL = r"\d++(?:\.\d++)?+"
_WHEN = re.compile(rf"<when>\s*+\[\s*+{_DECIMAL},\s*+{_DECIMAL}\s*+\]\s*+</when>")
_BOX_LINE = re.compile(
    rf"\s*+{_DECIMAL}:\s*+\[\s*+" + r",\s*+".join([_DECIMAL] * 4) + r"\s*+\]\s*+"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A box of a name at a second (rounded as Python rounds: a half goes to the even second)."""

    name: str
    second: int
    box: list[float]


@dataclass(slots=True)
class Said:
    """What a text claims: boxes in the order of writing, and segments in seconds."""

    seen: list[Seen] = field(default_factory=list)
    segments: list[tuple[float, float]] = field(default_factory=list)


def normalise_name(name: str) -> str:
    """Return the released comparison form of a name; not idempotent ("the a dog")."""
    lower = name.lower().strip()
    article = next((each for each in _ARTICLES if lower.startswith(each)), "")
    return _MARKS.sub("", lower[len(article) :]).strip()


def read_prediction(completion: str, map_name: NameMapper | None = None) -> Said:
    """Return what a completion claims; `<answer>` tags are not looked at.

    Raises:
        ValueError: the original's `unicode_escape` decoding would raise (UnicodeError).
    """
    text = _unescape(_unwrap(completion))
    said = Said()
    for name, where in _tracks(text):
        mapped = map_name(name.strip()) if map_name else normalise_name(name.strip())
        for line in where.strip().split("\n"):
            try:
                seen = _read_line(mapped, line)
            except (ValueError, OverflowError):
                # The rest of the block is lost there, what came before it stays.
                break
            if seen and len(seen.box) == 4:
                said.seen.append(seen)
    said.segments = [segment for segment in [_first_when(text)] if segment]
    return said


def read_solution(text: str) -> Said:
    """Return what a truth says that is written as R-AVST's release writes it.

    Raises:
        ValueError: a `<when>` does not hold two numbers.
        OverflowError: a time is infinite.
    """
    said = Said()
    for name, where in _tracks(text):
        for line in where.strip().split("\n"):
            try:
                seen = _read_line(normalise_name(name.strip()), line)
            except ValueError:
                continue
            if seen:
                said.seen.append(seen)
    said.segments = [_segment(when) for when in _whens_behind_objects(text)]
    return said


def solution_from_json(truth_json: object, task: Task) -> Said:
    """Return what a truth of CONTRACTS 7 would say in R-AVST's form; null boxes become zero boxes.

    Raises:
        TruthError: it is not JSON, of another version or task, or a part of it has another type.
    """
    if not isinstance(truth_json, str):
        raise TruthError(f"truth_json is {type(truth_json).__name__}; expected a JSON string")
    data = load_json(truth_json)
    if not isinstance(data, dict) or data.get("task") != task or data.get("v") != VERSION:
        raise TruthError(f"truth is {truth_json[:100]!r}; expected v {VERSION} and task {task!r}")
    said = Said()
    try:
        for thing in data["objects"]:
            name = normalise_name(thing["name"].strip())
            rows = (row for tube in thing["tubes"] for row in tube["boxes"])
            said.seen += [Seen(name, round(float(time)), _box(*box)) for time, *box in rows]
        said.segments = [(float(start), float(end)) for start, end in data["intervals"]]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise TruthError(f"truth is not the record of CONTRACTS 7: {error!r}") from error
    return said


def _box(x1: float | None, *edges: float) -> list[float]:
    """Return the box of a truth's row, in floats: R-AVST writes zeros where nothing is seen."""
    if x1 is None and not edges:
        return [0.0] * 4
    y1, x2, y2 = edges
    return [float(edge) for edge in (cast("float", x1), y1, x2, y2)]


def has_released_format(completion: str) -> bool:
    """Tell whether the released format reward is 1: `<when>` and an object before a `<where>`.

    It asks every task for both, which is why no truth of any task has it.
    """
    answer = next(_between(completion, "<answer>", "</answer>"), None)
    if answer is None or not _WHEN.search(answer):
        return False
    wheres = list(_wheres_behind_objects(answer))
    return bool(wheres) and all(
        _BOX_LINE.fullmatch(line.strip()) for where in wheres for line in where.strip().splitlines()
    )


def _unwrap(completion: str) -> str:
    """Return what stands in `'answer': '...'}` where there is such a thing, else all."""
    opening = _WRAPPED.search(completion)
    close = completion.find("'}", opening.end()) if opening else -1
    return completion[opening.end() : close] if opening and close >= 0 else completion


def _unescape(text: str) -> str:
    """Decode as `unicode_escape` does: UTF-8 read as Latin-1, so `é` becomes two characters."""
    raw = text.encode("utf-8")
    if b"\\" not in raw:
        return raw.decode("latin-1")
    with warnings.catch_warnings():
        # An unknown escape such as \d is kept as it is, with a DeprecationWarning.
        warnings.simplefilter("ignore", DeprecationWarning)
        return raw.decode("unicode_escape")


def _tracks(text: str) -> Iterable[tuple[str, str]]:
    """Pair the n-th name with the n-th `<where>`, whatever stands between them."""
    return zip(
        _between(text, "<object>", "</object>"), _between(text, "<where>", "</where>"), strict=False
    )


def _between(text: str, opening: str, closing: str) -> Iterator[str]:
    """Give what stands between an opening and the next closing, then go on behind that."""
    position = 0
    while (start := text.find(opening, position)) >= 0:
        start += len(opening)
        end = text.find(closing, start)
        if end < 0:
            return
        yield text[start:end]
        position = end + len(closing)


def _read_line(name: str, line: str) -> Seen | None:
    """Return the box of a row; None for a row without exactly one ": ".

    Raises ValueError or OverflowError where Python's `float` can't read a number or the time is
    not finite.
    """
    parts = line.split(": ")
    if len(parts) != 2:
        return None
    second = round(float(parts[0]))
    return Seen(name, second, [float(edge) for edge in parts[1].strip("[]").split(",")])


def _first_when(text: str) -> tuple[float, float] | None:
    """Return the first `<when>[...]</when>` on one row; None where its numbers can't be read."""
    position, close = 0, -1
    while (opening := text.find("<when>[", position)) >= 0:
        start = opening + len("<when>[")
        if close < start:
            close = text.find("]</when>", start)
        if close < 0:
            return None
        newline = text.find("\n", start, close)
        if newline < 0:
            try:
                return _segment(text[start:close])
            except ValueError:
                return None
        # Every opening before this newline has it between itself and the same closing.
        position = newline
    return None


def _segment(when: str) -> tuple[float, float]:
    start, end = map(float, when.split(","))
    return start, end


def _whens_behind_objects(text: str) -> Iterator[str]:
    """Give the `<when>` contents that stand on the row behind the end of an object."""
    return _behind_objects(text, _OBJECT_THEN_WHEN, "]</when>")


def _wheres_behind_objects(text: str) -> Iterator[str]:
    """Give the `<where>` contents that stand right behind the end of an object."""
    return _behind_objects(text, _OBJECT_THEN_WHERE, "</where>")


def _behind_objects(text: str, link: re.Pattern[str], closing: str) -> Iterator[str]:
    """Give what stands between a link and the next closing, where an `<object>` comes before."""
    position = text.find("<object>")
    while position >= 0:
        linked = link.search(text, position + len("<object>"))
        end = text.find(closing, linked.end()) if linked else -1
        if linked is None or end < 0:
            return
        yield text[linked.end() : end]
        position = text.find("<object>", end + len(closing))
