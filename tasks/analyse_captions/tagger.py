"""Gives each word of a caption a part of speech.

Takes any text; gives tagged tokens. Left to right, by the lexicon, the vocabulary, the shape of the
word and its neighbours: a word it has never seen is a noun behind a determiner, a verb in -s behind
a singular noun, an adverb in -ly. It never raises and never guesses twice differently.
"""

from __future__ import annotations

from earshot.tasks.analyse_captions.lexicon import OBJECT_CLASSES, PERSON_CLASSES, Lexicon
from earshot.tasks.analyse_captions.morphology import bases_of_ing, singulars
from earshot.tasks.analyse_captions.tokens import Token, tokenise
from earshot.tasks.analyse_captions.verbs import (
    after_be_or_have,
    after_modal,
    is_verb,
    no_verb_yet,
    nounish,
    only_verb,
    set_verb,
    verb_by_place,
)
from earshot.tasks.analyse_captions.vocabulary import word_of

#: Tags: DET NODET POSS NUM ADJ NOUN PRON | AUX VERB | PREP TO CONJ REL SUB ADV NEG | GEN COMMA STOP
_OPENERS = frozenset({"DET", "NODET", "POSS", "NUM", "ADJ", "GEN"})
_LINKS = frozenset({"PREP", "TO"})
_ADJ_ENDINGS = ("ful", "ous", "ish", "ive", "less", "able", "ible", "ic", "al", "ary", "y")
_BE = frozenset(
    {"is", "are", "was", "were", "be", "been", "being", "am"}
    | {"isn't", "aren't", "wasn't", "weren't"}
)
_BEFORE_SOUNDS = frozenset({"of", "with", "from", "to", "for", "about", "like", "in", "over"})
_HAVE = frozenset({"has", "have", "had", "having", "hasn't", "haven't"})


def tag(text: str, lex: Lexicon) -> list[Token]:
    """Return the tokens of a text, each with its part of speech."""
    tokens = tokenise(text)
    for index in range(len(tokens)):
        _tag_one(tokens, index, lex)
    _join_pairs(tokens)
    return tokens


def _join_pairs(tokens: list[Token]) -> None:
    """Make adverbs of "over and over", "up and down", "to and fro" where no noun comes behind."""
    for i in range(len(tokens) - 2):
        first, link, second = tokens[i : i + 3]
        if link.tag != "CONJ" or first.tag not in _LINKS or second.tag not in {*_LINKS, "ADV"}:
            continue
        following = tokens[i + 3].tag if i + 3 < len(tokens) else "STOP"
        if following not in _OPENERS and following != "NOUN":
            first.tag = link.tag = second.tag = "ADV"


