"""Splits a caption into words and gives each a part of speech.

Takes any text; gives tokens with their places in it. Left to right, by the lexicon, the shape of
the word and its neighbours: a word it has never seen is a noun behind a determiner, a verb in -s
behind a singular noun, an adverb in -ly. It never raises and never guesses twice differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from earshot.tasks.analyse_captions.lexicon import PERSON_CLASSES, Lexicon
from earshot.tasks.analyse_captions.morphology import bases_of_ing
from earshot.tasks.analyse_captions.vocabulary import VerbForm

#: Tags: DET NODET POSS NUM ADJ NOUN PRON | AUX VERB | PREP TO CONJ REL SUB ADV NEG | GEN COMMA STOP
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:-[^\W\d_]+)*(?:['\u2019](?!s\b)[^\W\d_]+)?"
    r"|['\u2019]s\b|[^\w\s]|_"
)
_OPENERS = frozenset({"DET", "NODET", "POSS", "NUM", "ADJ", "GEN"})
_PLURAL_SUBJECTS = frozenset({"they", "we", "you", "i", "who", "that", "which"})
_ADJ_ENDINGS = ("ful", "ous", "ish", "ive", "less", "able", "ible", "ic", "al", "ary", "y")
_BE = frozenset(
    {"is", "are", "was", "were", "be", "been", "being", "am"}
    | {"isn't", "aren't", "wasn't", "weren't"}
)
_BEFORE_SOUNDS = frozenset({"of", "with", "from", "to", "for", "about", "like", "in", "over"})
_HAVE = frozenset({"has", "have", "had", "having", "hasn't", "haven't"})


@dataclass(slots=True)
class Token:
    """One word or mark: its text, place (half-open characters), tag, and verb reading if any."""

    text: str
    lower: str
    start: int
    end: int
    tag: str = ""
    lemma: str = ""
    form: VerbForm | None = None


def tokenise(text: str) -> list[Token]:
    """Split a text into tokens whose `start` and `end` are verbatim character positions."""
    return [
        Token(m.group(), m.group().lower().replace("\u2019", "'"), m.start(), m.end())
        for m in _TOKEN.finditer(text)
    ]


def tag(text: str, lex: Lexicon) -> list[Token]:
    """Return the tokens of a text, each with its part of speech."""
    tokens = tokenise(text)
    for index in range(len(tokens)):
        _tag_one(tokens, index, lex)
    return tokens


def _tag_one(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    if not word[0].isalnum():
        _tag_mark(tokens, i)
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


def _alone(tokens: list[Token], i: int) -> bool:
    """Tell whether nothing that a determiner could belong to follows."""
    return i + 1 >= len(tokens) or not tokens[i + 1].lower[0].isalnum()


def _tag_function_word(tokens: list[Token], i: int, lex: Lexicon) -> str:
    word = tokens[i].lower
    previous = tokens[i - 1].tag if i else ""
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    finite_next = following in lex.tags and lex.tags[following] == "AUX"
    if word in {"that", "which"}:
        if previous in {"NOUN", "PRON", "COMMA", "PREP"}:
            return "REL"
        return "SUB" if previous == "VERB" and word == "that" else "DET"
    if word in {"her", "his"}:
        return "POSS" if _noun_may_follow(tokens, i, lex) else "PRON"
    if lex.tags[word] == "DET" and (
        _alone(tokens, i) or finite_next or following == "of" or _only_verb(following, lex)
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


def _only_verb(word: str, lex: Lexicon) -> bool:
    """Tell whether a word is a plain verb form and no known noun or adjective."""
    forms = {form for _, form in lex.verb_readings(word)}
    return (
        bool(forms & {"base", "s"})
        and not lex.may_be_noun(word)
        and not lex.is_adjective(word)
    )


def _nounish(tokens: list[Token], i: int, lex: Lexicon) -> bool:
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


def _tag_open(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    inside = i > 0 and tokens[i - 1].tag in _OPENERS
    noun = lex.may_be_noun(word)
    readings = lex.verb_readings(word)
    if lex.is_adjective(word) and not (word in lex.either and not _nounish(tokens, i + 1, lex)):
        # "it opens", "to open", "a dry towel": verbs that look like adjectives need their place
        base_wanted = i > 0 and (tokens[i - 1].tag == "TO" or _after_modal(tokens, i))
        if not (readings and base_wanted):
            token.tag = "ADJ"
            return
    if word.endswith("ing") and len(word) > 4 and (readings or not noun):
        _tag_ing(tokens, i, lex, inside=inside, noun=noun)
    elif inside and _reads_inside(tokens, i, lex, noun=noun):
        return
    elif _opens_with_participle(tokens, i, lex):
        token.tag = "ADJ"
    elif readings and _is_verb(tokens, i, lex, noun=noun):
        _set_verb(token, readings, _after_be_or_have(tokens, i))
    elif noun:
        token.tag = "NOUN"
    else:
        _tag_unknown(tokens, i, lex)


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
    follows = _nounish(tokens, i + 1, lex)
    shaped = token.lower.endswith(_ADJ_ENDINGS) or token.lower.endswith("ed") or "-" in token.lower
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
    if inside and before is not None and before.tag != "GEN" and _nounish(tokens, i + 1, lex):
        # "a barking dog", but "a loud barking dog" too; "two talking men"
        token.tag = "ADJ"
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


def _sound_before_noun(tokens: list[Token], i: int, lex: Lexicon) -> bool:
    """Tell "chirping birds" and "ringing bells" at a clause's beginning from "singing songs"."""
    if i and tokens[i - 1].tag not in {"STOP", "COMMA", "CONJ", "PREP", "SUB"}:
        return False
    name = lex.singular(tokens[i + 1].lower) if i + 1 < len(tokens) else ""
    readings = lex.verb_readings(tokens[i].lower)
    groups = {lex.group_of(lemma) for lemma, form in readings if form == "ing"}
    if groups & {"voice", "animal"}:
        return lex.noun_class.get(name) in {*PERSON_CLASSES, "animal"}
    return "device" in groups and name in lex.noun_class


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


