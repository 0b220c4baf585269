"""The `rules` analyser: a tagger and a lexicon of sounding things and verbs.

Takes the captions of one video and its given events; gives events and mentions. Deterministic, no
key, no weights, no network; each caption is read once, in order of time, so that "he" may mean the
man of the caption before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from earshot.errors import InputError
from earshot.geometry import intervals
from earshot.names import norm
from earshot.schemas import ids
from earshot.schemas.base import to_intervals, to_pairs
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.mention import Audibility, Mention
from earshot.tasks.analyse_captions.labels import (
    category_named,
    category_of,
    read_label,
    sounders_of_label,
)
from earshot.tasks.analyse_captions.lexicon import Lexicon, lexicon
from earshot.tasks.analyse_captions.protocol import Analysed, Analysis, VideoCaptions
from earshot.tasks.analyse_captions.sounding import read
from earshot.tasks.analyse_captions.things import INFERRED, Memory, Reading, Thing

#: Part of the stage's key beside `lexicon_digest()`: raise it when the rules say something else.
VERSION = "4"

_Read = tuple[Caption, Reading]


@dataclass(frozen=True)
class RulesAnalyser:
    """Analyses captions by rules; see `earshot.tasks.analyse_captions.protocol.Analyser`."""

    name: str = "rules"
    version: str = VERSION

    def analyse(
        self, captions: Sequence[Caption], given_events: Sequence[Event], categories: Sequence[str]
    ) -> Analysis:
        """Return the events and mentions of one video (CONTRACTS 2, 3, 9).

        Where events are given they stand as they are, and each takes the mentions of the captions
        that overlap it. Else each caption that says that something sounds makes one event; one
        without sound adds its things, all silent, to the events that it overlaps.

        Raises:
            InputError: if captions and events belong to more than one video.
        """
        _check_one_video(captions, given_events)
        lex = lexicon()
        readings = _read_all(captions, lex)
        if given_events:
            events = tuple(given_events)
        else:
            events = tuple(_caption_events(readings, categories, lex))
        mentions = [mention for event in events for mention in _mentions(event, readings, lex)]
        used = {each for event in events for each in event.caption_ids}
        used |= {mention.caption_id for mention in mentions}
        empty = tuple(c.caption_id for c in captions if c.caption_id not in used)
        return Analysis(events, tuple(mentions), empty)

    def analyse_all(
        self, videos: Sequence[VideoCaptions], categories: Sequence[str]
    ) -> Iterator[Analysed]:
        """Yield what the captions of each video say, in the order of the videos."""
        for video in videos:
            said = self.analyse(video.captions, video.given_events, categories)
            yield Analysed(video.video_id, said)


def _check_one_video(captions: Sequence[Caption], events: Sequence[Event]) -> None:
    videos = {each.video_id for each in captions} | {each.video_id for each in events}
    if len(videos) > 1:
        raise InputError(
            f"captions and events of {sorted(videos)[:5]}: expected those of one video; "
            "call analyse once a video"
        )


def _read_all(captions: Sequence[Caption], lex: Lexicon) -> list[_Read]:
    memory = Memory({})
    ordered = sorted(captions, key=lambda each: (each.start_s, each.end_s))
    return [
        (
            caption,
            read_label(caption.text, lex)
            if caption.caption_source == "label" or category_named(caption.text, lex)
            else read(caption.text, lex, memory),
        )
        for caption in ordered
    ]


def _caption_events(
    readings: Sequence[_Read], categories: Sequence[str], lex: Lexicon
) -> Iterator[Event]:
    allowed = {norm(each): each for each in categories}
    for caption, reading in readings:
        if not reading.audible:
            continue
        named = category_named(caption.text, lex)
        label = named.name if named else category_of(reading.things, lex)
        if label is not None and allowed:
            label = allowed.get(norm(label))
        head = label or _description_head(reading)
        yield Event(
            event_id=ids.event_id(caption.video_id, [caption.caption_id], head, 0),
            video_id=caption.video_id,
            label=label,
            description=caption.text,
            segments=(caption.interval,),
            time_source="caption",
            caption_ids=(caption.caption_id,),
        )


def _description_head(reading: Reading) -> str:
    """Return what the id of an event without a label rests on: its first sounding thing."""
    return next((thing.name for thing in reading.things if thing.sounds), "sound")


def _mentions(event: Event, readings: Sequence[_Read], lex: Lexicon) -> Iterator[Mention]:
    here = [each for each in readings if _belongs(*each, event)]
    labelled = _label_names(event, here, lex)
    seen: set[str] = set()
    for caption, reading in here:
        for thing in reading.things:
            mention = _mention(event, caption, _by_label(thing, labelled))
            if mention.mention_id not in seen:
                seen.add(mention.mention_id)
                yield mention


def _belongs(caption: Caption, reading: Reading, event: Event) -> bool:
    """Tell whether a caption speaks of an event: it is one of its own, or it overlaps it in time.

    A label speaks of its own event only, and so does a caption that made an event of its own.
    """
    if caption.caption_id in event.caption_ids:
        return True
    if caption.caption_source == "label":
        return not event.caption_ids and norm(caption.text) == norm(event.label or "")
    if event.time_source == "caption" and reading.audible:
        return False
    return bool(intervals.intersect(to_pairs(event.segments), [caption.interval.pair]))


def _label_names(event: Event, readings: Sequence[_Read], lex: Lexicon) -> frozenset[str]:
    """Return the names of what a given label says to sound, if no caption already says which."""
    if event.label is None or event.time_source == "caption":
        return frozenset()
    names = sounders_of_label(event.label, lex)
    things = [thing for _, reading in readings for thing in reading.things if thing.sounds]
    return frozenset() if any({t.name, t.head} & names for t in things) else names


def _by_label(thing: Thing, labelled: frozenset[str]) -> Thing:
    """Let a thing sound that the event's label names, though its caption does not say so."""
    if thing.sounds or not thing.seen or not {thing.name, thing.head} & labelled:
        return thing
    return replace(thing, sounds=True, confidence=min(thing.confidence, INFERRED))


def _mention(event: Event, caption: Caption, thing: Thing) -> Mention:
    segments = to_pairs(event.segments)
    times = intervals.intersect(segments, [caption.interval.pair]) or intervals.normalise(segments)
    audibility: Audibility = "visible_only"
    if thing.sounds:
        audibility = "visible_and_audible" if thing.seen else "audible_only"
    return Mention(
        mention_id=ids.mention_id(
            event.event_id, caption.caption_id, thing.char_start, thing.char_end
        ),
        video_id=event.video_id,
        event_id=event.event_id,
        caption_id=caption.caption_id,
        surface=thing.surface,
        char_start=thing.char_start,
        char_end=thing.char_end,
        head=thing.head,
        name=thing.name,
        count=thing.count,
        is_group=thing.is_group,
        audibility=audibility,
        sounding=to_intervals(times) if thing.sounds else (),
        confidence=thing.confidence,
    )
