"""Normalises names of things: the one comparison form that ids, accept sets and rewards share.

Takes and gives plain strings; standard library only, so that rewards can import it anywhere.
"""

from __future__ import annotations

import unicodedata

_ARTICLES = frozenset({"a", "an", "the"})


def norm(text: str) -> str:
    """Return the comparison form of a name (CONTRACTS 1); `norm(norm(s)) == norm(s)`.

    NFKC, lower case, punctuation (Unicode category P) to spaces, white space folded, then leading
    articles removed while another word follows.

    >>> norm("  The  Old-Man's dog ")
    'old man s dog'
    """
    # Lower-casing can make a letter and its mark composable ("H̱"), so NFKC comes a second time.
    lower = unicodedata.normalize("NFKC", text).lower()
    folded = unicodedata.normalize("NFKC", lower)
    spaced = "".join(" " if unicodedata.category(char).startswith("P") else char for char in folded)
    words = spaced.split()
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return " ".join(words)
