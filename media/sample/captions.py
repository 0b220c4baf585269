"""Writes the captions of a script in plain sentences, and says which words name which actor.

Takes a script and a generator; what a sentence says is true of the script: who sounds, how often,
who is silent, who is out of view. Never gives a time other than the event's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earshot.media.sample.kinds import PILLARS, Verb
from earshot.media.sample.scenery import AROUND, PLACES
from earshot.media.sample.script import Actor, Line, Script

COUNTS = ("", "once", "twice", "three times", "four times", "five times", "six times")
MANY = ("again and again", "over and over", "repeatedly", "time after time", "steadily", "")
RARE_WORD = 1 / 3

ONE = (
    "{A} {s} {how} {place}",
    "{A} {place} {s} {how}",
    "{Place}, {a} {s} {how}",
    "{A} can be heard {v} {place}",
    "We see and hear {a} {v} {place}",
    "The {n} of {a} carries far {place}",
    "{A} waits {place}, {v} {how}",
    "There is {a} {place} that {s} {how}",
    "Here {a} {s} {how} {place}",
    "{Place} one notices {a} {v} loudly",
)
BOTH = (
    "{A} {s} {how} {place} while {b} {s2} at the same time",
    "{Place}, {a} and {b} make noise together: one {s}, the other {s2}",
    "{A} {s} as {b} {s2} beside it",
    "Two sounds mix {place}: {a} {v} and {b} {v2}",
    "Both at once, {a} {s} and {b} {s2}",
)
UNSEEN = (
    "{A} {s} somewhere out of view",
    "Off-screen, {a} {s} {how}",
    "From outside the frame comes the {n} of {a}",
    "Heard but never seen, {a} {s} in the background",
    "{A} {s} off camera",
)
STILL = (
    "{A} {m} {place} without any sound",
    "In complete silence {a} {m} {place}",
    "Nothing is heard: {a} {m} {place}",
    "{A} quietly {m} {place}",
    "{Place}, {a} {m}; the scene is mute",
)
MOVES_TOO = (
    " while {b} {m} in silence",
    "; next to it {b} {m} without a sound",
    ", and {b} {m} silently",
    " as {b} {m} noiselessly",
    ". {B} {m} nearby but stays silent",
    ". All the while {b} {m}, making no noise",
)
MOVES_ALONE = (
    " while {b} {m} in silence",
    "; in the picture {b} {m} without a sound",
    ", and {b} {m} silently",
    " as {b} {m} noiselessly",
    ". All one sees is {b}: it {m} and stays silent",
)
SOUNDS_TOO = (
    ", and for part of that time {b} {s2} as well",
    ", overlapping with {b} that {s2}",
    " while {b} {s2} for some of it",
    ", mixed with the {n2} of {b}",
)
COVERS = (
    " and passes behind {b}",
    ", moves behind {b} and comes out on the other side",
    ", hidden for a moment by {b}",
    " on its way past the far side of {b}",
)
GOES = (
    ", leaves the picture still {v} and comes back",
    ", wanders beyond the edge of the frame without falling silent, then returns",
    ", goes out of sight for a while, still audible, and turns up again",
)


@dataclass(frozen=True)
class Naming:
    """A verbatim span of a text, half-open in characters, that names an actor."""

    actor: int
    char_start: int
    char_end: int


@dataclass(frozen=True)
class Written:
    """A caption: its time, its text, the beats that it tells of and the actors that it names."""

    start_s: float
    end_s: float
    text: str
    beats: tuple[int, ...]
    namings: tuple[Naming, ...]


class Writer:
    """Writes the captions of one script."""

    def __init__(self, script: Script, rng: np.random.Generator) -> None:
        self._script = script
        self._rng = rng

    def captions(self) -> tuple[Written, ...]:
        """Return one caption a line of the scene."""
        return tuple(self._write(line) for line in self._script.scene.lines)

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _verb(self, actor: Actor) -> Verb:
        common, rare = actor.kind.verbs[:2], actor.kind.verbs[2:]
        pool = rare if rare and self._rng.random() < RARE_WORD else common
        return pool[int(self._rng.integers(len(pool)))]

    def _how(self, actor: Actor, verb: Verb, line: Line) -> str:
        struck = sum(line.start_s <= onset < line.end_s for onset in actor.strikes)
        if struck < len(COUNTS) and not verb.third.startswith("is "):
            return COUNTS[struck]
        return self._pick(MANY)

    def _write(self, line: Line) -> Written:
        scene = self._script.scene
        leads = [scene.beats[at].lead for at in line.beats]
        named = [*leads, *line.others]
        actors = [scene.actors[key] for key in named]
        text = self._main(actors[: len(leads)], line)
        for actor in actors[len(leads) :]:
            text += self._also(actor, line)
        text = " ".join(text.split()).replace(" ,", ",").replace(" ;", ";").replace(" .", ".") + "."
        text = text[0].upper() + text[1:]
        namings = tuple(_naming(key, scene.actors[key], text) for key in named)
        return Written(line.start_s, line.end_s, text, line.beats, namings)

    def _main(self, leads: Sequence[Actor], line: Line) -> str:
        lead = leads[0]
        if not lead.kind.can_sound:
            return self._fill(STILL, {"a": lead}, m=self._pick(lead.kind.moves))
        verb = self._verb(lead)
        how = self._how(lead, verb, line)
        words = {"s": verb.third, "v": verb.ing, "n": verb.noun, "how": how}
        if len(leads) > 1:
            other = self._verb(leads[1])
            return self._fill(
                BOTH, {"a": lead, "b": leads[1]}, s2=other.third, v2=other.ing, **words
            )
        if not lead.is_seen:
            return self._fill(UNSEEN, {"a": lead}, **words)
        if len(lead.route) > 1 and not line.others:
            return self._fill(ONE[:2], {"a": lead}, **words) + self._fill(GOES, {}, v=verb.ing)
        if any(self._script.scene.actors[key].kind in PILLARS for key in line.others):
            return self._fill(ONE[:2], {"a": lead}, **words)
        return self._fill(ONE, {"a": lead}, **words)

    def _also(self, actor: Actor, line: Line) -> str:
        if actor.kind in PILLARS:
            return self._fill(COVERS, {"b": actor})
        if any(start < line.end_s and line.start_s < end for start, end in actor.stretches):
            verb = self._verb(actor)
            return self._fill(SOUNDS_TOO, {"b": actor}, s2=verb.third, n2=verb.noun)
        lead = self._script.scene.actors[self._script.scene.beats[line.beats[0]].lead]
        moves = MOVES_TOO if lead.is_seen else MOVES_ALONE
        return self._fill(moves, {"b": actor}, m=self._pick(actor.kind.moves))

    def _fill(self, templates: Sequence[str], things: dict[str, Actor], **words: str) -> str:
        theme = self._script.theme
        aloft = any(actor.kind.stands == "air" for actor in things.values())
        place = AROUND[theme] if aloft else self._pick(PLACES[theme])
        slots = {"place": place, "Place": _capital(place), **words}
        for slot, actor in things.items():
            slots[slot] = with_article(actor)
            slots[slot.upper()] = _capital(slots[slot])
        return self._pick(templates).format(**slots)


def with_article(actor: Actor) -> str:
    """Return the noun phrase with a or an; thunder has neither."""
    if actor.kind.name == "thunder":
        return actor.phrase
    return f"{'an' if actor.phrase[0] in 'aeiou' else 'a'} {actor.phrase}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _naming(key: int, actor: Actor, text: str) -> Naming:
    start = text.lower().index(actor.phrase.lower())
    return Naming(key, start, start + len(actor.phrase))
