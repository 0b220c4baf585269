"""Reads `lexicon.yaml`, the words that the `rules` analyser knows, into tables made for look-up.

Takes the packaged file only; gives one immutable `Lexicon` and the digest of the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from earshot.names import norm
from earshot.tasks.analyse_captions.morphology import singular, sounds_like_itself, verb_forms
from earshot.tasks.analyse_captions.vocabulary import VerbForm, word_of

FORMS: tuple[VerbForm, ...] = ("s", "ing", "past", "part")
#: Classes whose things sound when they are played or struck.
SOUNDER_CLASSES = frozenset({"instrument", "device", "machine", "vehicle"})
PERSON_CLASSES = frozenset({"person", "musician", "group"})
_DOERS = PERSON_CLASSES | {"animal"}
#: Classes whose things can be found in a picture and followed as objects.
OBJECT_CLASSES = SOUNDER_CLASSES | PERSON_CLASSES | {"animal", "thing", "unknown"}


class _CategoryFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    heads: str = ""
    verbs: str = ""
    things: str = ""


class _LexiconFile(BaseModel):
    """The layout of `lexicon.yaml`; every string is words separated by white space."""

    model_config = ConfigDict(extra="forbid")
    function_words: dict[str, str]
    numbers: dict[str, int]
    adjectives: str
    either: str
    nouns: dict[str, str]
    sound_sources: dict[str, str]
    collective_plurals: str
    group_of: str
    pair_of: str
    kind_of: str
    male: str
    female: str
    view_nouns: str
    irregular_nouns: dict[str, str]
    plural_only: str
    uninflected: str
    sound_verbs: dict[str, str]
    hear: str
    show_sound: str
    come: str
    lasting: str
    begin: str
    stop: str
    unreal: str
    music_words: str
    verbs: str
    irregular_verbs: dict[str, tuple[str, str, str, str]]
    stative: str
    silent_words: str
    loud_words: str
    offscreen_words: str
    looks: str
    others: str
    time_nouns: str
    scene_nouns: str
    seeing: str
    carries: str
    stay: str
    engines: str
    motor_moves: str
    silent: str
    still: str
    places_at: str
    speaking: str
    categories: dict[str, _CategoryFile]


@dataclass(frozen=True)
class Category:
    """A sound category: which heads sound in it by which verbs, or which things by themselves."""

    name: str
    heads: frozenset[str]
    verbs: frozenset[str]
    things: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """The words of `lexicon.yaml`, expanded: compounds with spaces, verbs with all their forms."""

    tags: dict[str, str]
    numbers: dict[str, int]
    adjectives: frozenset[str]
    either: frozenset[str]
    noun_class: dict[str, str]
    sound_source: dict[str, str]
    verb_forms: dict[str, tuple[tuple[str, VerbForm], ...]]
    verb_group: dict[str, str]
    categories: dict[str, Category]
    irregular_nouns: dict[str, str]
    words: dict[str, frozenset[str]]

    @cached_property
    def _fixed(self) -> frozenset[str]:
        return self.words["uninflected"] | self.words["plural_only"]

    @cached_property
    def categories_by_norm(self) -> dict[str, Category]:
        """The categories by their normalised names."""
        return {norm(name): category for name, category in self.categories.items()}

    def singular(self, word: str) -> str:
        """Return the singular of a lower-case noun, unknown ones by rule."""
        return singular(word, self.noun_class, self.irregular_nouns, self._fixed)

    def is_plural(self, word: str) -> bool:
        """Tell whether a lower-case noun is a plural."""
        return self.singular(word) != word

    def class_of(self, name: str) -> str:
        """Return the class of a singular noun or compound: its own, its head's, or `unknown`."""
        if name in self.noun_class:
            return self.noun_class[name]
        head = name.rsplit(" ", 1)[-1].rsplit("-", 1)[-1]
        return self.noun_class.get(head) or _class_by_ending(head)

    def verb_readings(self, word: str) -> tuple[tuple[str, VerbForm], ...]:
        """Return the (base, form) readings of a lower-case word, its own or the vocabulary's.

        A noun of the lexicon is taken for a verb that the lexicon lacks in -s only ("the car
        rocks", never "man the boat"), and one that names who acts or sounds is not ("dogs").
        """
        own = self.verb_forms.get(word)
        if own is not None or word in self.tags:
            return own or ()
        readings = word_of(word).verbs
        kind = self.noun_class.get(self.singular(word))
        if kind is None and word not in self.adjectives:
            return readings
        if kind in _DOERS or kind in SOUNDER_CLASSES or kind is None:
            return ()
        return tuple(each for each in readings if each[1] == "s" and self.singular(word) != word)

    def may_be_noun(self, word: str) -> bool:
        """Tell whether a lower-case word is a noun of the lexicon, or else of the vocabulary."""
        if self.singular(word) in self.noun_class:
            return True
        if word in self.tags or word in self.verb_forms or word in self.adjectives:
            return False
        found = word_of(word)
        return found.noun and found.known

    def is_adjective(self, word: str) -> bool:
        """Tell whether a lower-case word is first of all an adjective."""
        if word in self.adjectives:
            return True
        if word in self.tags or word in self.verb_forms or self.singular(word) in self.noun_class:
            return False
        found = word_of(word)
        return found.known and found.first == "adjective" and not word.endswith("ing")

    def is_place(self, prep: str) -> bool:
        """Tell whether a preposition, or the last of several, says where: "out in"."""
        places = self.words["places_at"]
        return prep in places or prep.rsplit(" ", 1)[-1] in places

    def group_of(self, lemma: str) -> str | None:
        """Return how a verb sounds (`voice`, `animal`, `device`, `play`), or None if it does not.

        A verb that neither lexicon nor vocabulary has is judged by its sound
        (`morphology.sounds_like_itself`).
        """
        group = self.verb_group.get(lemma)
        if group is not None or lemma in self.verb_forms or word_of(lemma).verbs:
            return group
        return "device" if sounds_like_itself(lemma) else None