def _tag_one(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    if not word[0].isalnum():
        _tag_mark(tokens, i)
    elif word in {"one", "another", "other"} and _acts(tokens, i + 1, lex):
        token.tag = "PRON"
    elif word in lex.words["others"] and word != "another" and _orders(tokens, i, lex):
        token.tag = "ADJ"
    elif word[0].isdigit() or (word in lex.numbers and not (word == "one" and _alone(tokens, i))):
        token.tag = "NUM"
    elif word in lex.tags:
        token.tag = _tag_function_word(tokens, i, lex)
        if token.tag == "AUX":
            token.lemma = "be" if word in _BE else "have" if word in _HAVE else "do"
    else:
        _tag_open(tokens, i, lex)


def _tag_mark(tokens: list[Token], i: int) -> None:
    token = tokens[i]
    if token.lower == "'s":
        # "the dog's bowl" against "the dog's barking at us"; "it's" and "there's" are verbs.
        pronoun = i > 0 and tokens[i - 1].tag in {"PRON", "ADV", "REL"}
        token.tag, token.lemma = ("AUX", "be") if pronoun else ("GEN", "")
    elif token.lower in ".!?;:":
        token.tag = "STOP"
    elif token.lower == "&":
        token.tag = "CONJ"
    else:
        token.tag = "COMMA"


def _orders(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether a "second" is no time: "a second dog", "a second one"."""
    return nounish(tokens, i + 1, lex) or (i + 1 < len(tokens) and tokens[i + 1].lower == "one")


def _acts(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether the word at i can only be a verb in -s: "one" and "another" count no many."""
    if i >= len(tokens):
        return False
    word = tokens[i].lower
    return any(form == "s" for _, form in lex.verb_readings(word)) or word in _BE


def _alone(tokens: list[Token], i: int) -> bool:
    """Tell whether nothing that a determiner could belong to follows."""
    return i + 1 >= len(tokens) or not tokens[i + 1].lower[0].isalnum()


def _tag_function_word(tokens: list[Token], i: int, lex: Lexicon) -> str:
    word = tokens[i].lower
    previous = tokens[i - 1].tag if i else ""
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    finite_next = following in lex.tags and lex.tags[following] == "AUX"
    if word in {"that", "which"}:
        if previous in {"NOUN", "PRON", "COMMA"} or (previous == "PREP" and word == "which"):
            return "REL"
        return "SUB" if previous == "VERB" and word == "that" else "DET"
    if word == "while" and previous in {"DET", "ADJ"}:
        return "NOUN"
    if word in {"her", "his"}:
        return "POSS" if _noun_may_follow(tokens, i, lex) else "PRON"
    if word in {"a", "an", "the"}:
        return "DET"
    if lex.tags[word] == "DET" and (
        _alone(tokens, i) or finite_next or following == "of" or only_verb(following, lex)
    ):
        return "PRON"
    if word == "like" and previous in {"PRON", "TO"}:
        return "VERB"
    return lex.tags[word]


def _noun_may_follow(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    if _alone(tokens, i):
        return False
    kind = lex.tags.get(tokens[i + 1].lower)
    return kind in {None, "POSS"} or tokens[i + 1].lower in lex.numbers


def _tag_open(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    inside = i > 0 and tokens[i - 1].tag in _OPENERS
    noun = lex.may_be_noun(word)
    readings = lex.verb_readings(word)
    if lex.is_adjective(word) and not (word in lex.either and _heads(tokens, i, lex)):
        # "it opens", "to open", "a dry towel": verbs that look like adjectives need their place
        base_wanted = i > 0 and (tokens[i - 1].tag == "TO" or after_modal(tokens, i))
        if not (readings and base_wanted):
            token.tag = "ADJ"
            _retag_material(tokens, i, lex)
            return
    if word.endswith("ing") and len(word) > 4 and (readings or not noun):
        _tag_ing(tokens, i, lex, inside=inside, noun=noun)
    elif inside and _reads_inside(tokens, i, lex, noun=noun):
        return
    elif _opens_with_participle(tokens, i, lex):
        token.tag = "ADJ"
    elif readings and is_verb(tokens, i, lex, noun=noun):
        set_verb(token, readings, after_be_or_have(tokens, i))
    elif noun and not (lex.singular(word) not in lex.noun_class and verb_by_place(tokens, i, lex)):
        token.tag = "NOUN"
    else:
        _tag_unknown(tokens, i, lex)


def _heads(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether a noun that may be an adjective is one here: "plastic rattles as he talks"."""
    if not nounish(tokens, i + 1, lex):
        return True
    readings = lex.verb_readings(tokens[i + 1].lower)
    sounds = any(form == "s" and lex.group_of(lemma) for lemma, form in readings)
    return sounds and no_verb_yet(tokens, i) and not (i and tokens[i - 1].tag == "ADJ")


def _retag_material(tokens: list[Token], i: int, lex: Lexicon) -> None:
    """Take the noun before an adjective for one too: "a paper green kite", "the stone old wall"."""
    before, first = (tokens[i - 1], tokens[i - 2]) if i > 1 else (None, None)
    if before is None or first is None or before.tag != "NOUN" or lex.is_plural(before.lower):
        return
    if first.tag in {"DET", "ADJ"} and nounish(tokens, i + 1, lex):
        kind = lex.class_of(lex.singular(before.lower))
        before.tag = "ADJ" if kind in {"thing", "unknown", "abstract", "place"} else "NOUN"


def _opens_with_participle(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether a participle begins a noun phrase: "parked cars stand silent"."""
    if i and tokens[i - 1].tag not in {"STOP", "COMMA", "CONJ", "PREP", "SUB"}:
        return False
    forms = {form for _, form in lex.verb_readings(tokens[i].lower)}
    if "part" not in forms or "base" in forms or i + 1 >= len(tokens):
        return False
    return lex.may_be_noun(tokens[i + 1].lower)


def _reads_inside(tokens: list[Token], i: int, lex: Lexicon, *, noun: bool) -> bool:
    """Tag a word that stands inside a noun phrase as noun or adjective, or leave it (False)."""
    token = tokens[i]
    before = tokens[i - 1]
    if before.tag == "ADJ" and not noun and lex.verb_readings(token.lower):
        # "both happy bark": an adjective behind a copula does not open a noun phrase
        j = i - 1
        while j >= 0 and tokens[j].tag in {"ADJ", "ADV", "CONJ", "NEG"}:
            j -= 1
        if j >= 0 and tokens[j].tag in {"AUX", "VERB", "NOUN"}:
            return False
    follows = nounish(tokens, i + 1, lex)
    word = word_of(token.lower)
    shaped = token.lower.endswith((*_ADJ_ENDINGS, "ed")) or "-" in token.lower
    if word.known or word.first == "noun":
        shaped = word.adjective and word.first != "noun"
    participle = any(form == "part" for _, form in lex.verb_readings(token.lower))
    if token.lower.endswith("ly") and follows:
        token.tag = "ADV"
    else:
        token.tag = "ADJ" if follows and not noun and (shaped or participle) else "NOUN"
    return True


def _tag_ing(tokens: list[Token], i: int, lex: Lexicon, *, inside: bool, noun: bool) -> None:
    token = tokens[i]
    before = tokens[i - 1] if i else None
    of_before = before is not None and before.lower == "of"
    if inside and before is not None and before.tag != "GEN" and nounish(tokens, i + 1, lex):
        # "a barking dog", but "a loud barking dog" too; "two talking men"
        token.tag = "ADJ"
        return
    if _names_sound(tokens, i, lex):
        token.tag = "NOUN"
        return
    if _sound_before_noun(tokens, i, lex):
        token.tag = "ADJ"
        return
    counted = before is not None and before.tag == "NUM"  # "with one kneeling down"
    if (
        (inside or of_before)
        and not counted
        and not (before is not None and _predicate_adjective(tokens, i))
    ):
        if not _object_follows(tokens, i, lex):
            token.tag = "NOUN"
            return
    elif noun and (before is None or before.tag in {"PREP", "NOUN", "CONJ", "COMMA"}):
        next_tag = lex.tags.get(tokens[i + 1].lower, "") if i + 1 < len(tokens) else ""
        known_sound = lex.class_of(token.lower) == "sound"
        # "barking is heard", "singing and laughter": a noun; "a dog barking": a verb
        if next_tag == "AUX" or not lex.verb_readings(token.lower):
            token.tag = "NOUN"
            return
        goes_on = i >= 2 and tokens[i - 2].lemma in {"go", "carry", "keep", "move"}
        if known_sound and not goes_on and before is not None and before.lower in _BEFORE_SOUNDS:
            token.tag = "NOUN"
            return
    readings = [each for each in lex.verb_readings(token.lower) if each[1] == "ing"]
    token.tag, token.form = "VERB", "ing"
    token.lemma = readings[0][0] if readings else bases_of_ing(token.lower)[0]


def _names_sound(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell whether an -ing form is a noun with its maker: "the woofing of", "humming from a"."""
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    if i and tokens[i - 1].tag in {"AUX", "VERB", "NOUN", "PRON", "ADV"}:
        return False
    if following == "of":
        return True
    return following == "from" and any(
        lex.group_of(lemma) for lemma, _ in lex.verb_readings(tokens[i].lower)
    )


def _sound_before_noun(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell "chirping birds" and "ringing bells" at a clause's beginning from "singing songs"."""
    if i and tokens[i - 1].tag not in {"STOP", "COMMA", "CONJ", "PREP", "SUB"}:
        return False
    name = lex.singular(tokens[i + 1].lower) if i + 1 < len(tokens) else ""
    readings = lex.verb_readings(tokens[i].lower)
    groups = {lex.group_of(lemma) for lemma, form in readings if form == "ing"}
    if groups & {"voice", "animal"}:
        return lex.noun_class.get(name) in {*PERSON_CLASSES, "animal"}
    return "device" in groups and lex.noun_class.get(name) in OBJECT_CLASSES


def _predicate_adjective(tokens: list[Token], i: int) -> bool:
    """Tell whether the word before i is an adjective behind a copula ("stands silent waiting")."""
    j = i - 1
    while j >= 0 and tokens[j].tag in {"ADJ", "ADV"}:
        j -= 1
    if tokens[i - 1].tag != "ADJ" or j < 0:
        return False
    return tokens[j].tag in {"AUX", "VERB"} or tokens[j].lower == "in"


def _object_follows(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    kind = lex.tags.get(tokens[i + 1].lower) if i + 1 < len(tokens) else None
    return kind in {"DET", "POSS"} and lex.class_of(tokens[i].lower) != "sound"


def _tag_unknown(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    after_noun = i > 0 and tokens[i - 1].tag in {"NOUN", "PRON"}
    if word.endswith("ly"):
        token.tag = "ADV"
    elif word.endswith("ed") and len(word) > 3 and (after_noun or after_be_or_have(tokens, i)):
        token.tag, token.lemma = "VERB", word[:-2]
        token.form = "part" if after_be_or_have(tokens, i) else "past"
    elif verb_by_place(tokens, i, lex):
        token.tag, token.lemma, token.form = "VERB", singulars(word)[0], "s"
    else:
        shaped = word.endswith(("ed", *_ADJ_ENDINGS)) or "-" in word
        before_noun = shaped and word not in lex.either and nounish(tokens, i + 1, lex)
        token.tag = "ADJ" if before_noun else "NOUN"
