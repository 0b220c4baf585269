"""Finds who does what: binds each verb of a caption to its subjects, objects and prepositions.

Takes the nodes of `phrases.chunk`; gives the verbs with what they bind, and the phrases in order.
One walk from left to right with one clause in hand; captions are simple, so no tree is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from earshot.tasks.analyse_captions.lexicon import Lexicon
from earshot.tasks.analyse_captions.phrases import Node, Phrase, Verb

#: What does not act by itself: never the subject of a participle when something better is there.
_PASSIVE_KINDS = frozenset({"clothing", "body", "place", "scenery", "abstract"})
#: What is as likely the place of a thing as the thing spoken of: "a drum by the stand that booms".
_SETTINGS = frozenset({"thing", "unknown"})
_SKIPPED = frozenset({"ADV", "NEG"})


@dataclass(slots=True, eq=False)
class _Clause:
    subjects: list[Phrase] = field(default_factory=list)
    verb: Verb | None = None
    finite: bool = False
    outer: _Clause | None = None
    gap: Phrase | None = None
    #: Subjects of a participle before "and": "a dog barking and a cat sit" (both sit).
    joined: list[Phrase] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Walk:
    """The verbs and phrases of a caption, each in the order of the text."""

    verbs: list[Verb] = field(default_factory=list)
    phrases: list[Phrase] = field(default_factory=list)


class _Walker:
    def __init__(self, nodes: list[Node], lex: Lexicon) -> None:
        self.nodes = nodes
        self.lex = lex
        self.walk = Walk()
        self.clause = _Clause()
        self.last_subjects: list[Phrase] = []
        self.pending: list[Verb] = []
        self.verb: Verb | None = None
        #: What stands before the subject: "in silence", "off-screen".
        self.fronted_preps: list[Phrase] = []
        self.fronted_adjectives: list[str] = []
        self.verb_ahead = self._verb_ahead()

    def run(self) -> Walk:
        for i, node in enumerate(self.nodes):
            if node.phrase is not None:
                self._phrase(i, node.phrase)
                self.walk.phrases.append(node.phrase)
            elif node.verb is not None:
                self._verb(i, node.verb)
                self.walk.verbs.append(node.verb)
            elif node.kind in {"STOP", "SUB"}:
                self._boundary(i)
            elif node.kind == "ADJ":
                self._adjective(self._graded(i))
            elif node.word in self.lex.words["loud_words"]:
                self._adjective(node.word)
            elif node.kind == "ADV" and self._is_silent(node.word):
                self._adjective("silent")
            elif node.word == "somewhere" and self.verb is not None:
                self.verb.adjectives.append("unseen")
        return self.walk

    def _adjective(self, word: str) -> None:
        if self.clause.verb is None and not self.clause.subjects:
            self.fronted_adjectives.append(word)
        elif self.clause.verb is None and self._is_silent(word):
            self.fronted_adjectives.append(word)  # "it quietly bobs"
        elif self.verb is not None:
            self.verb.adjectives.append(word)

    def _is_silent(self, word: str) -> bool:
        silent = self.lex.words["silent_words"]
        return word in silent or (word.endswith("ly") and word[:-2] in silent)

    def _graded(self, i: int) -> str:
        """Return the adjective, marked where something takes half of it back ("half hidden")."""
        before = self.nodes[i - 1].word if i else ""
        word = self.nodes[i].word
        return f"half {word}" if before in {"half", "partly", "partially"} else word

    def _boundary(self, i: int) -> None:
        """Begin a clause, unless the word only stands before a noun ("after the dog")."""
        if self.nodes[i].kind == "SUB" and not self.verb_ahead[i + 1]:
            self.nodes[i].kind = "PREP"
            return
        if self.clause.subjects:
            self.last_subjects = self.clause.subjects
        self.clause = _Clause()
        self.fronted_preps, self.fronted_adjectives = [], []
        if self.nodes[i].kind == "STOP":
            self.verb = None

    def _verb_ahead(self) -> list[bool]:
        """Tell for each place whether a verb comes before the clause ends, in one pass."""
        ahead = [False] * (len(self.nodes) + 1)
        following = ""
        for i in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[i]
            stative = node.kind == "ADJ" and node.word in self.lex.words["stative"]
            dangling = node.kind == "CONJ" and following not in {"NP", "VERB"}
            if node.kind in {"VERB", "REL"} or stative:
                ahead[i] = True
            elif node.kind not in {"STOP", "COMMA", "SUB"} and not dangling:
                ahead[i] = ahead[i + 1]
            following = node.kind
        return ahead

    def _before(self, i: int) -> Node | None:
        j = i - 1
        while j >= 0 and self.nodes[j].kind in _SKIPPED:
            j -= 1
        return self.nodes[j] if j >= 0 else None

    # -- noun phrases

    def _phrase(self, i: int, phrase: Phrase) -> None:
        before = self._before(i)
        kind = before.kind if before is not None else "STOP"
        previous = self.walk.phrases[-1] if self.walk.phrases else None
        if kind == "GEN" and previous is not None:
            self._owned(phrase, previous)
        elif kind in {"PREP", "TO"} and before is not None:
            phrase.role, phrase.prep, phrase.host = "prep", before.word, self._host(i)
            if self.clause.verb is not None and self.verb is not None:
                self.verb.preps.append(phrase)
            elif not self.clause.subjects:
                self.fronted_preps.append(phrase)
        elif kind == "VERB":
            self._object(phrase)
        elif kind in {"CONJ", "COMMA"} and previous is not None:
            self._coordinated(i, phrase, previous)
        elif kind == "REL":
            antecedent = self._antecedent()
            self.clause = _Clause([phrase], outer=self.clause, gap=antecedent)
        elif self.clause.verb is not None and kind in {"NP", "ADJ"} and not self._finite_next(i):
            self._object(phrase)
        else:
            if self.clause.verb is not None:
                self._new_clause()
            self.clause.subjects = [phrase]

    def _host(self, i: int) -> Phrase | None:
        """Return the phrase right before the preposition, if one is."""
        j = i - 1
        while j >= 0 and self.nodes[j].kind not in {"PREP", "TO"}:
            j -= 1
        before = self._before(j) if j > 0 else None
        return before.phrase if before is not None else None

    def _finite_next(self, i: int) -> bool:
        for node in self.nodes[i + 1 :]:
            if node.kind == "VERB":
                return node.verb is not None and node.verb.form != "ing"
            if node.kind not in {"ADV", "NEG"}:
                return False
        return False

    def _new_clause(self) -> None:
        if self.clause.subjects:
            self.last_subjects = self.clause.subjects
        self.clause = _Clause(outer=None)

    def _owned(self, phrase: Phrase, owner: Phrase) -> None:
        phrase.owner = owner
        phrase.role, phrase.prep, phrase.host = owner.role, owner.prep, owner.host
        groups = [self.verb.objects, self.verb.preps] if self.verb is not None else []
        for group in (self.clause.subjects, *groups):
            for k, each in enumerate(group):
                if each is owner:
                    group[k] = phrase

    def _object(self, phrase: Phrase) -> None:
        if self.verb is None:
            self.clause.subjects = [phrase]
            return
        if phrase.head in self.lex.words["time_nouns"]:
            phrase.role = "time"  # "barks four times"
            return
        phrase.role = "object"
        if self.verb.passive:
            return
        self.verb.objects.append(phrase)
        if self.verb.lemma in {"be", "come"} and not self.verb.subjects:
            # "there is a dog": what is there is the subject of what comes
            self.clause.subjects = [phrase]
            self.verb.subjects.append(phrase)

    def _coordinated(self, i: int, phrase: Phrase, previous: Phrase) -> None:
        verb_follows = self.verb_ahead[i + 1]
        if self.clause.verb is None:
            worn = previous.role == "prep" and phrase.kind in _PASSIVE_KINDS
            if (verb_follows and not worn) or not previous.role:
                self.clause.subjects.append(phrase)
            else:
                self._like(phrase, previous)
        elif verb_follows and phrase.kind not in {"clothing", "body"}:
            if self.clause.finite or self.clause.verb.form == "ing":
                joined = [] if self.clause.finite else self.clause.subjects
                self._new_clause()
                self.clause.subjects, self.clause.joined = [phrase], joined
        else:
            self._like(phrase, previous)

    def _like(self, phrase: Phrase, previous: Phrase) -> None:
        """Give a coordinated phrase the part of the one before it."""
        phrase.role, phrase.prep, phrase.host = previous.role, previous.prep, previous.host
        for verb in reversed(self.walk.verbs):
            for group in (verb.objects, verb.preps, verb.subjects):
                if previous in group:
                    group.append(phrase)
                    return

    # -- verbs

    def _verb(self, i: int, verb: Verb) -> None:
        before = self._before(i)
        kind = before.kind if before is not None else "STOP"
        verb.negated |= self._never(i)
        if verb.form == "ing":
            self._participle(i, verb, kind)
        elif kind == "TO":
            self._infinitive(verb)
        elif verb.form in {"past", "part"} and self._fronted(kind):
            verb.passive = True  # "heard but never seen, a train whistles"
            self.pending.append(verb)
        elif verb.form in {"past", "part"} and self._reduced(i, kind):
            verb.passive = True
            verb.subjects = self._nearest(kind)
        else:
            self._finite(verb, kind)
        self.verb = verb
        if self.clause.verb is None or verb.form != "ing":
            self.clause.verb = verb

    def _never(self, i: int) -> bool:
        """Tell whether a negation stands right before the verb at i."""
        j = i - 1
        while j >= 0 and self.nodes[j].kind == "ADV":
            j -= 1
        return j >= 0 and self.nodes[j].kind == "NEG"

    def _finite(self, verb: Verb, kind: str) -> None:
        if kind == "REL":
            antecedent = self._antecedent()
            subjects = [antecedent] if antecedent is not None else list(self.last_subjects)
            self.clause = _Clause(subjects, outer=self.clause)
        elif self.clause.outer is not None and self.clause.finite and kind != "CONJ":
            self.clause = self.clause.outer
        verb.subjects = list(self.clause.subjects or self.last_subjects)
        if self.fronted_preps and not self.clause.subjects and kind == "NP":
            verb.subjects = []  # "from the house comes a bark": the subject is still to come
        if verb.form == "base":
            verb.subjects = [*self.clause.joined, *verb.subjects]
        if self.clause.gap is not None:
            verb.objects.append(self.clause.gap)
            self.clause.gap = None
        if not self.clause.subjects:
            self.clause.subjects = list(verb.subjects)
        self.clause.finite = True
        verb.preps += self.fronted_preps
        verb.adjectives += self.fronted_adjectives
        self.fronted_preps, self.fronted_adjectives = [], []
        for waiting in self.pending:
            waiting.subjects = list(verb.subjects)
        self.pending = []

    def _infinitive(self, verb: Verb) -> None:
        governor = self.verb
        if governor is None:
            verb.unreal = True
            return
        verb.subjects = list(governor.subjects)
        heard = governor.passive and governor.lemma in self.lex.words["hear"]
        real = heard or governor.lemma in self.lex.words["begin"]
        verb.unreal = not real or governor.unreal
        verb.negated |= governor.negated

    def _participle(self, i: int, verb: Verb, kind: str) -> None:
        governor = self.verb
        directly = self._before(i)
        particle = (
            kind == "PREP"
            and directly is not None
            and directly.word == "on"
            and governor is not None
            and governor.lemma in self.lex.words["begin"]
        )
        if governor is not None and (kind == "VERB" or particle):
            verb.subjects = list(governor.subjects)
            verb.negated |= governor.negated or governor.lemma in self.lex.words["stop"]
            verb.unreal = governor.unreal or governor.lemma in self.lex.words["unreal"]
        elif kind in {"NP", "ADJ"}:
            verb.subjects = self._nearest(kind)
        elif kind == "CONJ" and governor is not None and governor.form == "ing":
            verb.subjects = list(governor.subjects)
        else:
            verb.negated |= directly is not None and "without" in directly.word.split()
            verb.subjects = list(self.clause.subjects or self.last_subjects)
            if not verb.subjects:
                self.pending.append(verb)

    def _reduced(self, i: int, kind: str) -> bool:
        """Tell whether a past form without auxiliary is a participle: "a bell rung by a man"."""
        following = self.nodes[i + 1].word if i + 1 < len(self.nodes) else ""
        return kind == "NP" and (following == "by" or self.clause.finite)

    def _fronted(self, kind: str) -> bool:
        """Tell whether a participle stands at the beginning of a clause that has no subject yet."""
        if self.clause.subjects or self.clause.finite:
            return False
        return kind == "STOP" or (kind == "CONJ" and bool(self.pending))

    def _nearest(self, kind: str) -> list[Phrase]:
        """Return the subject of a participle: the nearest phrase that can act, and its equals."""
        phrase = self.walk.phrases[-1] if self.walk.phrases else None
        while phrase is not None and (phrase.kind in _PASSIVE_KINDS or phrase.negated):
            phrase = phrase.host
        if phrase is not None and phrase.definite and self._is_setting(phrase):
            phrase = phrase.host or phrase
        if phrase is None:
            return list(self.clause.subjects or self.last_subjects)
        if phrase in self.clause.subjects:
            return list(self.clause.subjects) if kind == "NP" and not self.clause.verb else [phrase]
        return [phrase]

    def _antecedent(self) -> Phrase | None:
        """Return what "that" speaks of: the last thing, or what it is there for."""
        for phrase in reversed(self.walk.phrases):
            if phrase.kind in _PASSIVE_KINDS or phrase.role == "time":
                continue
            there = self._there(phrase)
            if there is not None:
                return there
            host = phrase.host
            return host if host is not None and self._is_setting(phrase) else phrase
        return self.walk.phrases[-1] if self.walk.phrases else None

    def _there(self, phrase: Phrase) -> Phrase | None:
        """Return the drum of "there is a drum by the chair", for the chair."""
        verb = self.verb
        if verb is None or verb.lemma != "be" or phrase.role != "prep" or not verb.objects:
            return None
        placed = self.lex.is_place(phrase.prep) and phrase in verb.preps
        return verb.objects[-1] if placed and verb.objects[-1] in verb.subjects else None

    def _is_setting(self, phrase: Phrase) -> bool:
        """Tell whether a phrase says no more than where its host is."""
        return (
            phrase.role == "prep"
            and self.lex.is_place(phrase.prep)
            and phrase.kind in _SETTINGS
            and phrase.host is not None
            and phrase.host.kind not in _PASSIVE_KINDS
        )


def walk(nodes: list[Node], lex: Lexicon) -> Walk:
    """Return the verbs of a caption with their subjects, objects and prepositional phrases."""
    return _Walker(nodes, lex).run()
