"""Reads one caption: the things that it names, which of them sound, which are seen.

Takes a caption's text; gives its things, each with its place, its head and what is said of it.
Verbs are judged in `hearing.py`, sight in `sight.py`; here are pronouns, named sounds ("the barking
of a dog") and what becomes a thing at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from earshot.tasks.analyse_captions.clauses import Walk, walk
from earshot.tasks.analyse_captions.hearing import CAN, SELF_PLAYING, Hearing
from earshot.tasks.analyse_captions.lexicon import OBJECT_CLASSES, PERSON_CLASSES, Lexicon
from earshot.tasks.analyse_captions.morphology import bases_of_ing
from earshot.tasks.analyse_captions.phrases import ANOTHER, Phrase, Verb, chunk
from earshot.tasks.analyse_captions.sight import Sight
from earshot.tasks.analyse_captions.tagger import tag
from earshot.tasks.analyse_captions.things import (
    INFERRED,
    KNOWN,
    UNKNOWN,
    Memory,
    Reading,
    Thing,
)

_DEFAULT_HEADS = {
    **dict.fromkeys(("he", "him", "himself"), "man"),
    **dict.fromkeys(("she", "her", "herself"), "woman"),
    **dict.fromkeys(("they", "them", "themselves", "someone", "somebody"), "person"),
}
#: What may be no more than the place where something else is: "by the wallpaper", "on its stand".
_SETTING = frozenset({"scenery", "unknown"})
_THINGS = OBJECT_CLASSES | {"scenery"}


class _Reader:
    def __init__(self, text: str, lex: Lexicon, memory: Memory) -> None:
        self.text = text
        self.lex = lex
        self.memory = memory
        self.tokens = tag(text, lex)
        self.walk: Walk = walk(chunk(self.tokens, lex), lex)
        self.targets: dict[int, Phrase] = {}
        self.extra: list[Thing] = []
        self.sight = Sight(lex, self._target)
        self.hearing = Hearing(lex, self._target, self.sight)

    def read(self) -> Reading:
        self._resolve_pronouns()
        before: Verb | None = None
        for verb in self.walk.verbs:
            if before is not None and before.lemma in self.lex.words["seeing"]:
                verb.also_seen = not before.objects and not before.negated
            self.sight.by_verb(verb)
            self.hearing.listen(verb)
            before = verb
        for phrase in self.walk.phrases:
            self.sight.by_words(phrase, alone=not self.walk.verbs)
            self._adjectives(phrase)
            if not phrase.negated and self._is_sound(phrase):
                self._sound_noun(phrase)
        self.hearing.pass_by(self.walk.verbs)
        self.hearing.settle(self.walk.phrases)
        self._share_between_equals()
        things = [self._thing(phrase) for phrase in self.walk.phrases]
        found = sorted(
            [*(each for each in things if each is not None), *self.extra],
            key=lambda each: (each.char_start, each.char_end),
        )
        audible = self.hearing.audible or any(each.sounds for each in found)
        return Reading(tuple(found), audible)

    # -- pronouns

    def _resolve_pronouns(self) -> None:
        """Point each pronoun at the last thing that it may stand for, also of earlier captions."""
        for at, phrase in enumerate(self.walk.phrases):
            if phrase.pronoun == ANOTHER:
                self._name_after(self.walk.phrases[:at], phrase)
            if phrase.pronoun is not None:
                found = self.memory.last.get(_slot(phrase.pronoun))
                if found is not None:
                    self.targets[id(phrase)] = found
            elif not phrase.negated:
                if phrase.kind == "sound" and phrase.owner_pronoun is not None:
                    phrase.owner = self.memory.last.get(_slot(phrase.owner_pronoun))
                self._remember(phrase)

    def _name_after(self, before: Sequence[Phrase], phrase: Phrase) -> None:
        """Make "a green one" a thing of its own, of the kind that the last of its role has."""
        kinds = [p for p in before if p.kind in OBJECT_CLASSES and not p.negated]
        named = next((p for p in reversed(kinds) if p.role == phrase.role), None)
        if found := named or next(reversed(kinds), None):
            phrase.head, phrase.name, phrase.kind = found.head, found.name, found.kind
            phrase.pronoun, phrase.count = None, 1

    def _remember(self, phrase: Phrase) -> None:
        if phrase.kind not in OBJECT_CLASSES:
            return
        if phrase.is_plural or phrase.is_group:
            slots = ["they"]
        elif phrase.kind in PERSON_CLASSES:
            male = phrase.head in self.lex.words["male"]
            female = phrase.head in self.lex.words["female"]
            slots = ["he"] if male else ["she"] if female else ["he", "she"]
        else:
            # the subject of a clause is talked about longer than what lies about it
            slots = ["it"] if not phrase.role or phrase.kind == "animal" else []
        for slot in slots:
            self.memory.last[slot] = phrase

    def _target(self, phrase: Phrase) -> Phrase:
        return self.targets.get(id(phrase), phrase)

    # -- words before a noun

    def _adjectives(self, phrase: Phrase) -> None:
        phrase.quiet |= bool(phrase.adjectives & self.lex.words["silent_words"])
        for word in phrase.adjectives:
            self._said_before_noun(phrase, word)

    def _said_before_noun(self, phrase: Phrase, word: str) -> None:
        """ "A barking dog", "a playing guitar": the participle says what the thing does."""
        for lemma, form in self.lex.verb_readings(word) if word.endswith("ing") else ():
            group = self.lex.group_of(lemma)
            played = lemma in SELF_PLAYING and phrase.kind == "instrument"
            if form == "ing" and group is not None and (played or group != "play"):
                self.hearing.sound_all([phrase], lemma, CAN[group])

    # -- sounds that are named

    def _is_sound(self, phrase: Phrase) -> bool:
        """Tell whether a phrase names a sound: by its word, its maker ("of a drum"), its verb."""
        if phrase.kind == "sound":
            return True
        if phrase.pronoun is not None:
            return False
        head = self.tokens[phrase.end - 1].lower
        if not self._makers(phrase):
            noise = head.endswith("ing") and phrase.kind == "unknown"
            return noise and bool(self._groups_of_ing(head) - {None, "play"})
        if head.endswith("ing"):
            groups = self._groups_of_ing(head)
        else:
            groups = {self.lex.group_of(phrase.head)}
        if groups - {None, "play"} or (groups - {None} and head.endswith("ing")):
            return True
        silent_kinds = PERSON_CLASSES | {"animal"}
        return phrase.kind not in silent_kinds and any(
            verb.lemma in self.lex.words["carries"] and not verb.objects and not verb.negated
            for verb in self.walk.verbs
            if any(subject is phrase for subject in verb.subjects)
        )

    def _groups_of_ing(self, word: str) -> set[str | None]:
        lemmas = [lemma for lemma, form in self.lex.verb_readings(word) if form == "ing"]
        return {self.lex.group_of(lemma) for lemma in lemmas or bases_of_ing(word)}

    def _makers(self, phrase: Phrase) -> list[Phrase]:
        """Return the things that a phrase is said to be of or from."""
        children = [p for p in self.walk.phrases if p.host is phrase and p.prep in {"of", "from"}]
        return [p for p in children if p.kind in OBJECT_CLASSES and not p.negated]

    def _sound_noun(self, phrase: Phrase) -> None:
        """Give a named sound ("barking", "engine noise", "the man's voice") to what makes it."""
        if "without" in phrase.prep:
            return
        self.hearing.audible = True
        self.hearing.parts.add(id(phrase))
        makers = [phrase.owner] if phrase.owner is not None else self._makers(phrase)
        for maker in makers:
            self.hearing.sound(maker, phrase.head)
            maker.unseen |= phrase.unseen
            # "the sound of a dog is heard": nobody said that the dog is seen
            heard = "sound" in phrase.sounds and not maker.definite
            maker.only_heard |= heard and not self.sight.has_looks(maker)
        if not makers and not self._modifier(phrase):
            self._unowned(phrase)

    def _modifier(self, phrase: Phrase) -> bool:
        """Take "engine" out of "engine noise" as a thing that sounds."""
        found = False
        for token in phrase.modifiers:
            head = self.lex.singular(token.lower)
            kind = self.lex.class_of(head)
            if kind in OBJECT_CLASSES - {"unknown"}:
                self._add(token.start, token.end, head, kind, phrase.head, KNOWN)
                found = True
        return found

    def _unowned(self, phrase: Phrase) -> None:
        """Find the only thing here that makes such a sound, else note one that is heard only."""
        source = self.lex.sound_source.get(phrase.head)
        if source is None:
            return
        fitting = [
            each
            for each in self.walk.phrases
            if each.pronoun is None and not each.negated and not each.quiet
            and (each.head == source or (source == "person" and each.kind in PERSON_CLASSES))
        ]  # fmt: skip
        if any(each.sounds for each in fitting):
            return
        if len(fitting) == 1 or (fitting and len({each.head for each in fitting}) == 1):
            self.hearing.sound(fitting[-1], phrase.head, inferred=True)
            return
        token = self.tokens[phrase.end - 1]
        kind = self.lex.class_of(source)
        self._add(
            token.start, token.end, source, kind, phrase.head, INFERRED, seen=False, count=None
        )

    def _add(
        self, start: int, end: int, head: str, kind: str, verb: str, confidence: float,
        *, seen: bool = True, count: int | None = 1,
    ) -> None:  # fmt: skip
        self.extra.append(
            Thing(
                char_start=start, char_end=end, surface=self.text[start:end], head=head, name=head,
                kind=kind, count=count, is_group=kind == "group", seen=seen, sounds=True,
                verbs=frozenset({verb}), confidence=confidence,
            )
        )  # fmt: skip

    # -- results

    def _share_between_equals(self) -> None:
        """ "A dog runs. The dog barks.": a definite phrase speaks of its only namesake before."""
        before: dict[str, list[Phrase]] = {}
        for phrase in self.walk.phrases:
            namesakes = before.setdefault(phrase.head, [])
            if phrase.pronoun is not None:
                continue
            if phrase.definite and phrase.sounds and len(namesakes) == 1:
                namesakes[0].sounds |= phrase.sounds
            namesakes.append(phrase)

    def _thing(self, phrase: Phrase) -> Thing | None:
        source = phrase
        if phrase.pronoun is not None:
            source = self._target(phrase)
            if source is phrase:
                return self._default(phrase)
            if any(source is each for each in self.walk.phrases):
                return None
        if source.kind not in _THINGS or phrase.negated or self._is_no_thing(phrase):
            return None
        if phrase.head == "camera" and (phrase.definite or phrase.is_bare):
            return None  # the viewpoint, not a thing in the picture
        sounds = bool(phrase.sounds)
        seen = not phrase.unseen and not (phrase.only_heard and sounds)
        if not (seen or sounds) or len(source.head) < 2 or not source.head[0].isalpha():
            return None
        known = INFERRED if phrase.inferred else KNOWN
        return self._make(phrase, source, seen, UNKNOWN if source.kind == "unknown" else known)

    def _is_no_thing(self, phrase: Phrase) -> bool:
        """Tell whether a phrase is a game, a sound, a part, or the place of something else."""
        if id(phrase) in self.hearing.games or id(phrase) in self.hearing.parts:
            return True
        if phrase.role != "prep" or phrase.sounds or not self.lex.is_place(phrase.prep):
            return False
        own_part = phrase.owner_pronoun == "its" and phrase.kind not in PERSON_CLASSES
        return own_part or (phrase.definite and phrase.kind in _SETTING)

    def _default(self, phrase: Phrase) -> Thing | None:
        """ "He sings" with nobody named before: a man."""
        head = _DEFAULT_HEADS.get(phrase.pronoun or "")
        if head is None or not (phrase.sounds or not phrase.unseen):
            return None
        phrase.head = phrase.name = head
        phrase.kind = "person"
        phrase.count = None if phrase.is_plural else 1
        return self._make(phrase, phrase, not phrase.unseen, INFERRED)

    def _make(self, phrase: Phrase, source: Phrase, seen: bool, confidence: float) -> Thing:
        start, end = self.tokens[phrase.start].start, self.tokens[phrase.end - 1].end
        return Thing(
            char_start=start, char_end=end, surface=self.text[start:end], head=source.head,
            name=source.name, kind=source.kind, count=source.count, is_group=source.is_group,
            seen=seen, sounds=bool(phrase.sounds), verbs=frozenset(phrase.sounds),
            confidence=confidence,
        )  # fmt: skip


def _slot(pronoun: str) -> str:
    if pronoun in {"he", "him", "himself", "his"}:
        return "he"
    if pronoun in {"she", "her", "herself"}:
        return "she"
    if pronoun in {"they", "them", "themselves", "their", "both", "all", "some", "others"}:
        return "they"
    return "it" if pronoun in {"it", "itself", "its"} else ""


def read(text: str, lex: Lexicon, memory: Memory | None = None) -> Reading:
    """Return what a caption says to sound and to be seen; the memory is carried on in place.

    Args:
        text: the caption.
        lex: the words.
        memory: what the captions before it named, for pronouns; empty where none is given.
    """
    return _Reader(text, lex, memory or Memory({})).read()
