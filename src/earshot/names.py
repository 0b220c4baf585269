"""Normalises names of things: the one comparison form that ids, accept sets and rewards share.

Takes and gives plain strings; standard library only, so that rewards can import it anywhere.
"""

from __future__ import annotations

import unicodedata

_ARTICLES = frozenset({"a", "an", "the"})
_ASCII_PUNCTUATION = {
    code: " " for code in range(128) if unicodedata.category(chr(code)).startswith("P")
}


def norm(text: str) -> str:
    """Return the comparison form of a name (CONTRACTS 1); `norm(norm(s)) == norm(s)`.

    NFKC, lower case, punctuation (Unicode category P) to spaces, white space folded, then leading
    articles removed while another word follows.

    >>> norm("  The  Old-Man's dog ")
    'old man s dog'
    """
    words = _spaced(text).split()
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return " ".join(words)


def _spaced(text: str) -> str:
    """Return the text in lower case, with spaces for punctuation."""
    if text.isascii():  # NFKC leaves it as it is
        return text.lower().translate(_ASCII_PUNCTUATION)
    # Lower-casing can make a letter and its mark composable ("H̱"), so NFKC comes a second time.
    lower = unicodedata.normalize("NFKC", text).lower()
    folded = unicodedata.normalize("NFKC", lower)
    return "".join(" " if unicodedata.category(char).startswith("P") else char for char in folded)
