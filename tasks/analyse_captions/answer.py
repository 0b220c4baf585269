"""What a model may answer about one caption, and the rules that it has to keep.

Takes the JSON text of an answer; gives its events with every object's place in the caption, or says
in words for the model which rule is broken. Where evidence stands is found here, never believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from unicodedata import category, combining, normalize

from pydantic import Field, ValidationError

from earshot.geometry import intervals
from earshot.names import norm
from earshot.rewards.grammar import MAX_NAME_CHARACTERS, is_answerable
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.mention import Audibility
from earshot.tasks.llm.ask import AnswerForm, AnswerModel
from earshot.tasks.llm.dialogue import BrokenRuleError

# Times are shown to the model with three decimals.
TOLERANCE_S = 0.01
_TOLD = 5
Pairs = tuple[tuple[float, float], ...]


class AnswerStretch(AnswerModel):
    """A stretch of time."""

    start_s: float
    end_s: float


class AnswerObject(AnswerModel):
    """A thing that the caption names."""

    evidence: str = Field(min_length=1)
    name: str = Field(min_length=1)
    audibility: Literal["visible_and_audible", "visible_only", "audible_only"]
    count: int | None
    is_group: bool
    sounding: tuple[AnswerStretch, ...]
    confidence: float | None


class AnswerEvent(AnswerModel):
    """Something that is heard."""

    event: int | None
    label: str | None
    segments: tuple[AnswerStretch, ...]
    objects: tuple[AnswerObject, ...]


class Answer(AnswerModel):
    """What a model says of one caption."""

    events: tuple[AnswerEvent, ...]


FORM = AnswerForm.of("caption_analysis", Answer)


@dataclass(frozen=True, slots=True)
class ReadObject:
    """An object that keeps the rules; `span` is None where the caption has no such words."""

    evidence: str
    span: tuple[int, int] | None
    name: str
    audibility: Audibility
    count: int | None
    is_group: bool
    sounding: Pairs
    confidence: float | None


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event that keeps the rules: the given one, or one that was found."""

    given: Event | None
    label: str | None
    segments: Pairs
    objects: tuple[ReadObject, ...]


def read_answer(
    text: str, caption: Caption, given: Sequence[Event], categories: Sequence[str]
) -> tuple[ReadEvent, ...]:
    """Return the events of an answer.

    Args:
        text: JSON.
        caption: that the answer is about.
        given: the events that the request listed, in its order; their times and labels stand.
        categories: labels to choose from; empty: any.

    Raises:
        BrokenRuleError: naming up to five rules that are broken.
    """
    try:
        answer = Answer.model_validate_json(text)
    except ValidationError as error:
        said = [_told(each) for each in error.errors(include_url=False, include_input=False)]
        raise BrokenRuleError("; ".join(said[:_TOLD])) from None
    reader = _Reader(caption, given, categories)
    events = tuple(reader.events(answer))
    if reader.problems:
        raise BrokenRuleError("; ".join(reader.problems[:_TOLD]))
    return events


def _told(error: object) -> str:
    assert isinstance(error, dict)
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])


