"""What a reading of a caption gives: its things, and what is carried on to the next caption.

Holds no logic.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.tasks.analyse_captions.phrases import Phrase

#: Confidence of what is said outright, of what is concluded, of things of an unknown kind.
KNOWN, INFERRED, UNKNOWN = 0.9, 0.6, 0.5


@dataclass(frozen=True)
class Thing:
    """One naming of a thing in a caption; `verbs` are the sounds that it is said to make."""

    char_start: int
    char_end: int
    surface: str
    head: str
    name: str
    kind: str
    count: int | None
    is_group: bool
    seen: bool
    sounds: bool
    verbs: frozenset[str]
    confidence: float


@dataclass(frozen=True)
class Reading:
    """What a caption says: its things in order of place, and whether anything is heard at all."""

    things: tuple[Thing, ...]
    audible: bool


@dataclass
class Memory:
    """The last thing of each kind of pronoun, kept from caption to caption of one video."""

    last: dict[str, Phrase]
