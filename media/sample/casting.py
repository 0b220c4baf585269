"""Draws actors and their schedules for a scenario from one random generator.

Takes a duration and a generator, gives actors; which situation they play is `scenarios`' business.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from earshot.media.sample.kinds import SILENT, SOUNDERS, Kind
from earshot.media.sample.script import Actor, Look, Stretch

NEAR_S = 0.12


class Casting:
    """Picks kinds without repeating one, and gives each its place and its times."""

    def __init__(self, rng: np.random.Generator, duration_s: float) -> None:
        self.rng = rng
        self.duration_s = duration_s
        self._taken: set[str] = set()

    def pick(self, kinds: Sequence[Kind] = SOUNDERS, *, roams: bool = False) -> Kind:
        """Return a kind that is not yet in the video; with `roams` one that can walk about."""
        free = [k for k in kinds if k.name not in self._taken and (k.roams or not roams)]
        kind = free[int(self.rng.integers(len(free)))]
        self._taken.add(kind.name)
        return kind

    def pick_silent(self) -> Kind:
        """Return a kind that never sounds."""
        return self.pick(SILENT)

    def look(self, kind: Kind, *, colour: int | None = None, plain: bool = False) -> Look:
        """Return a look: colour, adjective and noun; `plain` keeps the kind's own name."""
        name, rgb = "", (0, 0, 0)
        if kind.colours:
            at = int(self.rng.integers(len(kind.colours))) if colour is None else colour
            name, rgb = kind.colours[at % len(kind.colours)]
        adjective = str(self.rng.choice(["", *kind.adjectives]))
        rare = self.rng.random() < 0.3 and not plain
        noun = str(self.rng.choice(kind.nouns)) if rare else kind.name
        words = [word for word in adjective.split() if word not in noun]
        return Look(" ".join(words), name, rgb, noun)

    def between(self, low: float, high: float) -> float:
        """Return a uniform number."""
        return float(self.rng.uniform(low, high))

    def stretch(self, start: float, length: float) -> Stretch:
        """Return a stretch on the 0.1 s grid; start and length are parts of the duration."""
        start_s = round(start * self.duration_s, 1)
        return (start_s, round(start_s + max(length * self.duration_s, 1.2), 1))

    def strikes(self, kind: Kind, stretch: Stretch) -> tuple[float, ...]:
        """Return onsets that fill a stretch: first at its start, last sound ending at its end."""
        start_s, end_s = stretch
        room_s = end_s - start_s - kind.strike_s
        gaps = max(1, math.ceil(room_s / (kind.period_s * self.between(0.9, 1.1))))
        if room_s < kind.strike_s / 4:
            return (start_s,)
        onsets = start_s + np.arange(gaps + 1) * room_s / gaps
        onsets[1:-1] += self.rng.uniform(-0.1, 0.1, gaps - 1) * room_s / gaps
        return tuple(round(float(onset), 3) for onset in onsets)

    def hops(self, kind: Kind, stretch: Stretch, away_from: Sequence[float]) -> tuple[float, ...]:
        """Return rhythmic onsets of a silent mover that keep clear of the onsets of sounds."""
        period_s = max(kind.period_s * self.between(0.85, 1.2), kind.hop_s)
        onsets = np.arange(stretch[0] + self.between(0.05, 0.4), stretch[1] - kind.hop_s, period_s)
        onsets = onsets + self.rng.uniform(-0.04, 0.04, len(onsets))
        return tuple(round(clear_of(float(onset), away_from), 3) for onset in onsets)

    def actor(self, kind: Kind, x: float, *, look: Look | None = None, size: float = 1.0) -> Actor:
        """Return an actor that stays about x (in frame widths), without any schedule yet."""
        low, high = (0.83, 0.95) if kind.stands == "ground" else (0.58, 0.66)
        return Actor(
            name=kind.name,
            kind=kind,
            look=look or self.look(kind),
            size=1.2 * kind.height * size * self.between(0.92, 1.08),
            foot_y=self.between(low, high),
            route=((0.0, x),),
            sway=(0.012 if kind.roams else 0.0, self.between(4, 7), self.between(0, 6)),
            flip=bool(self.rng.random() < 0.5),
            depth=1,
        )

    def sounding(self, actor: Actor, *stretches: Stretch) -> Actor:
        """Return the actor with sounds, and a movement with each, that fill the stretches."""
        onsets = tuple(t for stretch in stretches for t in self.strikes(actor.kind, stretch))
        return dataclasses.replace(actor, strikes=onsets, hops=onsets, stretches=stretches)

    def moving(self, actor: Actor, stretch: Stretch, *beside: Actor) -> Actor:
        """Return the actor moving in silence through a stretch, out of step with the others."""
        sounds = sorted(onset for other in beside for onset in other.strikes)
        return dataclasses.replace(actor, hops=self.hops(actor.kind, stretch, sounds))

    def slots(self, count: int) -> list[float]:
        """Return `count` places side by side, shuffled."""
        places = (np.arange(count) + 0.5) / count
        return [float(x) for x in self.rng.permutation(places * 0.9 + 0.05)]


def clear_of(onset_s: float, sounds: Sequence[float]) -> float:
    """Return the onset, moved behind a sound that begins at nearly the same time."""
    for sound_s in sounds:
        if abs(onset_s - sound_s) < NEAR_S:
            return sound_s + NEAR_S + 0.06
    return onset_s
