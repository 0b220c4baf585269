"""Joins the mentions of a video into objects and says what each does in each event.

Takes the mentions, captions and events of one video; gives objects, event-objects and what it
refused, each with a ledger code. A mention whose words do not stand in the caption is refused, and
so is what can't be boxed. It never reads text for meaning: that was the analyser's part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from earshot.geometry import intervals
from earshot.names import norm
from earshot.rewards.grammar import MAX_NAME_CHARACTERS, is_answerable
from earshot.schemas import ids
from earshot.schemas.base import to_intervals, to_pairs
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.mention import Audibility, Mention
from earshot.schemas.object import Object
from earshot.tasks.extract_objects.instances import ONES, OTHER, instances

#: Part of the stage's key beside `names_digest()`: raise it when the merging says something else.
VERSION = "2"

RejectCode = Literal["not_in_caption", "not_an_object", "bad_name"]
#: What wins inside an event: heard off-screen beats seen silent, for then the kind does sound.
_STRENGTH: dict[Audibility, int] = {
    "visible_only": 0,
    "audible_only": 1,
    "visible_and_audible": 2,
}
_INDEFINITE = re.compile(
    r"\b(?:an?|another|one|two|three|four|five|some|several)\s+$", re.IGNORECASE
)


@dataclass(frozen=True)
class RejectedMention:
    """A mention that became no object, with its ledger code and the reason in words."""

    mention: Mention
    code: RejectCode
    message: str


@dataclass(frozen=True)
class Extraction:
    """The key objects of one video.

    Attributes:
        objects: in the order in which the captions first name them.
        event_objects: by event, then by object in the same order.
        rejected: mentions that are no objects.
        over_limit: event-objects left out by `max_objects_per_event`.
    """

    objects: tuple[Object, ...]
    event_objects: tuple[EventObject, ...]
    rejected: tuple[RejectedMention, ...]
    over_limit: tuple[EventObject, ...]


class _NamesFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    unboxable: str
    pointing: str
    invisible: str
    synonyms: dict[str, str]


@dataclass(frozen=True)
class _Names:
    unboxable: frozenset[str]
    pointing: frozenset[str]
    invisible: frozenset[str]
    canonical: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]


def _file_bytes() -> bytes:
    return files("earshot.tasks.extract_objects").joinpath("names.yaml").read_bytes()


def names_digest() -> str:
    """Return the sha256 of the file of synonyms and unboxable names, a part of the stage's key."""
    return hashlib.sha256(_file_bytes()).hexdigest()