_ABSTRACT_ENDINGS = ("ness", "tion", "sion", "ment", "ity", "ism", "ship", "ance", "ence", "hood")


def _class_by_ending(head: str) -> str:
    if head.endswith(_ABSTRACT_ENDINGS):
        return "abstract"
    if head.endswith(("man", "woman", "ist")) and len(head) > 4:
        return "person"
    return "unknown"


def _words(text: str) -> list[str]:
    return [word.replace("_", " ") for word in text.split()]


def _first_wins(groups: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in groups.items():
        for word in _words(text):
            found.setdefault(word, name)
    return found


def _verb_table(raw: _LexiconFile) -> dict[str, tuple[tuple[str, VerbForm], ...]]:
    bases = set(raw.irregular_verbs) | set(raw.verbs.split())
    for text in raw.sound_verbs.values():
        bases |= set(text.split())
    table: dict[str, list[tuple[str, VerbForm]]] = {}
    for base in sorted(bases):
        table.setdefault(base, []).append((base, "base"))
        for form, word in zip(
            FORMS, raw.irregular_verbs.get(base) or verb_forms(base), strict=True
        ):
            table.setdefault(word, []).append((base, form))
    return {word: tuple(entries) for word, entries in table.items()}


def _category(name: str, raw: _CategoryFile, raw_all: _LexiconFile) -> Category:
    heads: set[str] = set()
    for word in _words(raw.heads):
        if word.startswith("@"):
            for kind in PERSON_CLASSES:
                heads |= set(_words(raw_all.nouns[kind]))
        else:
            heads.add(word)
    verbs = raw_all.speaking if raw.verbs == "@speaking" else raw.verbs
    return Category(name, frozenset(heads), frozenset(verbs.split()), frozenset(_words(raw.things)))


#: The lists of words that stay sets of words.
_LISTS = tuple(name for name, each in _LexiconFile.model_fields.items() if each.annotation is str)


@cache
def _file_bytes() -> bytes:
    return files("earshot.tasks.analyse_captions").joinpath("lexicon.yaml").read_bytes()


def lexicon_digest() -> str:
    """Return the sha256 of the lexicon file's content, a part of the stage's key."""
    return hashlib.sha256(_file_bytes()).hexdigest()


@cache
def lexicon() -> Lexicon:
    """Return the packaged lexicon, read once a process.

    Raises:
        pydantic.ValidationError: if the file does not have the expected layout.
    """
    raw = _LexiconFile.model_validate(yaml.safe_load(_file_bytes()))
    group: dict[str, str] = {}
    for name in ("voice", "animal", "device", "play"):
        for verb in raw.sound_verbs[name].split():
            group.setdefault(verb, name)
    return Lexicon(
        tags=_first_wins(raw.function_words),
        numbers=raw.numbers,
        adjectives=frozenset(raw.adjectives.split()),
        either=frozenset(raw.either.split()),
        noun_class=_first_wins(raw.nouns),
        sound_source=_first_wins(raw.sound_sources),
        verb_forms=_verb_table(raw),
        verb_group=group,
        categories={name: _category(name, each, raw) for name, each in raw.categories.items()},
        irregular_nouns=raw.irregular_nouns,
        words={name: frozenset(_words(getattr(raw, name))) for name in _LISTS},
    )
