"""Counts the things of one kind that a caption tells apart: "a blue car ... a green one" are two.

Takes the mentions of one kind and the texts; gives a least number of instances, never which is
which. Where words may speak of one thing or of two it says two: a question that is not asked costs
less than a truth that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from earshot.schemas.mention import Mention

_ORDINALS = frozenset({"second", "third", "fourth", "fifth", "sixth"})
#: What tells a thing from those of its kind before.
OTHER = frozenset({"another", "other", "others", "different"}) | _ORDINALS
_NEW = frozenset({"a", "an", "another", "some", "several"})
_DEFINITE = frozenset(
    {"the", "this", "that", "these", "those", "both", "each", "every"}
    | {"his", "her", "its", "their", "my", "our", "your"}
)
_NUMBERS = frozenset(
    {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
)
#: What tells nothing of how a thing looks, so nothing apart.
_EMPTY = frozenset(
    {"same", "whole", "entire", "first", "last", "only", "own", "ones"}
    | {"unseen", "off-screen", "offscreen"}
)
_BEFORE = _NEW | _DEFINITE | OTHER | _NUMBERS | _EMPTY
_LAST_WORDS = re.compile(r"(?:[\w'-]+\s+){1,3}$")

#: Pronouns that may bring in a thing of a kind that was named before.
ONES = frozenset({"one", "ones", "another"}) | OTHER


def instances(
    mentions: Sequence[tuple[Mention, frozenset[str]]], texts: Mapping[str, str]
) -> int | None:
    """Return the most instances that one caption tells apart, at the least; None: no number.

    Args:
        mentions: of one kind of thing, in the order of the text, none that only points at it ("it",
            "barking"); each with its words in lower case, without those of the name.
        texts: the captions by id.
    """
    captions: dict[str, dict[int, tuple[Mention, frozenset[str]]]] = {}
    for mention, words in mentions:  # one for each event that it is seen from
        captions.setdefault(mention.caption_id, {})[mention.char_start] = mention, words
    totals = [_in_caption([*at.values()], texts[caption_id]) for caption_id, at in captions.items()]
    return max(totals, default=0) or None


def _in_caption(told: Sequence[tuple[Mention, frozenset[str]]], text: str) -> int:
    counted = [each for each in told if not each[0].is_group]
    if all(mention.count is None for mention, _ in counted):
        return 0
    total, are_single = 0, True
    looks: list[frozenset[str]] = []
    for mention, words in counted:
        several = mention.count or 2  # "dogs": at least two
        lead, look = _lead(mention, text), words - _BEFORE
        if not total:
            # "the second man", "the other dog": the first one goes without saying
            total = several + bool(lead & OTHER)
        elif _is_another(lead, look, looks, total, are_single) or (
            mention.count is None and not lead & _DEFINITE
        ):
            total += several
        total = max(total, several)
        are_single &= mention.count == 1
        looks.append(look)
    return total


def _is_another(
    lead: frozenset[str],
    look: frozenset[str],
    looks: Sequence[frozenset[str]],
    total: int,
    are_single: bool,
) -> bool:
    """Tell whether a mention may bring in what none before it in its caption spoke of."""
    if lead & OTHER:
        return not lead & _DEFINITE or total == 1
    if lead & _NEW:
        return True
    if lead & _NUMBERS:
        return are_single  # "two men talk, one sings": it is one of the two
    # "a dog ... the dog" is the same, "a dog ... the brown dog" perhaps another
    return total == 1 and bool(look) and not any(look <= before for before in looks)


def _lead(mention: Mention, text: str) -> frozenset[str]:
    """Return the words of a mention with those before it that it may leave out: "the other"."""
    words = set(mention.surface.lower().split())
    if words & (_NEW | _DEFINITE):
        return frozenset(words)
    before = _LAST_WORDS.search(text[max(0, mention.char_start - 40) : mention.char_start].lower())
    for word in reversed(before.group().split() if before else []):
        if word not in _BEFORE:
            break
        words.add(word)
    return frozenset(words)
