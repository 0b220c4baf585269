"""Bends English words: singulars of nouns and the five forms of verbs.

Takes and gives lower-case words; rules and the exceptions handed in, never a model.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

VOWELS = "aeiou"
_DOUBLES = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]|.*qu[aeiou][^aeiouwxy]")


def singulars(word: str) -> tuple[str, ...]:
    """Return the regular singular candidates of a word, the likeliest first; itself if not plural.

    >>> singulars("puppies"), singulars("brushes"), singulars("horses"), singulars("grass")
    (('puppy', 'puppie'), ('brush', 'brushe'), ('horse', 'hors'), ('grass',))
    """
    if len(word) < 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return (word,)
    if word.endswith("ies"):
        return (word[:-3] + "y", word[:-1])
    if word.endswith(("shes", "ches", "sses", "xes", "zes", "oes")):
        return (word[:-2], word[:-1])
    if word.endswith("ves"):
        return (word[:-1], word[:-3] + "f", word[:-3] + "fe")
    if word.endswith("ses"):
        return (word[:-1], word[:-2])
    return (word[:-1],)


def singular(
    word: str, known: Container[str], irregular: Mapping[str, str], uninflected: Container[str]
) -> str:
    """Return the singular of a noun: an exception, a known candidate, or the regular guess."""
    if word in irregular:
        return irregular[word]
    if word in uninflected:
        return word
    candidates = singulars(word)
    return next((each for each in candidates if each in known), candidates[0])


def verb_forms(base: str) -> tuple[str, str, str, str]:
    """Return the regular (-s, -ing, past, participle) forms of a verb.

    >>> verb_forms("clap"), verb_forms("cry")
    (('claps', 'clapping', 'clapped', 'clapped'), ('cries', 'crying', 'cried', 'cried'))
    """
    if base.endswith("e"):
        stem = base[:-2] + "y" if base.endswith("ie") else base[:-1]
        present = base if base.endswith(("ee", "oe", "ye")) else stem
        return (base + "s", present + "ing", base + "d", base + "d")
    if base.endswith("y") and base[-2] not in VOWELS:
        stem = base[:-1]
        return (stem + "ies", base + "ing", stem + "ied", stem + "ied")
    third = base + ("es" if base.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
    stem = base + base[-1] if _DOUBLES.fullmatch(base) else base
    return (third, stem + "ing", stem + "ed", stem + "ed")


def _bases(stem: str) -> tuple[str, ...]:
    """Return what a stem without its ending may come from: "runn", "smil", "bark"."""
    doubled = len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in VOWELS
    if doubled:
        return (stem[:-1], stem) if stem[-1] not in "lsz" else (stem, stem[:-1])
    return (stem, stem + "e")


def bases_of_ing(word: str) -> tuple[str, ...]:
    """Return the verbs that an -ing form may come from.

    >>> bases_of_ing("thrumming"), bases_of_ing("circling"), bases_of_ing("ring")
    (('thrum', 'thrumm'), ('circl', 'circle'), ('ring',))
    """
    return _bases(word[:-3]) if word.endswith("ing") and len(word) > 5 else (word,)


def bases_of_past(word: str) -> tuple[str, ...]:
    """Return the verbs that an -ed form may come from; itself where it has no such ending.

    >>> bases_of_past("tried"), bases_of_past("patched"), bases_of_past("lit")
    (('try', 'trie'), ('patch', 'patche'), ('lit',))
    """
    if word.endswith("ied"):
        return (word[:-3] + "y", word[:-1])
    return _bases(word[:-2]) if word.endswith("ed") and len(word) > 3 else (word,)


_HALVES = re.compile(r"(\w{2,5})-(?:an?-)?(\w{2,5})")
_ECHO = re.compile(
    r"(?:bl|br|cl|cr|fl|gr|kl|pl|scr|shr|skr|sl|spl|squ|str|sw|thr|thw|tr|tw|vr|wh|zz?|b|h|k|m|p|r|w|y)"
    r"(?:ee[pk]|i[pb]|o[mn]k|oo[mfp]|u[mn][kp]|um|oink|oing|ang|[iou]ng|ink|ank|unk|ack|ick|awk|owl"
    r"|ow|ewl|eow|a?[iu]rr?|izz|uzz|ish|oosh|ush|ash|ump|omp|atter|itter|utter|ibbit)"
)


def sounds_like_itself(word: str) -> bool:
    """Tell whether a word looks like the sound that it stands for.

    Halves that echo each other ("tick-tock", "rub-a-dub"), or a cluster with an ending that English
    has for noises ("blip", "twong", "yowl"). Ask only for words that nothing else is known of.

    >>> [sounds_like_itself(word) for word in ("ding-dong", "blonk", "six-string", "ponder")]
    [True, True, False, False]
    """
    halves = _HALVES.fullmatch(word)
    if halves is not None:
        one, other = halves.groups()
        same = [re.sub("[aeiou]", "", half) for half in (one, other)]
        return same[0] == same[1] or one[-2:] == other[-2:]
    return _ECHO.fullmatch(word) is not None
