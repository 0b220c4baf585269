"""Says what an English word may be, by the model of HanTa, the Hanover Tagger.

Takes one lower-case word; gives its possible parts of speech, the likeliest first. Context is not
asked: HanTa's own sentence tagger, trained on written prose, makes nouns of "the dog barks" and "a
car revs", so that what a word *is* in a caption stays with `tagger.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from earshot.tasks.analyse_captions.morphology import bases_of_ing, bases_of_past, singulars

if TYPE_CHECKING:
    from HanTa.HanoverTagger import HanoverTagger

VerbForm = Literal["base", "s", "ing", "past", "part"]
#: Log probability above which the model has seen the word (its parts); below, it guesses.
_SEEN = -25.0
#: How much less likely than the best reading a noun or adjective may be and still count (e^-4).
_NEAR = 4.0
#: Letters of a word that the model is asked for: its time grows with their square, to minutes.
_LONGEST = 60
#: C5 tags of the British National Corpus, which the English model has.
_VERB_FORMS: dict[str, VerbForm] = {
    "VVB": "base", "VVI": "base", "VVZ": "s", "VVG": "ing", "VVD": "past", "VVN": "part",
}  # fmt: skip


@dataclass(frozen=True)
class Word:
    """What a word may be.

    Attributes:
        known: whether the model has seen it; else the rest is a guess by its shape.
        noun, adjective, adverb: whether it may be one.
        first: the likeliest of `noun`, `adjective`, `adverb`, `verb` and `other`.
        verbs: (base, form) readings as a verb.
    """

    known: bool
    noun: bool
    adjective: bool
    adverb: bool
    first: str
    verbs: tuple[tuple[str, VerbForm], ...]


@cache
def _model() -> HanoverTagger:
    # Only here: 0.3 s and 30 MB that `earshot --help` need not pay. The whole path, for HanTa
    # prefers a file of that name in the working folder and unpickles it.
    from HanTa import HanoverTagger

    model = Path(HanoverTagger.__file__).with_name("morphmodel_en.pgz")
    return HanoverTagger.HanoverTagger(str(model))


@cache
def model_version() -> str:
    """Return the version of the package that the model comes with."""
    from importlib.metadata import version

    return f"hanta-{version('HanTa')}"


@lru_cache(maxsize=50_000)
def word_of(word: str) -> Word:
    """Return what a lower-case word may be; never fails, whatever the text."""
    if len(word) > _LONGEST or (not word.isalpha() and "-" not in word):
        return Word(False, True, False, False, "noun", ())
    tagged = [(str(t), float(p)) for t, p in _model().tag_word(word, casesensitive=False)]
    if not tagged:
        return Word(False, True, False, False, "noun", ())
    best = tagged[0][1]
    near = {t for t, p in tagged if p > best - _NEAR}
    verbs = [_VERB_FORMS[t] for t, p in tagged if t in _VERB_FORMS and p > _SEEN]
    return Word(
        known=best > _SEEN,
        noun=bool(near & {"NN0", "NN1", "NN2"}),
        adjective="AJ0" in near,
        adverb="AV0" in near,
        first=_kind(tagged[0][0]),
        verbs=tuple(dict.fromkeys((_base(word, form), form) for form in verbs)),
    )


def _kind(tag: str) -> str:
    kinds = {"NN": "noun", "AJ": "adjective", "AV": "adverb", "VV": "verb", "NP": "noun"}
    return kinds.get(tag[:2], "other")


def _as_base(word: str) -> float:
    """Return how likely a word is the base form of a verb."""
    tagged = _model().tag_word(word, casesensitive=False)
    return max((float(p) for t, p in tagged if t in {"VVI", "VVB"}), default=-1e9)


def _base(word: str, form: VerbForm) -> str:
    """Return the base of a verb form: the regular candidate that the model likes best as one."""
    options = {
        "base": (word,), "s": singulars(word), "ing": bases_of_ing(word),
        "past": bases_of_past(word), "part": bases_of_past(word),
    }[form]  # fmt: skip
    return max(options, key=_as_base)