def _after_modal(tokens: list[Token], i: int) -> bool:
    j = i - 1
    while j >= 0 and tokens[j].tag in {"ADV", "NEG"}:
        j -= 1
    return j >= 0 and tokens[j].tag == "AUX" and tokens[j].lemma == "do"


def _after_be_or_have(tokens: list[Token], i: int) -> bool:
    j = i - 1
    while j >= 0 and tokens[j].tag in {"ADV", "NEG"}:
        j -= 1
    return j >= 0 and tokens[j].tag == "AUX" and tokens[j].lemma in {"be", "have"}


def _is_verb(tokens: list[Token], i: int, lex: Lexicon, *, noun: bool) -> bool:
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
        and (lex.tags.get(following) == "AUX" or _only_verb(following, lex))
    ):
        return False
    if before.tag == "TO" or _after_modal(tokens, i):
        return "base" in forms or not noun
    if before.tag in {"PREP", "VERB"} and noun:
        return False
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
            return all(token.tag not in {"VERB", "AUX"} for token in tokens[:j])
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


def _set_verb(
    token: Token, readings: tuple[tuple[str, VerbForm], ...], after_be_or_have: bool
) -> None:
    order: tuple[VerbForm, ...] = (
        ("part", "base", "past", "s", "ing")
        if after_be_or_have
        else ("s", "base", "past", "part", "ing")
    )
    token.tag = "VERB"
    token.lemma, token.form = min(readings, key=lambda reading: order.index(reading[1]))


def _tag_unknown(tokens: list[Token], i: int, lex: Lexicon) -> None:
    token = tokens[i]
    word = token.lower
    before = tokens[i - 1] if i else None
    after_noun = before is not None and before.tag in {"NOUN", "PRON"}
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    free_next = not lex.verb_readings(following) and lex.tags.get(following) != "AUX"
    if word.endswith("ly"):
        token.tag = "ADV"
    elif word.endswith("ed") and len(word) > 3 and (after_noun or _after_be_or_have(tokens, i)):
        token.tag, token.lemma = "VERB", word[:-2]
        token.form = "part" if _after_be_or_have(tokens, i) else "past"
    elif (
        after_noun
        and before is not None
        and free_next
        and word.endswith("s")
        and not word.endswith("ss")
        and not lex.is_plural(before.lower)
        and before.lower not in _PLURAL_SUBJECTS
        and _no_verb_yet(tokens, i)
    ):
        token.tag, token.lemma, token.form = "VERB", word[:-1], "s"
    elif (word.endswith(("ed", *_ADJ_ENDINGS)) or "-" in word) and _nounish(tokens, i + 1, lex):
        token.tag = "ADJ"
    else:
        token.tag = "NOUN"


def _no_verb_yet(tokens: list[Token], i: int) -> bool:
    for token in reversed(tokens[:i]):
        if token.tag in {"STOP", "SUB", "COMMA"}:
            return True
        if token.tag == "AUX" or (token.tag == "VERB" and token.form != "ing"):
            return False
    return True
