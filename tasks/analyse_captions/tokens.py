"""Splits a caption into words, each with its place in the text.

Takes any text; gives tokens. What each word is, `tagger.py` says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from earshot.tasks.analyse_captions.vocabulary import VerbForm

_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:-[^\W\d_]+)*(?:['\u2019](?!s\b)[^\W\d_]+)?"
    r"|['\u2019]s\b|[^\w\s]|_"
)


@dataclass(slots=True)
class Token:
    """One word or mark: its text, place (half-open characters), tag, and verb reading if any."""

    text: str
    lower: str
    start: int
    end: int
    tag: str = ""
    lemma: str = ""
    form: VerbForm | None = None


def tokenise(text: str) -> list[Token]:
    """Split a text into tokens whose `start` and `end` are verbatim character positions."""
    return [
        Token(m.group(), m.group().lower().replace("\u2019", "'"), m.start(), m.end())
        for m in _TOKEN.finditer(text)
    ]
