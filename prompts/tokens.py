"""Estimates how many tokens an answer takes, without any tokenizer.

Counts as tokenizers of the Qwen family do: each digit is a token of its own, and so is each other
mark and each piece of a word. Good within a few per cent on answers, which are nearly all digits.
"""

from __future__ import annotations

import re

_PIECE = re.compile(r"\d|[^\W\d_]{1,6}|\s*\n|[^\w\s]|_")
"""A word is cut every six letters: longer pieces are rare outside the commonest words."""


def count_tokens(text: str) -> int:
    """Return the estimated number of tokens of a text; single spaces cost nothing.

    >>> count_tokens("2.0: [0.123, 0.5]")
    15
    """
    return sum(1 for _ in _PIECE.finditer(text))
