"""Decides whether a word that can be a verb is one in its place, and what may go on a noun phrase.

Takes tokens of which those to the left are tagged; gives yes or no.
"""

from __future__ import annotations

from earshot.tasks.analyse_captions.lexicon import Lexicon
from earshot.tasks.analyse_captions.tokens import Token
from earshot.tasks.analyse_captions.vocabulary import VerbForm

_PLURAL_SUBJECTS = frozenset({"they", "we", "you", "i", "who", "that", "which"})
_WHO = frozenset({"who", "that", "which"})


def only_verb(word: str, lex: Lexicon) -> bool:
    """Tell whether a word is a plain verb form and no known noun or adjective."""
    forms = {form for _, form in lex.verb_readings(word)}
    return bool(forms & {"base", "s"}) and not lex.may_be_noun(word) and not lex.is_adjective(word)


def nounish(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether the token at i may go on a noun phrase (a noun, or something before one)."""
    if i >= len(tokens) or not tokens[i].lower[0].isalpha():
        return False
    word = tokens[i].lower
    if word in lex.tags:
        return False
    if lex.is_adjective(word) or lex.may_be_noun(word):
        return True
    if word.endswith("ly"):
        return False
    return not lex.verb_readings(word) or word.endswith("ing")


def after_modal(tokens: list[Token], i: int) -> bool:
    """Tell whether a form of "do", "can" or the like stands before i, maybe with adverbs."""
    j = i - 1
    while j >= 0 and tokens[j].tag in {"ADV", "NEG"}:
        j -= 1
    return j >= 0 and tokens[j].tag == "AUX" and tokens[j].lemma == "do"


def after_be_or_have(tokens: list[Token], i: int) -> bool:
    """Tell whether a form of "be" or "have" stands before i, maybe with adverbs."""
    j = i - 1
    while j >= 0 and tokens[j].tag in {"ADV", "NEG"}:
        j -= 1
    return j >= 0 and tokens[j].tag == "AUX" and tokens[j].lemma in {"be", "have"}


def is_verb(tokens: list[Token], i: int, lex: Lexicon, *, noun: bool) -> bool:
    """Decide whether a word that can be a verb is one here."""
    word = tokens[i].lower
    forms = {form for _, form in lex.verb_readings(word)}
    if i == 0:
        return not noun and not forms <= {"base"}
    before = _not_adverb(tokens, i)
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    if (
        noun
        and before.tag != "REL"
        and (lex.tags.get(following) == "AUX" or only_verb(following, lex))
    ):
        return False
    if before.tag == "TO" or after_modal(tokens, i):
        return "base" in forms or not noun
    if before.tag in {"PREP", "VERB"} and noun:
        return False
    if before.tag == "VERB" and forms == {"base"} and before.lemma == "play":
        return False  # "playing ping pong"
    if forms & {"past", "part"} and not noun:
        return True
    if before.tag in {"NOUN", "PRON", "REL", "GEN"}:
        subjects = [before, *_far_subjects(tokens, i)]
        joined = "base" in forms and _joined(tokens, i)
        return not noun or joined or any(_agrees(each, forms, lex) for each in subjects)
    if before.tag in {"CONJ", "COMMA", "ADV", "NEG"}:
        return not noun or _verb_of_same_form(tokens, i, forms)
    return not noun


def _not_adverb(tokens: list[Token], i: int) -> Token:
    """Return the token before i that is no adverb ("he then plays"), where one can be a subject."""
    j = i - 1
    while j > 0 and (tokens[j].tag in {"ADV", "NEG"} or tokens[j].lower == "then"):
        j -= 1
    return tokens[j] if tokens[j].tag in {"NOUN", "PRON", "REL"} else tokens[i - 1]


def _far_subjects(tokens: list[Token], i: int) -> list[Token]:
    """Return the nouns that a preposition parts from i: or a clause parts from i."""
    found = []
    crossed = False
    for j in range(i - 2, -1, -1):
        tag_here = tokens[j].tag
        if tag_here in {"STOP", "SUB"}:
            break
        if tag_here in {"VERB", "AUX"}:
            crossed = True
        elif tag_here in {"NOUN", "PRON", "NUM"}:
            after = tokens[j + 1].tag
            # "a woman in a dress plays" but not behind another verb, except "who is ... laughs"
            if after == "REL" or (after in {"PREP", "TO"} and not crossed):
                found.append(tokens[j])
    return found


def _joined(tokens: list[Token], i: int) -> bool:
    """Tell whether two subjects stand before i: "a dog and a cat fight"."""
    for j in range(i - 2, 0, -1):
        if tokens[j].tag not in {"DET", "POSS", "ADJ", "NUM", "NOUN", "CONJ"}:
            return False
        if tokens[j].lower == "and" and tokens[j - 1].tag == "NOUN":
            ends = (k for k in range(j, -1, -1) if tokens[k].tag in {"STOP", "SUB"})
            clause = tokens[next(ends, 0) : j]
            return all(token.tag not in {"VERB", "AUX"} for token in clause)
    return False


def _agrees(before: Token, forms: set[VerbForm], lex: Lexicon) -> bool:
    if forms & {"past", "part"}:
        return True
    if before.tag == "REL" or before.lower in _PLURAL_SUBJECTS:
        return True
    if before.tag == "PRON":
        return "s" in forms or before.lower in {"him", "them", "some", "others", "both", "all"}
    plural = lex.is_plural(before.lower) or before.lower in lex.words["plural_only"]
    collective = lex.noun_class.get(before.lower) == "group"
    return ("base" in forms and (plural or collective)) or ("s" in forms and not plural)


def _verb_of_same_form(tokens: list[Token], i: int, forms: set[VerbForm]) -> bool:
    """Tell whether a finite verb before agrees in form: "laugh, wave and hug", "sits and claps"."""
    for token in reversed(tokens[:i]):
        if token.tag == "STOP":
            return False
        if token.tag == "VERB" and token.form != "ing":
            return token.form in forms
        if token.tag == "AUX":
            return "s" in forms
    return False


def set_verb(token: Token, readings: tuple[tuple[str, VerbForm], ...], perfect: bool) -> None:
    """Make a token the likeliest of its readings; perfect: behind "be" or "have"."""
    order: tuple[VerbForm, ...] = (
        ("part", "base", "past", "s", "ing") if perfect else ("s", "base", "past", "part", "ing")
    )
    token.tag = "VERB"
    token.lemma, token.form = min(readings, key=lambda reading: order.index(reading[1]))


def verb_by_place(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether a word in -s stands where a clause wants its verb: "the phone jitters"."""
    before = tokens[i - 1] if i else None
    word = tokens[i].lower
    if before is None or before.tag not in {"NOUN", "PRON", "REL"}:
        return False
    if not word.endswith("s") or word.endswith("ss") or before.lower in _PLURAL_SUBJECTS - _WHO:
        return False
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    if lex.tags.get(following) == "AUX" or only_verb(following, lex):
        return False
    return not lex.is_plural(before.lower) and no_verb_yet(tokens, i)


def no_verb_yet(tokens: list[Token], i: int) -> bool:
    """Tell whether the clause has no finite verb before i."""
    for token in reversed(tokens[:i]):
        if token.tag in {"STOP", "SUB", "COMMA"}:
            return True
        if token.tag == "AUX" or (token.tag == "VERB" and token.form != "ing"):
            return False
    return True
