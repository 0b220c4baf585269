"""Decides which phrases of a caption sound, verb by verb.

Takes the verbs that `clauses.walk` bound; says on each phrase which sounds it makes. Whoever does a
sound verb sounds; what is played or struck sounds in the player's stead; what is silenced, denied
or only intended does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from earshot.tasks.analyse_captions.lexicon import (
    OBJECT_CLASSES,
    PERSON_CLASSES,
    SOUNDER_CLASSES,
    Lexicon,
)
from earshot.tasks.analyse_captions.phrases import Phrase, Verb
from earshot.tasks.analyse_captions.sight import Sight

CAN = {
    "voice": PERSON_CLASSES | SOUNDER_CLASSES | {"animal", "unknown", "pronoun", "sound"},
    # tyres squeal and hoses hiss as pigs and snakes do
    "animal": PERSON_CLASSES | SOUNDER_CLASSES | {"animal", "thing", "unknown", "pronoun"},
    "device": SOUNDER_CLASSES | PERSON_CLASSES | {"animal", "thing", "unknown", "pronoun"},
    "play": PERSON_CLASSES | SOUNDER_CLASSES | {"unknown", "pronoun", "sound", "animal"},
}
SELF_PLAYING = frozenset({"play", "perform", "practice", "jam", "strum", "drum"})
_MACHINE_VERBS = frozenset({"start", "idle", "operate", "run"})
_PLACED_ON = frozenset({"on", "upon", "at", "against", "over", "into"})
_AWAY = frozenset({"down", "over", "out", "off", "out of"})


class Hearing:
    """Fills `sounds` of the phrases of one caption; `target` gives what a pronoun stands for."""

    def __init__(self, lex: Lexicon, target: Callable[[Phrase], Phrase], sight: Sight) -> None:
        self.lex = lex
        self.target = target
        self.sight = sight
        self.audible = False
        self.games: set[int] = set()
        self.parts: set[int] = set()
        self.all_silent = False
        #: What is said to be silent while it moves: a rattle of its may be the movement.
        self.hushed: set[int] = set()

    def sound(self, phrase: Phrase, lemma: str, *, inferred: bool = False) -> None:
        """Say that a phrase sounds."""
        if phrase.negated:
            return
        self.audible = True
        target = self.target(phrase)
        target.sounds.add(lemma)
        target.inferred |= inferred
        phrase.sounds.add(lemma)

    def sound_all(
        self, phrases: Iterable[Phrase], lemma: str, kinds: frozenset[str] | None
    ) -> None:
        """Say that those phrases sound that are of the given kinds; None means any."""
        for phrase in phrases:
            if kinds is None or phrase.kind in kinds:
                self.sound(phrase, lemma)
            elif phrase.kind in {"abstract", "place", "scenery", "body"} and not phrase.negated:
                # "wind howls", "the floor creaks"; but a title that "says" something is silent
                self.audible |= kinds is not CAN["voice"]

    def hush(self, phrases: Iterable[Phrase], *, throughout: bool = False) -> None:
        """Say that phrases are silent; throughout: whatever else they do in the caption."""
        for phrase in phrases:
            target = self.target(phrase)
            target.quiet = True
            if throughout:
                self.hushed |= {id(phrase), id(target)}

    def settle(self, phrases: Iterable[Phrase]) -> None:
        """Take back the noise of what is said to be silent: "it rattles but stays silent"."""
        for phrase in phrases:
            if self.all_silent:
                phrase.sounds.clear()
            elif id(phrase) in self.hushed:
                phrase.sounds -= {s for s in phrase.sounds if self.lex.group_of(s) in _MOVING}
        self.audible &= not self.all_silent

    def pass_by(self, verbs: Iterable[Verb]) -> None:
        """Let motors be heard that drive past where the caption tells of sounds already.

        "A man talks as a helicopter flies by": UnAV-100 has such events ("car passing by"); in a
        caption without any sound a passing car is only seen.
        """
        if not self.audible:
            return
        for verb in verbs:
            plain = not (verb.objects or verb.passive or verb.negated or verb.unreal)
            if plain and verb.lemma in self.lex.words["motor_moves"]:
                for subject in verb.subjects:
                    motor = subject.kind in {"vehicle", "machine"}
                    if motor and not subject.quiet and subject.head not in self.lex.words["silent"]:
                        self.sound(subject, verb.lemma, inferred=not subject.sounds)

    def listen(self, verb: Verb) -> None:
        """Say who sounds by one verb."""
        silent = self._is_silent(verb)
        self.all_silent |= self._is_silence(verb, silent=silent)
        if verb.negated or verb.unreal or silent:
            moves = self.lex.group_of(verb.lemma) in _MOVING
            stays = silent and (moves or verb.lemma in self.lex.words["stay"])
            self.hush(verb.subjects, throughout=stays)
            if verb.negated or verb.unreal or self.lex.group_of(verb.lemma) in _MOVING:
                return
        lemma, words = verb.lemma, self.lex.words
        if "audible" in verb.adjectives:
            self.sound_all(verb.subjects, "sound", None)
        if lemma in words["hear"]:
            self._heard(verb)
        elif lemma in words["show_sound"]:
            self._made(verb)
        elif lemma in words["come"]:
            self._comes_from(verb)
        elif lemma in words["lasting"] and not verb.objects:
            lasting = frozenset({"instrument", "sound"})
            self.sound_all([s for s in verb.subjects if s.kind in lasting], lemma, lasting)
        elif lemma == "follow" and verb.passive and self.audible:
            # one sound after another: "a bark followed by a door opening"
            kinds = SOUNDER_CLASSES | {"thing"}
            self.sound_all((p for p in prepared(verb, {"by"}) if p.kind in kinds), lemma, kinds)
        elif not verb.passive and lemma not in words["still"]:
            # whatever an engine does, it does aloud
            self.sound_all((s for s in verb.subjects if s.head in words["engines"]), lemma, None)
        self._by_group(verb)

    def _by_group(self, verb: Verb) -> None:
        group = self.lex.group_of(verb.lemma)
        if group in {"voice", "animal"}:
            # "the singer is cheered by the crowd": who does it sounds, not whom it is done to
            doers = prepared(verb, {"by"}) if verb.passive else verb.subjects
            self.sound_all(doers, verb.lemma, CAN[group])
        elif group == "device":
            self._device(verb)
        elif group == "play":
            self._played(verb)
        elif any(word in self.lex.words["loud_words"] for word in verb.adjectives):
            self.sound_all(verb.subjects, verb.lemma, CAN["device"])

    def _is_silence(self, verb: Verb, *, silent: bool) -> bool:
        """Tell whether a verb says of everything that it is silent: "nothing is heard"."""
        nothing = any(s.head == "nothing" or s.pronoun == "nothing" for s in verb.subjects)
        if verb.passive and verb.lemma in self.lex.words["hear"]:
            return nothing and not verb.negated
        scene = any(s.head in self.lex.words["scene_nouns"] for s in verb.subjects)
        return silent and scene and verb.lemma == "be" and not verb.negated

    def _is_silent(self, verb: Verb) -> bool:
        words = self.lex.words["silent_words"]
        if any(word in words or word == "quiet" for word in verb.adjectives):
            return True
        return any(
            (phrase.head in {"silence", "quiet"} and phrase.prep == "in")
            or (phrase.kind == "sound" and "without" in phrase.prep)
            for phrase in verb.preps
        )

    def _heard(self, verb: Verb) -> None:
        """ "A dog is heard", "we hear a dog", "listens to it": said to be heard, not seen."""
        heard = verb.subjects if verb.passive else [*verb.objects, *prepared(verb, {"to"})]
        for phrase in heard:
            if phrase.kind in CAN["device"] | {"sound", "abstract"}:
                self.sound(phrase, "sound")
                if not phrase.definite and phrase.pronoun is None:
                    phrase.only_heard = not (verb.also_seen or self.sight.has_looks(phrase))

    def _made(self, verb: Verb) -> None:
        """ "The engine makes a loud noise"."""
        for phrase in (each for each in verb.objects if each.kind == "sound"):
            if phrase.negated:
                self.hush(verb.subjects, throughout=True)
                continue
            for subject in verb.subjects:
                if subject.kind in OBJECT_CLASSES | {"pronoun"}:
                    self.sound(subject, phrase.head)
                    phrase.owner = phrase.owner or subject

    def _comes_from(self, verb: Verb) -> None:
        if any(subject.kind == "sound" for subject in verb.subjects):
            self.sound_all(prepared(verb, {"from", "out of"}), "sound", OBJECT_CLASSES)

    def _device(self, verb: Verb) -> None:
        """What is rung, banged or honked sounds, not who does it; alone, the subject sounds."""
        if verb.lemma == "knock" and (verb.objects or prepared(verb, _AWAY)):
            return  # knocking something over is a push, not a sound
        done_to = SOUNDER_CLASSES | {"thing", "unknown", "animal"}
        tools = [p for p in prepared(verb, {"with"}) if p.kind in SOUNDER_CLASSES]
        if verb.passive:
            struck = [*verb.subjects, *tools]
        else:
            by_person = any(subject.kind in PERSON_CLASSES for subject in verb.subjects)
            on = [p for p in prepared(verb, _PLACED_ON) if by_person]
            struck = [*(verb.objects or on), *tools]
        struck = [phrase for phrase in struck if phrase.kind in done_to]
        if struck:
            self._struck(verb, struck, done_to)
        else:
            self.sound_all(verb.subjects, verb.lemma, CAN["device"] | {"sound"})

    def _struck(self, verb: Verb, struck: list[Phrase], kinds: frozenset[str]) -> None:
        """Let what is struck sound; of "a car honks its horn" the car does, for that is a part."""
        for phrase in struck:
            whole = [s for s in verb.subjects if s.kind not in PERSON_CLASSES]
            if phrase.owner_pronoun == "its" and whole:
                self.parts.add(id(phrase))
                self.sound_all(whole, verb.lemma, CAN["device"])
            else:
                self.sound_all([phrase], verb.lemma, kinds)

    def _played(self, verb: Verb) -> None:
        """What is played sounds; players sound where nothing but music, or nothing, is named."""
        machine = verb.lemma in _MACHINE_VERBS
        kinds = frozenset({"machine"}) if machine else frozenset({"instrument", "device"})
        around = prepared(verb, _PLACED_ON | {"with", "through"})
        objects = verb.subjects if verb.passive else [*verb.objects, *around]
        struck = [phrase for phrase in objects if phrase.kind in kinds]
        if struck:
            self._struck(verb, struck, kinds)
        elif verb.passive or machine:
            idle = [s for s in verb.subjects if s.kind in {"machine", "vehicle"}]
            kinds = SOUNDER_CLASSES if verb.lemma == "idle" else frozenset({"machine"})
            if not verb.objects:
                self.sound_all(idle, verb.lemma, kinds)
        else:
            self._plays(verb)

    def _plays(self, verb: Verb) -> None:
        """ "The band plays a song", "a drum beats", "she strums": nothing struck is named."""
        music = [p for p in verb.objects if p.head in self.lex.words["music_words"]]
        by_itself = {"musician", "instrument", "device", "sound"}
        if verb.lemma not in SELF_PLAYING:
            by_itself = {"instrument"}  # "a drum beats", but "a musician taps"
        alone = not verb.objects and any(self.target(s).kind in by_itself for s in verb.subjects)
        playing = verb.lemma in SELF_PLAYING and bool(music)
        if alone or playing or verb.lemma in {"drum", "strum", "jam"}:
            self.sound_all(verb.subjects, verb.lemma, CAN["play"])
        if verb.lemma == "play":
            self.games |= {id(p) for p in verb.objects if p.is_bare and p.kind == "thing"}


#: Groups of verbs that may be a movement as well as its noise.
_MOVING = frozenset({"device", "play"})


def prepared(verb: Verb, preps: set[str] | frozenset[str]) -> list[Phrase]:
    """Return the phrases that a verb has behind one of the prepositions."""
    return [phrase for phrase in verb.preps if phrase.prep in preps]
