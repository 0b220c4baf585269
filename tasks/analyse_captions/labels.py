"""Relates event labels and sounding things: which category a sound is, and what a label names.

Takes readings of captions or label texts; gives category names or things. Labels such as
UnAV-100's ("car passing by") name what sounds even where no word of theirs is a sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from earshot.names import norm
from earshot.tasks.analyse_captions.lexicon import Category, Lexicon
from earshot.tasks.analyse_captions.sounding import read
from earshot.tasks.analyse_captions.things import INFERRED, KNOWN, Reading, Thing
from earshot.tasks.analyse_captions.tokens import Token, tokenise


def category_of(things: Sequence[Thing], lex: Lexicon) -> str | None:
    """Return the category that every sounding thing fits, or None where that is not clear."""
    found: set[str | None] = {_category_of_thing(thing, lex) for thing in things if thing.sounds}
    return found.pop() if len(found) == 1 else None


def _category_of_thing(thing: Thing, lex: Lexicon) -> str | None:
    names = {thing.head, thing.name}
    fitting = [
        category
        for category in lex.categories.values()
        if names & category.things or (names & category.heads and thing.verbs & category.verbs)
    ]
    # "baby laughter" says more than "people laughing": the category with the fewest heads wins
    return min(fitting, key=lambda each: (len(each.heads), each.name)).name if fitting else None


def category_named(text: str, lex: Lexicon) -> Category | None:
    """Return the category of that name, or None; names are compared normalised."""
    return lex.categories_by_norm.get(norm(text))


def sounders_of_label(text: str, lex: Lexicon) -> frozenset[str]:
    """Return the names of the things that a label may mean: its category's, or those it names."""
    category = category_named(text, lex)
    if category is not None:
        return category.heads | category.things
    things = read_label(text, lex).things
    return frozenset(name for thing in things if thing.sounds for name in (thing.name, thing.head))


def read_label(text: str, lex: Lexicon) -> Reading:
    """Return what a label names: all of it sounds, for a label names a sound.

    >>> from earshot.tasks.analyse_captions.lexicon import lexicon
    >>> [(t.surface, t.sounds) for t in read_label("car passing by", lexicon()).things]
    [('car', True)]
    """
    category = category_named(text, lex)
    if category is not None:
        return Reading(_things_of_category(text, category, lex), audible=True)
    reading = read(text, lex)
    if any(thing.sounds for thing in reading.things):
        return Reading(reading.things, audible=True)
    things = tuple(
        replace(thing, sounds=True, verbs=frozenset({"sound"}), confidence=INFERRED)
        for thing in reading.things
    )
    return Reading(things, audible=True)


def _things_of_category(text: str, category: Category, lex: Lexicon) -> tuple[Thing, ...]:
    """Return the first thing of the category that the label's own words name, if any does."""
    tokens = tokenise(text)
    known = category.heads | category.things
    for size in (3, 2, 1):
        for first in range(len(tokens) - size + 1):
            words = tokens[first : first + size]
            name = _singular_name(words, lex)
            if name in known:
                return (_thing(text, words, name, lex),)
    return ()


def _singular_name(words: Sequence[Token], lex: Lexicon) -> str:
    return " ".join([*(word.lower for word in words[:-1]), lex.singular(words[-1].lower)])


def _thing(text: str, words: Sequence[Token], name: str, lex: Lexicon) -> Thing:
    start, end = words[0].start, words[-1].end
    kind = lex.class_of(name)
    plural = lex.is_plural(words[-1].lower)
    return Thing(
        char_start=start, char_end=end, surface=text[start:end], head=name.rsplit(" ", 1)[-1],
        name=name, kind=kind, count=None,
        is_group=kind == "group" or (plural and name in lex.words["collective_plurals"]),
        seen=True, sounds=True, verbs=frozenset({"sound"}), confidence=KNOWN,
    )  # fmt: skip
