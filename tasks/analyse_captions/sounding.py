"""Decides what a caption says to sound and to be seen.

Takes one caption's text; gives the things that it names, each with its place, its head and what is
said of it. Whoever does a sound verb sounds; what is played or struck sounds in the player's stead;
what is silenced, denied or only intended does not; what is off-screen is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.tasks.analyse_captions.clauses import Walk, walk
from earshot.tasks.analyse_captions.lexicon import (
    OBJECT_CLASSES,
    PERSON_CLASSES,
    SOUNDER_CLASSES,
    Lexicon,
)
from earshot.tasks.analyse_captions.phrases import Phrase, Verb, chunk
from earshot.tasks.analyse_captions.tagger import tag

KNOWN, INFERRED, UNKNOWN = 0.9, 0.6, 0.5
_CAN = {
    "voice": PERSON_CLASSES | {"animal", "unknown", "pronoun", "sound", "device"},
    "animal": PERSON_CLASSES | {"animal", "unknown", "pronoun", "machine", "vehicle"},
    "device": SOUNDER_CLASSES | PERSON_CLASSES | {"animal", "thing", "unknown", "pronoun"},
    "play": PERSON_CLASSES | SOUNDER_CLASSES | {"unknown", "pronoun", "sound", "animal"},
}
_SELF_PLAYING = frozenset({"play", "perform", "practice", "jam", "strum", "drum"})
_MACHINE_VERBS = frozenset({"start", "idle", "operate", "run"})
_PLACED_ON = frozenset({"on", "upon", "at", "against", "over", "into"})
_AWAY = frozenset({"down", "over", "out", "off", "out of"})
_DEFAULT_HEADS = {
    **dict.fromkeys(("he", "him", "himself"), "man"),
    **dict.fromkeys(("she", "her", "herself"), "woman"),
    **dict.fromkeys(("they", "them", "themselves", "someone", "somebody"), "person"),
}


@dataclass(frozen=True)
class Thing:
    """One naming of a thing in a caption; `verbs` are the sounds that it is said to make."""

    char_start: int
    char_end: int
    surface: str
    head: str
    name: str
    kind: str
    count: int | None
    is_group: bool
    seen: bool
    sounds: bool
    verbs: frozenset[str]
    confidence: float


@dataclass(frozen=True)
class Reading:
    """What a caption says: its things in order of place, and whether anything is heard at all."""

    things: tuple[Thing, ...]
    audible: bool


@dataclass
class Memory:
    """The last thing of each kind of pronoun, kept from caption to caption of one video."""

    last: dict[str, Phrase]


class _Reader:
    def __init__(self, text: str, lex: Lexicon, memory: Memory) -> None:
        self.text = text
        self.lex = lex
        self.memory = memory
        self.tokens = tag(text, lex)
        self.walk: Walk = walk(chunk(self.tokens, lex), lex)
        self.audible = False
        self.targets: dict[int, Phrase] = {}
        self.games: set[int] = set()
        self.extra: list[Thing] = []

    def read(self) -> Reading:
        self._resolve_pronouns()
        for verb in self.walk.verbs:
            self._look(verb)
            self._listen(verb)
        for phrase in self.walk.phrases:
            self._adjectives(phrase)
            if phrase.kind == "sound" and not phrase.negated:
                self._sound_noun(phrase)
        self._share_between_equals()
        things = [self._thing(phrase) for phrase in self.walk.phrases]
        found = sorted(
            [*(each for each in things if each is not None), *self.extra],
            key=lambda each: (each.char_start, each.char_end),
        )
        return Reading(tuple(found), self.audible or any(each.sounds for each in found))

    # -- pronouns

    def _resolve_pronouns(self) -> None:
        """Point each pronoun at the last thing that it may stand for, also of earlier captions."""
        for phrase in self.walk.phrases:
            if phrase.pronoun is not None:
                found = self.memory.last.get(_slot(phrase.pronoun))
                if found is not None:
                    self.targets[id(phrase)] = found
            elif not phrase.negated:
                if phrase.kind == "sound" and phrase.owner_pronoun is not None:
                    phrase.owner = self.memory.last.get(_slot(phrase.owner_pronoun))
                self._remember(phrase)

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

    # -- seeing

    def _look(self, verb: Verb) -> None:
        """Mark the subjects that are said to be out of sight."""
        hidden = self.lex.words["offscreen_words"]
        unseen = any(word in hidden for word in verb.adjectives)
        unseen |= "hidden" in verb.adjectives and not verb.negated
        unseen |= "visible" in verb.adjectives and verb.negated
        unseen |= verb.passive and verb.lemma in {"see", "show"} and verb.negated
        view = [p for p in verb.preps if self._is_off(p)]
        for phrase in view:
            if phrase.host is not None and phrase.host not in view and not phrase.host.role:
                phrase.host.unseen = True
            else:
                unseen = True
        if unseen:
            for subject in verb.subjects:
                subject.unseen = self._target(subject).unseen = True

    def _is_off(self, phrase: Phrase) -> bool:
        if phrase.head not in self.lex.words["view_nouns"]:
            return False
        words = set(phrase.prep.split())
        return bool(words & {"off", "out", "outside", "behind"})

    def _adjectives(self, phrase: Phrase) -> None:
        phrase.unseen |= bool(phrase.adjectives & self.lex.words["offscreen_words"])
        phrase.quiet |= bool(phrase.adjectives & self.lex.words["silent_words"])
        for word in phrase.adjectives:
            self._said_before_noun(phrase, word)
        if self._is_off(phrase) and phrase.host is not None and not self.walk.verbs:
            phrase.host.unseen = True

    def _said_before_noun(self, phrase: Phrase, word: str) -> None:
        """ "A barking dog", "a playing guitar": the participle says what the thing does."""
        for lemma, form in self.lex.verb_readings(word) if word.endswith("ing") else ():
            group = self.lex.group_of(lemma)
            played = lemma in _SELF_PLAYING and phrase.kind == "instrument"
            if form == "ing" and group is not None and (played or group != "play"):
                self._sound_all([phrase], lemma, _CAN[group])

    # -- hearing

    def _sound(self, phrase: Phrase, lemma: str, *, inferred: bool = False) -> None:
        """Say that a phrase sounds; what can't be an object is only heard."""
        if phrase.negated:
            return
        self.audible = True
        target = self._target(phrase)
        target.sounds.add(lemma)
        target.inferred |= inferred
        phrase.sounds.add(lemma)

    def _sound_all(self, phrases: list[Phrase], lemma: str, kinds: frozenset[str] | None) -> None:
        for phrase in phrases:
            if kinds is None or phrase.kind in kinds:
                self._sound(phrase, lemma)
            elif phrase.kind in {"abstract", "place", "body"} and not phrase.negated:
                # "wind howls", "the floor creaks"; but a title that "says" something is silent
                self.audible |= kinds is not _CAN["voice"]

    def _listen(self, verb: Verb) -> None:
        silent = any(word in self.lex.words["silent_words"] for word in verb.adjectives)
        silent |= "quiet" in verb.adjectives
        if verb.negated or verb.unreal or silent:
            for subject in verb.subjects:
                self._target(subject).quiet = True
            if verb.negated or verb.unreal:
                return
        lemma, words = verb.lemma, self.lex.words
        if "audible" in verb.adjectives:
            self._sound_all(verb.subjects, "sound", None)
        if lemma in words["hear"]:
            self._heard(verb)
        elif lemma in words["show_sound"]:
            self._made(verb)
        elif lemma in words["come"]:
            self._comes_from(verb)
        elif lemma in words["lasting"] and not verb.objects:
            lasting = frozenset({"instrument", "sound"})
            self._sound_all([s for s in verb.subjects if s.kind in lasting], lemma, lasting)
        group = self.lex.group_of(lemma)
        if group in {"voice", "animal"}:
            # "the singer is cheered by the crowd": who does it sounds, not whom it is done to
            doers = _prepared(verb, {"by"}) if verb.passive else verb.subjects
            self._sound_all(doers, lemma, _CAN[group])
        elif group == "device":
            self._device(verb)
        elif group == "play":
            self._played(verb)
        elif any(word in words["loud_words"] for word in verb.adjectives):
            self._sound_all(verb.subjects, lemma, _CAN["device"])

    def _heard(self, verb: Verb) -> None:
        """ "A dog is heard", "we hear a dog", "listens to it": said to be heard, not seen."""
        heard = verb.subjects if verb.passive else [*verb.objects, *_prepared(verb, {"to"})]
        for phrase in heard:
            if phrase.kind in _CAN["device"] | {"sound", "abstract"}:
                self._sound(phrase, "sound")
                if not phrase.definite and phrase.pronoun is None:
                    phrase.only_heard = True

    def _made(self, verb: Verb) -> None:
        """ "The engine makes a loud noise"."""
        sounds = [phrase for phrase in verb.objects if phrase.kind == "sound"]
        for phrase in sounds:
            for subject in verb.subjects:
                if phrase.negated:
                    self._target(subject).quiet = True
                elif subject.kind in OBJECT_CLASSES | {"pronoun"}:
                    self._sound(subject, phrase.head)
                    phrase.owner = phrase.owner or subject

    def _comes_from(self, verb: Verb) -> None:
        if any(subject.kind == "sound" for subject in verb.subjects):
            self._sound_all(_prepared(verb, {"from", "out of"}), "sound", OBJECT_CLASSES)

    def _device(self, verb: Verb) -> None:
        """What is rung, banged or honked sounds, not who does it; alone, the subject sounds."""
        if verb.lemma == "knock" and (verb.objects or _prepared(verb, _AWAY)):
            return  # knocking something over is a push, not a sound
        done_to = SOUNDER_CLASSES | {"thing", "unknown", "animal"}
        tools = [p for p in _prepared(verb, {"with"}) if p.kind in SOUNDER_CLASSES]
        if verb.passive:
            struck = [*verb.subjects, *tools]
        else:
            by_person = any(subject.kind in PERSON_CLASSES for subject in verb.subjects)
            on = [p for p in _prepared(verb, _PLACED_ON) if by_person]
            struck = [*(verb.objects or on), *tools]
        struck = [phrase for phrase in struck if phrase.kind in done_to]
        if struck:
            self._sound_all(struck, verb.lemma, done_to)
            self._owners_too(verb, struck)
        else:
            self._sound_all(verb.subjects, verb.lemma, _CAN["device"] | {"sound"})

    def _owners_too(self, verb: Verb, struck: list[Phrase]) -> None:
        """ "A car honks its horn": the car is heard too."""
        if any(phrase.owner_pronoun for phrase in struck):
            self._sound_all(verb.subjects, verb.lemma, SOUNDER_CLASSES)

    def _played(self, verb: Verb) -> None:
        """What is played sounds; players sound where nothing but music, or nothing, is named."""
        machine = verb.lemma in _MACHINE_VERBS
        kinds = frozenset({"machine"}) if machine else frozenset({"instrument", "device"})
        around = _prepared(verb, _PLACED_ON | {"with", "through"})
        objects = verb.subjects if verb.passive else [*verb.objects, *around]
        struck = [phrase for phrase in objects if phrase.kind in kinds]
        if struck:
            self._sound_all(struck, verb.lemma, kinds)
            self._owners_too(verb, struck)
            return
        if verb.passive or machine:
            idle = [s for s in verb.subjects if s.kind in {"machine", "vehicle"}]
            kinds = SOUNDER_CLASSES if verb.lemma == "idle" else frozenset({"machine"})
            if not verb.objects:
                self._sound_all(idle, verb.lemma, kinds)
            return
        music = [p for p in verb.objects if p.head in self.lex.words["music_words"]]
        by_itself = {"musician", "instrument", "device", "sound"}
        if verb.lemma in _SELF_PLAYING and (
            music
            or (not verb.objects and any(s.kind in by_itself for s in self._real(verb)))
            or verb.lemma in {"drum", "strum", "jam"}
        ):
            self._sound_all(verb.subjects, verb.lemma, _CAN["play"])
        if verb.lemma == "play":
            self.games |= {id(p) for p in verb.objects if p.is_bare and p.kind == "thing"}

    def _real(self, verb: Verb) -> list[Phrase]:
        return [self._target(subject) for subject in verb.subjects]

    # -- sounds that are named

    def _sound_noun(self, phrase: Phrase) -> None:
        """Give a named sound ("barking", "engine noise", "the man's voice") to what makes it."""
        if "without" in phrase.prep:
            return
        self.audible = True
        children = [p for p in self.walk.phrases if p.host is phrase and p.prep in {"of", "from"}]
        makers = [p for p in children if p.kind in OBJECT_CLASSES and not p.negated]
        if phrase.owner is not None:
            makers = [phrase.owner]
        for maker in makers:
            self._sound(maker, phrase.head)
            maker.unseen |= phrase.unseen
            # "the sound of a dog is heard": nobody said that the dog is seen
            maker.only_heard |= "sound" in phrase.sounds and not maker.definite
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
            self._sound(fitting[-1], phrase.head, inferred=True)
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
        if source.kind not in OBJECT_CLASSES or phrase.negated or id(phrase) in self.games:
            return None
        if phrase.head == "camera" and (phrase.definite or phrase.is_bare):
            return None  # the viewpoint, not a thing in the picture
        sounds = bool(phrase.sounds)
        seen = not phrase.unseen and not (phrase.only_heard and sounds)
        if not (seen or sounds) or len(source.head) < 2 or not source.head[0].isalpha():
            return None
        known = INFERRED if phrase.inferred else KNOWN
        return self._make(phrase, source, seen, UNKNOWN if source.kind == "unknown" else known)

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


def _prepared(verb: Verb, preps: set[str] | frozenset[str]) -> list[Phrase]:
    return [phrase for phrase in verb.preps if phrase.prep in preps]


def read(text: str, lex: Lexicon, memory: Memory | None = None) -> Reading:
    """Return what a caption says to sound and to be seen; the memory is carried on in place.

    Args:
        text: the caption.
        lex: the words.
        memory: what the captions before it named, for pronouns; empty where none is given.
    """
    return _Reader(text, lex, memory or Memory({})).read()
