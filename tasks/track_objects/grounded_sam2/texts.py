"""What a detector is asked for on a frame, and which tokens of the text decide on each thing.

Takes names and phrases, gives texts as Grounding DINO wants them. Needs no torch, so that planning
can count them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sought:
    """A thing to look for: `phrase` is asked, and `name` within it decides."""

    name: str
    phrase: str


@dataclass(frozen=True)
class Prompt:
    """A text and where in it, in characters, the tokens stand that decide on each thing.

    Attributes:
        text: phrases in lower case, each ended by a full stop.
        things: index of each thing that is asked for.
        spans: (start, stop) of what decides on it.
    """

    text: str
    things: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


def prompt_of(sought: Sequence[Sought], things: Sequence[int]) -> Prompt:
    """Return the prompt for some of the things sought.

    A full stop inside a phrase would end it, so it is taken out. Where the phrase has the name in
    it, the name decides: "a", "small" and "brown" fit other things too.
    """
    text, spans = "", []
    for thing in things:
        phrase = " ".join(sought[thing].phrase.lower().replace(".", " ").split())
        name = " ".join(sought[thing].name.lower().replace(".", " ").split())
        at = f" {phrase} ".rfind(f" {name} ") if name else -1
        start = len(text) + max(at, 0)
        spans.append((start, start + len(name) if at >= 0 else start + len(phrase)))
        text += f"{phrase} . "
    return Prompt(text.strip(), tuple(things), tuple(spans))


def prompts_of(sought: Sequence[Sought], limit: int, count: Callable[[str], int]) -> list[Prompt]:
    """Return the prompts for all things: as few as `limit` tokens a text allow.

    Args:
        sought: the things.
        limit: tokens that the model takes.
        count: gives the tokens of a text, special ones too.
    """
    found: list[Prompt] = []
    group: list[int] = []
    for thing in range(len(sought)):
        if group and count(prompt_of(sought, [*group, thing]).text) > limit:
            found.append(prompt_of(sought, group))
            group = []
        group.append(thing)
    return [*found, prompt_of(sought, group)] if group else found


def tokens_of(offsets: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return which tokens (n, 2) of (start, stop) characters lie in a span; special ones none."""
    return np.flatnonzero(
        (offsets[:, 0] < stop) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
    )