@cache
def _names() -> _Names:
    raw = _NamesFile.model_validate(yaml.safe_load(_file_bytes()))
    synonyms = {name: _words(text) for name, text in raw.synonyms.items()}
    return _Names(
        unboxable=frozenset(_words(raw.unboxable)),
        pointing=frozenset(_words(raw.pointing)),
        invisible=frozenset(_words(raw.invisible)),
        canonical={other: name for name, others in synonyms.items() for other in others},
        synonyms=synonyms,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


def merge(
    mentions: Sequence[Mention],
    captions: Sequence[Caption],
    events: Sequence[Event],
    *,
    max_objects_per_event: int | None = None,
) -> Extraction:
    """Return the key objects of one video (CONTRACTS 1, 2; R-AVST's key-object extraction).

    Mentions of one kind of thing become one object: equal names, synonyms, and a bare head ("the
    car") where the video has only one compound of it ("police car"). Inside an event the strongest
    audibility wins, sounding times are united and cut to the event's segments.

    Args:
        mentions: of one video, from any analyser.
        captions: of the video; evidence is checked against their texts.
        events: that the mentions belong to.
        max_objects_per_event: the most event-objects kept in an event: sounding and seen ones
            first, then the most confident; None keeps all.
    """
    names = _names()
    texts = {caption.caption_id: caption.text for caption in captions}
    order = {caption.caption_id: (caption.start_s, k) for k, caption in enumerate(captions)}
    known = {event.event_id: event for event in events}
    kept, rejected = [], []
    for mention in mentions:
        problem = _problem(mention, texts, known, names)
        if problem is None:
            kept.append(mention)
        else:
            rejected.append(RejectedMention(mention, *problem))
    kept.sort(key=lambda each: (*order[each.caption_id], each.char_start, each.char_end))
    groups = _grouped(kept, texts, names)
    found = [
        _event_object(known[event_id], name, group)
        for name, whole in groups.items()
        for event_id, group in _by_event(whole, events)
    ]
    in_limit, over_limit = _limited(found, events, max_objects_per_event)
    alive = {each.object_id for each in in_limit}
    objects = [_object(name, group, texts, names) for name, group in groups.items()]
    return Extraction(
        tuple(each for each in objects if each.object_id in alive),
        tuple(in_limit), tuple(rejected), tuple(over_limit),
    )  # fmt: skip


def _problem(
    mention: Mention, texts: Mapping[str, str], events: Mapping[str, Event], names: _Names
) -> tuple[RejectCode, str] | None:
    """Return why a mention is no object, or None."""
    text = texts.get(mention.caption_id)
    if text is None:
        return "not_in_caption", f"caption {mention.caption_id} is not one of the video's captions"
    if mention.event_id not in events:
        return "not_in_caption", f"event {mention.event_id} is not one of the video's events"
    written = text[mention.char_start : mention.char_end]
    if written != mention.surface or not written.strip():
        return "not_in_caption", (
            f"characters {mention.char_start}-{mention.char_end} read {written[:80]!r}, expected "
            f"{mention.surface[:80]!r}"
        )
    if {norm(mention.name), norm(mention.head)} & names.unboxable:
        return "not_an_object", f"{mention.name!r} names nothing that could be boxed"
    if not any(char.isalpha() for char in norm(mention.name)):
        return "not_an_object", f"name {mention.name[:80]!r} has no letter"
    if not is_answerable(_canonical(mention, names)):
        return "bad_name", (
            f"name {mention.name[:80]!r} of {len(mention.name):,} characters can't stand in an "
            f"answer; expected at most {MAX_NAME_CHARACTERS} without < and >, and not none"
        )
    return None


# -- merging


def _canonical(mention: Mention, names: _Names) -> str:
    name = norm(mention.name)
    while name.partition(" ")[2] and name.partition(" ")[0] in OTHER:
        name = name.partition(" ")[2]  # "second man": a man
    return names.canonical.get(name, name)


def _grouped(
    mentions: Sequence[Mention], texts: Mapping[str, str], names: _Names
) -> dict[str, list[Mention]]:
    """Return the mentions by canonical name, in the order of first naming."""
    groups: dict[str, list[Mention]] = {}
    for mention in mentions:
        groups.setdefault(_canonical(mention, names), []).append(mention)
    for bare in list(groups):
        longer = [name for name in groups if name.endswith(f" {bare}")]
        if len(longer) == 1 and _speaks_of(groups[bare], groups[longer[0]], texts):
            groups[longer[0]] += groups.pop(bare)
    return groups


def _speaks_of(
    bare: Sequence[Mention], compound: Sequence[Mention], texts: Mapping[str, str]
) -> bool:
    """Tell whether "the car" may mean "a police car" before: never new, never beside it."""
    if {m.caption_id for m in bare} & {m.caption_id for m in compound}:
        return False
    return not any(
        _INDEFINITE.search(texts[m.caption_id][: m.char_start]) or m.is_group for m in bare
    )


def _by_event(
    mentions: Sequence[Mention], events: Sequence[Event]
) -> Iterable[tuple[str, list[Mention]]]:
    for event in events:
        group = [mention for mention in mentions if mention.event_id == event.event_id]
        if group:
            yield event.event_id, group


def _event_object(event: Event, name: str, mentions: Sequence[Mention]) -> EventObject:
    strongest = max((m.audibility for m in mentions), key=lambda each: _STRENGTH[each])
    heard = [m for m in mentions if m.audibility != "visible_only"]
    sounding = intervals.intersect(
        [pair for mention in heard for pair in to_pairs(mention.sounding)],
        to_pairs(event.segments),
    )
    if strongest == "visible_and_audible" and not sounding:
        strongest = "visible_only"  # its times lie outside the event
    said = [
        m.confidence for m in mentions if m.audibility == strongest and m.confidence is not None
    ]
    evidence = [Evidence(caption_id=c, char_start=a, char_end=b) for c, a, b in dict.fromkeys(
        (m.caption_id, m.char_start, m.char_end) for m in mentions
    )]  # fmt: skip
    return EventObject(
        event_id=event.event_id,
        object_id=ids.object_id(event.video_id, name),
        audibility=strongest,
        sounding=to_intervals(sounding),
        evidence=tuple(evidence),
        confidence=max(said, default=None),
    )


def _limited(
    found: Sequence[EventObject], events: Sequence[Event], limit: int | None
) -> tuple[list[EventObject], list[EventObject]]:
    """Split by the limit; the order inside an event stays that of first naming."""
    kept: list[EventObject] = []
    left: list[EventObject] = []
    for event in events:
        here = [each for each in found if each.event_id == event.event_id]
        ranked = sorted(here, key=lambda o: (-_STRENGTH[o.audibility], -(o.confidence or 0.0)))
        chosen = {id(each) for each in ranked[:limit]}
        kept += [each for each in here if id(each) in chosen]
        left += [each for each in here if id(each) not in chosen]
    return kept, left


# -- objects


def _object(
    name: str, mentions: Sequence[Mention], texts: Mapping[str, str], names: _Names
) -> Object:
    surfaces = tuple(dict.fromkeys(mention.surface for mention in mentions))
    naming = [m for m in mentions if _names_it(m, names)]
    accept = [
        *(norm(m.surface) for m in naming), *(norm(m.name) for m in naming), name,
        *(norm(m.head) for m in naming), *names.synonyms.get(name, ()),
    ]  # fmt: skip
    counted = [m for m in mentions if _names_it(m, names) or _last_word(m) in ONES]
    count = instances([(m, _own_words(m, names)) for m in counted], texts)
    return Object(
        object_id=ids.object_id(mentions[0].video_id, name),
        video_id=mentions[0].video_id,
        name=name,
        head=name.rsplit(" ", 1)[-1],
        surfaces=surfaces,
        accept=tuple(dict.fromkeys(norm(word) for word in accept)),
        count=count,
        is_group=all(m.is_group for m in mentions),
        grounding_phrase=_grounding_phrase(name, naming, names, are_several=(count or 1) > 1),
    )


def _names_it(mention: Mention, names: _Names) -> bool:
    """Tell whether the words name the thing, where "he" and "barking" only point at it."""
    return _last_word(mention) not in {"", *names.pointing}


def _last_word(mention: Mention) -> str:
    return norm(mention.surface).rpartition(" ")[2]


def _own_words(mention: Mention, names: _Names) -> frozenset[str]:
    """Return what a mention says of its thing beside the name."""
    kind = {*norm(mention.name).split(), _last_word(mention)}
    return frozenset(mention.surface.lower().split()) - kind - names.invisible


def _grounding_phrase(
    name: str, naming: Sequence[Mention], names: _Names, *, are_several: bool
) -> str:
    """Return what a detector is asked for: the one description there is, else the name.

    With "a red car" and "a silver car" in one video only the name fits both.
    """
    seen = [mention for mention in naming if mention.audibility != "audible_only"]
    phrases = list(dict.fromkeys(_description(m.surface, names) for m in seen))
    if all(m.is_group for m in seen) and len(phrases) == 1:
        return _with_article(phrases[0])
    fuller = [each for each in phrases if len(each.split()) > len(name.split())]
    if are_several or len(fuller) != 1 or _several_at_once(seen):
        return _with_article(name)
    return _with_article(fuller[0])


def _several_at_once(mentions: Sequence[Mention]) -> bool:
    """Tell whether one caption tells two such things apart, or counts them."""
    at = {(m.caption_id, m.char_start): m for m in mentions}
    places = [caption_id for caption_id, _ in at]
    return len(places) > len(set(places)) or any(m.count is None or m.count > 1 for m in mentions)


def _description(surface: str, names: _Names) -> str:
    """Return a surface in lower case without the words before it that no picture shows."""
    words = surface.lower().split()
    while len(words) > 1 and (words[0] in names.invisible or words[0].isdigit()):
        words = words[1:]
    return " ".join(words)


def _with_article(phrase: str) -> str:
    last = phrase.split()[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    if plural or last in {"people", "men", "women", "children"}:
        return phrase if " of " not in phrase else f"a {phrase}"
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
