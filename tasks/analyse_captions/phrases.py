"""Groups tagged words into the pieces that a clause is made of.

Takes tokens; gives a flat list of nodes: noun phrases with head, number and place, verb groups with
voice and negation, and the small words between them. It decides nothing about sounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from earshot.tasks.analyse_captions.lexicon import Lexicon
from earshot.tasks.analyse_captions.tokens import Token

NodeKind = Literal[
    "NP", "VERB", "PREP", "TO", "CONJ", "COMMA", "STOP", "REL", "SUB", "ADV", "ADJ", "GEN", "NEG"
]
_PRE = frozenset({"DET", "NODET", "POSS", "NUM", "ADJ"})
_ARTICLES = frozenset({"DET", "NODET", "POSS"})

#: The pronoun of "another", "a green one", "the other": a further thing of a kind named before.
ANOTHER = "another"


@dataclass(slots=True, eq=False)
class Phrase:
    """A noun phrase or pronoun: what it names, how many, where it stands, what it does."""

    start: int
    end: int
    head: str
    name: str
    kind: str
    count: int | None
    is_group: bool
    is_plural: bool
    is_bare: bool
    definite: bool
    negated: bool
    pronoun: str | None
    owner_pronoun: str | None
    adjectives: frozenset[str]
    modifiers: tuple[Token, ...]
    role: str = ""
    prep: str = ""
    host: Phrase | None = None
    owner: Phrase | None = None
    sounds: set[str] = field(default_factory=set)
    inferred: bool = False
    only_heard: bool = False
    quiet: bool = False
    unseen: bool = False


@dataclass(slots=True, eq=False)
class Verb:
    """A verb group with the phrases that it binds."""

    lemma: str
    form: str
    passive: bool
    negated: bool
    subjects: list[Phrase] = field(default_factory=list)
    objects: list[Phrase] = field(default_factory=list)
    preps: list[Phrase] = field(default_factory=list)
    adjectives: list[str] = field(default_factory=list)
    unreal: bool = False
    also_seen: bool = False


@dataclass(slots=True, eq=False)
class Node:
    """One piece of a clause, in the order of the text."""

    kind: NodeKind
    word: str
    phrase: Phrase | None = None
    verb: Verb | None = None


def chunk(tokens: list[Token], lex: Lexicon) -> list[Node]:
    """Return the nodes of a tagged text."""
    nodes: list[Node] = []
    i = 0
    while i < len(tokens):
        tag = tokens[i].tag
        if tag in _PRE or tag == "NOUN":
            node, i = _noun_phrase(tokens, i, lex)
        elif tag == "PRON":
            node, i = _pronoun(tokens, i, lex)
        elif tag in {"AUX", "VERB"}:
            node, i = _verb_group(tokens, i)
        elif tag == "PREP":
            node, i = _preposition(tokens, i)
        else:
            node, i = Node(_KINDS.get(tag, "ADV"), tokens[i].lower), i + 1
        nodes.append(node)
    return nodes


_KINDS: dict[str, NodeKind] = {
    kind: kind for kind in ("TO", "CONJ", "COMMA", "STOP", "REL", "SUB", "ADV", "ADJ", "GEN", "NEG")
}


def _preposition(tokens: list[Token], i: int) -> tuple[Node, int]:
    words = [tokens[i].lower]
    while i + 1 < len(tokens) and tokens[i + 1].tag == "PREP":
        i += 1
        words.append(tokens[i].lower)
    return Node("PREP", " ".join(words)), i + 1


def _verb_group(tokens: list[Token], i: int) -> tuple[Node, int]:
    """Read auxiliaries, negations and adverbs up to the verb; a lone auxiliary is the verb."""
    negated, auxiliary, j = False, "", i
    last_auxiliary = i
    while j < len(tokens) and tokens[j].tag in {"AUX", "NEG", "ADV"}:
        if tokens[j].tag == "AUX":
            auxiliary, last_auxiliary = tokens[j].lemma, j
            negated |= tokens[j].lower.endswith("n't") or tokens[j].lower == "cannot"
        negated |= tokens[j].tag == "NEG"
        j += 1
    if j < len(tokens) and tokens[j].tag == "VERB":
        verb = tokens[j]
        passive = verb.form in {"part", "past"} and auxiliary == "be"
        form = str(verb.form) if verb.form == "ing" and not auxiliary else "finite"
        form = str(verb.form) if not auxiliary and verb.form else form
        return Node("VERB", verb.lower, verb=Verb(verb.lemma, form, passive, negated)), j + 1
    lemma = tokens[last_auxiliary].lemma
    end = last_auxiliary + 1
    while end < len(tokens) and tokens[end].tag == "NEG":
        end += 1
    return Node(
        "VERB", tokens[last_auxiliary].lower, verb=Verb(lemma, "finite", False, negated)
    ), end


def _span(tokens: list[Token], i: int) -> tuple[int, int]:
    """Return (start, head position) of the noun phrase at i; start == head + 1 where none is."""
    j, opened = i, False
    while j < len(tokens):
        tag = tokens[j].tag
        following = tokens[j + 1].tag if j + 1 < len(tokens) else ""
        if tag == "NOUN":
            while j + 1 < len(tokens) and tokens[j + 1].tag == "NOUN":
                j += 1
            return i, j
        if tag in {"NUM", "ADJ"}:
            opened = True
        elif tag in _ARTICLES and opened:
            break
        elif tag == "ADV":
            if following not in {"ADJ", "ADV", "NUM"}:
                break
        elif tag in {"CONJ", "COMMA"}:
            if tokens[j - 1].tag != "ADJ" or following != "ADJ":
                break
        elif tag not in _ARTICLES:
            break
        j += 1
    return i, i - 1


def _noun_phrase(tokens: list[Token], i: int, lex: Lexicon) -> tuple[Node, int]:
    first, last = _span(tokens, i)
    if last < first:
        return _headless(tokens, i, lex)
    phrase = _phrase(tokens, first, last, lex)
    if last + 2 < len(tokens) and tokens[last + 1].lower == "of" and _is_quantity(phrase, lex):
        inner_first, inner_last = _span(tokens, last + 2)
        if inner_last >= inner_first:
            return _quantified(phrase, tokens, inner_first, inner_last, lex), inner_last + 1
    return Node("NP", phrase.name, phrase=phrase), last + 1


def _headless(tokens: list[Token], i: int, lex: Lexicon) -> tuple[Node, int]:
    """Read a number or determiner without a noun: "two of the men", "both leave", "a red one"."""
    token = tokens[i]
    if end := _end_of_another(tokens, i, lex):
        return _another(tokens, i, end), end
    if token.tag == "ADJ":
        return Node("ADJ", token.lower), i + 1
    if i + 2 < len(tokens) and tokens[i + 1].lower == "of":
        first, last = _span(tokens, i + 2)
        if last >= first:
            phrase = _phrase(tokens, first, last, lex)
            phrase.start = i
            phrase.count = _number(token, lex)
            return Node("NP", phrase.name, phrase=phrase), last + 1
    return Node("ADV", token.lower), i + 1


def _end_of_another(tokens: list[Token], i: int, lex: Lexicon) -> int:
    """Return where "a green one" or "the other" that begins at i ends; 0 where none does."""
    if tokens[i].lower not in {"a", "an", "another", "the", "this", "that", "each"}:
        return 0  # "all one sees" speaks of people
    end = i + 1
    while end < len(tokens) and tokens[end].tag in _PRE and tokens[end].lower != "one":
        end += 1
    if end < len(tokens) and tokens[end].lower in {"one", "other"}:
        return end + 1
    return end if tokens[end - 1].lower in lex.words["others"] else 0


def _another(tokens: list[Token], i: int, end: int) -> Node:
    words = tokens[i:end]
    node, _ = _pronoun_phrase(ANOTHER, i, end)
    assert node.phrase is not None
    node.phrase.definite = words[0].lower not in {"a", "an", "another"}
    node.phrase.negated = words[0].tag == "NODET"
    node.phrase.adjectives = frozenset(each.lower for each in words if each.tag == "ADJ")
    return node


def _pronoun(tokens: list[Token], i: int, lex: Lexicon) -> tuple[Node, int]:
    word = tokens[i].lower
    if i + 2 < len(tokens) and tokens[i + 1].lower == "of":
        node, end = _headless(tokens, i, lex)
        if node.phrase is not None:
            return node, end
    return _pronoun_phrase(word, i, i + 1)


def _pronoun_phrase(word: str, start: int, end: int) -> tuple[Node, int]:
    plural = word in {"they", "them", "themselves", "both", "all", "some", "others", "we", "us"}
    phrase = Phrase(
        start=start, end=end, head="", name="", kind="pronoun", count=None, is_group=False,
        is_plural=plural, is_bare=False, definite=True, negated=False, pronoun=word,
        owner_pronoun=None, adjectives=frozenset(), modifiers=(),
    )  # fmt: skip
    return Node("NP", word, phrase=phrase), end


def _is_quantity(phrase: Phrase, lex: Lexicon) -> bool:
    return any(phrase.head in lex.words[name] for name in ("group_of", "pair_of", "kind_of"))


def _quantified(outer: Phrase, tokens: list[Token], first: int, last: int, lex: Lexicon) -> Node:
    """Join "a group of" and "young people" to one phrase with the inner head."""
    inner = _phrase(tokens, first, last, lex)
    inner.start = outer.start
    inner.definite, inner.negated = outer.definite, outer.negated
    if outer.head in lex.words["pair_of"]:
        inner.count = 2
    elif outer.head in lex.words["group_of"]:
        inner.count, inner.is_group = None, True
    else:
        inner.count = outer.count if outer.count != 1 or not inner.is_plural else None
    inner.adjectives |= outer.adjectives
    return Node("NP", inner.name, phrase=inner)


def _number(token: Token, lex: Lexicon) -> int | None:
    if token.lower in lex.numbers:
        return lex.numbers[token.lower]
    return int(token.lower) if token.lower.isdecimal() and 0 < int(token.lower) < 10_000 else None


def _name(tokens: list[Token], lex: Lexicon) -> str:
    """Return the canonical name: the longest compound of the lexicon, else the run of nouns."""
    head = lex.singular(tokens[-1].lower)
    for k in range(len(tokens) - 1):
        phrase = " ".join([*(token.lower for token in tokens[k:-1]), head])
        if phrase in lex.noun_class:
            return phrase
    return " ".join([*(token.lower for token in tokens[:-1] if token.tag == "NOUN"), head])


def _phrase(tokens: list[Token], first: int, last: int, lex: Lexicon) -> Phrase:
    words = tokens[first : last + 1]
    start = first
    while start < last and tokens[start].tag in _ARTICLES:
        start += 1
    head = lex.singular(words[-1].lower)
    name = _name(words, lex)
    kind = lex.class_of(name)
    numbers = [n for token in words if token.tag == "NUM" for n in [_number(token, lex)] if n]
    plural = lex.is_plural(words[-1].lower) or head in lex.words["plural_only"]
    count = numbers[0] if numbers else None if plural or kind == "group" else 1
    owner = next((token.lower for token in words if token.tag == "POSS"), None)
    return Phrase(
        start=start, end=last + 1, head=head, name=name, kind=kind, count=count,
        is_group=kind == "group"
        or (plural and count is None and head in lex.words["collective_plurals"]),
        is_plural=plural,
        is_bare=not any(token.tag in _ARTICLES or token.tag == "NUM" for token in words),
        definite=words[0].lower in {"the", "this", "that", "these", "those", "both"}
        or owner is not None,
        negated=any(token.tag == "NODET" for token in words),
        pronoun=None, owner_pronoun=owner,
        adjectives=frozenset(token.lower for token in words if token.tag == "ADJ"),
        modifiers=tuple(token for token in words[:-1] if token.tag == "NOUN"),
    )  # fmt: skip
