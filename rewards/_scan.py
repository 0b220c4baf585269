"""Reads the tags, lines and intervals of one answer's text in a single pass, left to right.

Takes a string and positions in it, gives spans and integers of 1e-6; never copies the whole text,
never looks back, never raises on any text. The public place is `earshot.rewards.grammar`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

WHITE = " \t\n"
"""The grammar's white space: carriage return and no-break space are not in it (CONTRACTS 6)."""

_TAG = re.compile("<(/?+)(object|when|where)>")

# Each pattern is tried at one position only, and every run in it is possessive: it can't backtrack,
# so an attempt costs what it passes over and no text makes it cost more.
_NUMBER = r"-?+[0-9]{1,7}+(?:\.[0-9]{1,6}+)?+"
_WHITE_RUN = re.compile(r"[ \t\n]*+")
_COMMA = re.compile(r"[ \t\n]*+,")
_SKIP = re.compile(r"[^\n\]]*+[\n\]]?+")


def _tokens(pattern: str) -> str:
    """Return a pattern of space-separated tokens (`n` = a number), white space between them."""
    parts = (_NUMBER if part == "n" else re.escape(part) for part in pattern.split())
    return r"[ \t\n]*+".join(parts)


_INTERVAL = re.compile(_tokens("[ n , n ]"))
_LINES = re.compile(rf"[ \t\n]*+(?:{_tokens('n : [ n , n , n , n ]')}[ \t\n]*+)*+")
_TO_BLANKS = str.maketrans(dict.fromkeys("[],:", " "))


@dataclass(frozen=True, slots=True)
class Element:
    """A complete `<object>`, `<when>` or `<where>`: its content is text[start:end]."""

    kind: str
    start: int
    end: int


def is_white(text: str, start: int, end: int) -> bool:
    """Tell whether text[start:end] is white space of the grammar, or empty."""
    return _end(_WHITE_RUN, text, start, end) == end


def find_answer(text: str) -> tuple[int, int] | None:
    """Return the span between the tags of the last complete answer, or None (CONTRACTS 6).

    It begins at the last `<answer>` that has an `</answer>` behind it and ends at the first one.
    """
    last_close = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, max(last_close, 0))
    if opening < 0:
        return None
    start = opening + len("<answer>")
    return start, text.find("</answer>", start)


def envelope_is_clean(text: str, start: int, end: int) -> bool:
    """Tell whether around the answer with content text[start:end] is only one think block."""
    opening, behind = start - len("<answer>"), end + len("</answer>")
    if not is_white(text, behind, len(text)):
        return False
    head = _end(_WHITE_RUN, text, 0, opening)
    if text.startswith("<think>", head, opening):
        close = text.find("</think>", head, opening)
        if close < 0:
            return False
        head = close + len("</think>")
    return is_white(text, head, opening)


def find_elements(text: str, start: int, end: int) -> tuple[list[Element], bool]:
    """Return the complete elements of an answer and whether only white space lies between them.

    An element is complete if the next of the six tags behind its opening is its own closing.
    """
    tags = _find_tags(text, start, end)
    elements: list[Element] = []
    clean, behind, index = True, start, 0
    while index < len(tags):
        at, after, kind, closes = tags[index]
        clean = clean and is_white(text, behind, at)
        closing = tags[index + 1] if index + 1 < len(tags) else None
        if not closes and closing is not None and closing[2:] == (kind, True):
            elements.append(Element(kind, after, closing[0]))
            behind, index = closing[1], index + 2
        else:
            clean, behind, index = False, after, index + 1
    return elements, clean and is_white(text, behind, end)


def read_lines(text: str, start: int, end: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the (time, x1, y1, x2, y2) rows of a `<where>` in 1e-6, and whether nothing else is.

    Where no line matches, the scan goes on behind the next newline or `]`.
    """
    numbers: list[int] = []
    clean, position = True, start
    while True:
        # All lines up to the first that is none, at once: a match a line costs twice as much.
        behind = _end(_LINES, text, position, end)
        numbers += _micros(text, position, behind)
        if behind == end:
            break
        clean, position = False, _end(_SKIP, text, behind, end)
    columns = [iter(numbers)] * 5
    return list(zip(*columns, strict=True)), clean and bool(numbers)


def read_intervals(text: str, start: int, end: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the (start, end) pairs of a `<when>` in 1e-6, and whether they fit the grammar.

    As `read_lines`; one comma behind an interval, also behind a skipped one, is passed over.
    """
    pairs: list[tuple[int, ...]] = []
    clean, is_due, position = True, True, start
    while (position := _end(_WHITE_RUN, text, position, end)) < end:
        clean = clean and is_due
        if match := _INTERVAL.match(text, position, end):
            pairs.append(tuple(_micros(text, *match.span())))
            position = match.end()
        else:
            clean, position = False, _end(_SKIP, text, position, end)
        comma = _COMMA.match(text, position, end)
        is_due = comma is not None
        position = comma.end() if comma else position
    return pairs, clean and not is_due


def _find_tags(text: str, start: int, end: int) -> list[tuple[int, int, str, bool]]:
    """List the six tags in text[start:end] as (position, position behind, kind, closes)."""
    return [
        (tag.start(), tag.end(), tag[2], bool(tag[1])) for tag in _TAG.finditer(text, start, end)
    ]


def _end(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Return where a pattern that may match nothing ends, tried at `start`."""
    match = pattern.match(text, start, end)
    return match.end() if match else start


def _micros(text: str, start: int, end: int) -> Iterator[int]:
    """Give the numbers of text[start:end], which holds whole lines or intervals, in 1e-6."""
    return map(_micro, text[start:end].translate(_TO_BLANKS).split())


# Edges of three decimals are a thousand, and the answers of a rollout group repeat each other.
@lru_cache(maxsize=4096)
def _micro(number: str) -> int:
    """Turn `-12.345` into -12345000: the digits are shifted, no float is made."""
    whole, _, decimals = number.partition(".")
    return int(whole + decimals.ljust(6, "0"))