class _Reader:
    """Checks one answer and collects what is wrong with it."""

    def __init__(self, caption: Caption, given: Sequence[Event], categories: Sequence[str]) -> None:
        self.problems: list[str] = []
        self._caption = caption
        self._given = given
        self._categories = {norm(each): each for each in categories}

    def events(self, answer: Answer) -> Iterator[ReadEvent]:
        """Yield the events; those that break a rule are noted instead."""
        seen: set[int] = set()
        for at, event in enumerate(answer.events):
            where = f"events.{at}"
            if self._given:
                known = self._known(event, where, seen)
                if known is None:
                    continue
                segments = intervals.normalise([s.pair for s in known.segments])
                label = known.label
            else:
                known = None
                segments = self._segments(event, where)
                label = self._label(event, where)
                if not any(each.audibility != "visible_only" for each in event.objects):
                    self._say(f"{where}: no object of it is heard; leave the event out")
            yield ReadEvent(known, label, segments, tuple(self._objects(event, segments, where)))
        if self._given and (missing := set(range(1, len(self._given) + 1)) - seen):
            self._say(f"event {min(missing)} of the request is not answered")

    def _say(self, problem: str) -> None:
        self.problems.append(problem)

    def _known(self, event: AnswerEvent, where: str, seen: set[int]) -> Event | None:
        number = event.event
        if number is None or not 1 <= number <= len(self._given):
            self._say(f"{where}.event is {number}: expected a number from 1 to {len(self._given)}")
            return None
        if number in seen:
            self._say(f"{where}: event {number} is answered twice")
            return None
        seen.add(number)
        return self._given[number - 1]

    def _label(self, event: AnswerEvent, where: str) -> str | None:
        label = " ".join((event.label or "").split())
        if not label or not self._categories:
            return label[:80].lower() or None
        if norm(label) not in self._categories:
            self._say(f"{where}.label {label[:80]!r} is none of the categories: choose one or null")
        return self._categories.get(norm(label))

    def _segments(self, event: AnswerEvent, where: str) -> Pairs:
        start_s, end_s = self._caption.start_s, self._caption.end_s
        pairs = self._pairs(event.segments, f"{where}.segments")
        for pair in pairs:
            if pair[0] < start_s - TOLERANCE_S or pair[1] > end_s + TOLERANCE_S:
                self._say(
                    f"{where}.segments has [{pair[0]:g}, {pair[1]:g}], outside of the caption's "
                    f"time {start_s:g} to {end_s:g} s"
                )
        inside = intervals.clip(pairs, start_s, end_s)
        if not inside and not self.problems:
            self._say(f"{where}.segments is empty: expected at least one stretch")
        return inside

    def _pairs(self, stretches: Sequence[AnswerStretch], where: str) -> list[tuple[float, float]]:
        pairs = []
        for each in stretches:
            if each.start_s < each.end_s:
                pairs.append((each.start_s, each.end_s))
            else:
                self._say(
                    f"{where} has [{each.start_s:g}, {each.end_s:g}]: start must be below end"
                )
        return pairs

    def _objects(self, event: AnswerEvent, segments: Pairs, where: str) -> Iterator[ReadObject]:
        taken: set[tuple[int, int]] = set()
        for at, each in enumerate(event.objects):
            here = f"{where}.objects.{at}"
            span = locate(self._caption.text, each.evidence, taken)
            if span is not None and span in taken:
                self._say(f"{here}: {each.evidence[:80]!r} is listed twice in one event")
                continue
            if span is not None:
                taken.add(span)
            if each.count is not None and each.count < 1:
                self._say(f"{here}.count is {each.count}: expected at least 1, or null")
                continue
            if each.confidence is not None and not 0 <= each.confidence <= 1:
                self._say(f"{here}.confidence is {each.confidence:g}: expected 0 to 1, or null")
                continue
            if not is_answerable(name := norm(each.name)):
                self._say(
                    f"{here}.name {each.name[:80]!r} of {len(each.name):,} characters is no name: "
                    f"expected 1 to {MAX_NAME_CHARACTERS} characters, with a letter, without < "
                    "and >, and not none"
                )
                continue
            yield ReadObject(
                each.evidence.strip(),
                span,
                name,
                each.audibility,
                each.count,
                each.is_group,
                self._sounding(each, segments, here),
                each.confidence,
            )

    def _sounding(self, each: AnswerObject, segments: Pairs, where: str) -> Pairs:
        pairs = self._pairs(each.sounding, f"{where}.sounding")
        if each.audibility == "visible_only":
            if pairs:
                self._say(f"{where} is visible_only and has sounding stretches: leave them out")
            return ()
        if not each.sounding:
            self._say(f"{where} is {each.audibility} and never sounds: give the stretches")
            return ()
        inside = intervals.intersect(pairs, segments)
        if not inside and segments and pairs:
            shown = ", ".join(f"[{a:g}, {b:g}]" for a, b in segments)
            self._say(f"{where}.sounding lies outside of the event's segments {shown}")
        return inside


# What models and editors write for one another: quotes, dashes, and characters without a shape.
_ALIKE = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"), ""),
}
_EDGES = " \t\r\n\"'`.,;:!?()[]\u2018\u2019\u201c\u201d"


def locate(text: str, evidence: str, taken: set[tuple[int, int]]) -> tuple[int, int] | None:
    """Return where the words of some evidence stand in a text, half-open; None: nowhere.

    Letter case, white space, the Unicode form and the kind of quotes and dashes may differ; words
    are never cut. The first place that is not taken counts; where all are, the first.

    >>> locate("A dog barks at a dog.", "a dog", {(0, 5)})
    (15, 20)
    >>> locate("A man\u2019s dog barks.", "man's dog", set())
    (2, 11)
    """
    exact = evidence.strip(_EDGES)
    if exact and (start := text.find(exact)) >= 0:  # as it should be: nothing is folded
        span = (start, start + len(exact))
        if _is_whole(text, span) and span not in taken:
            return span
    words = _folded(evidence)[0].strip(_EDGES).split()
    if not words:
        return None
    first = None
    folded, places = _folded(text)
    for found in re.finditer(r"\s+".join(re.escape(word) for word in words), folded):
        if _is_whole(folded, found.span()):
            span = (places[found.start()][0], places[found.end() - 1][1])
            if span not in taken:
                return span
            first = first or span
    return first


def _folded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text in the form in which it is compared, and where each character came from."""
    if text.isascii():
        return text.lower(), list(pairwise(range(len(text) + 1)))
    # A letter goes with the marks behind it: only together have they one normal form.
    letters = [at for at, char in enumerate(text) if at == 0 or not combining(char)]
    folded, places = "", list[tuple[int, int]]()
    for start, end in pairwise([*letters, len(text)]):
        form = normalize("NFKD", text[start:end].translate(_ALIKE)).casefold()
        folded += form
        places += [(start, end)] * len(form)
    return folded, places


def _is_whole(text: str, span: tuple[int, int]) -> bool:
    """Tell whether a span cuts no word, nor a letter from its marks."""
    return not any(
        at and _in_word(text[at - 1 : at]) and _in_word(text[at : at + 1]) for at in span
    )


def _in_word(char: str) -> bool:
    return char.isalnum() or (char != "" and category(char).startswith("M"))
