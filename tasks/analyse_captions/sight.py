"""Decides what a caption says to be out of sight.

Takes the verbs and phrases of one caption; marks the phrases that are not seen. What goes out of
sight for a while has been seen, and so has what is described by its looks.
"""

from __future__ import annotations

from collections.abc import Callable

from earshot.tasks.analyse_captions.lexicon import Lexicon
from earshot.tasks.analyse_captions.phrases import Phrase, Verb


class Sight:
    """Marks `unseen` on the phrases of one caption; `target` gives what a pronoun stands for."""

    def __init__(self, lex: Lexicon, target: Callable[[Phrase], Phrase]) -> None:
        self.lex = lex
        self.target = target

    def by_verb(self, verb: Verb) -> None:
        """Mark the subjects that a verb says to be out of sight."""
        hidden = self.lex.words["offscreen_words"]
        unseen = any(word in hidden for word in verb.adjectives)
        if verb.lemma in {"see", "show"} and verb.passive and verb.negated:
            unseen = True
        passing = any(phrase.prep == "for" and self.is_time(phrase) for phrase in verb.preps)
        if not passing:
            unseen |= "hidden" in verb.adjectives and not verb.negated
            unseen |= "visible" in verb.adjectives and verb.negated
            unseen |= self._off(verb)
        if unseen:
            for subject in verb.subjects:
                subject.unseen = self.target(subject).unseen = True

    def _off(self, verb: Verb) -> bool:
        """Tell whether the verb is done off the screen; a noun beside it may be what is there."""
        found = False
        view = [phrase for phrase in verb.preps if self.is_off(phrase)]
        for phrase in view:
            host = phrase.host
            if host is not None and host not in view and not host.role:
                host.unseen = True
            else:
                found = True
        return found

    def is_time(self, phrase: Phrase) -> bool:
        """Tell whether a phrase names a time: "a moment", "four times"."""
        return phrase.head in self.lex.words["time_nouns"]

    def is_off(self, phrase: Phrase) -> bool:
        """Tell whether a phrase means a place outside the picture: "off camera", "out of view"."""
        if phrase.head not in self.lex.words["view_nouns"]:
            return False
        return bool(set(phrase.prep.split()) & {"off", "out", "outside", "behind"})

    def by_words(self, phrase: Phrase, *, alone: bool) -> None:
        """Mark a phrase by its adjectives, or its host where it is a place out of the picture.

        Args:
            phrase: any phrase of the caption.
            alone: whether the caption has no verb.
        """
        phrase.unseen |= bool(phrase.adjectives & self.lex.words["offscreen_words"])
        if self.is_off(phrase) and phrase.host is not None and alone:
            phrase.host.unseen = True

    def has_looks(self, phrase: Phrase) -> bool:
        """Tell whether a phrase says how a thing looks: somebody has seen the red one."""
        return bool(phrase.adjectives & self.lex.words["looks"])
