"""The naive reading that an analyser has to beat: nouns are objects, subjects of verbs are heard.

Takes a sentence; gives what it names. It has the same tagger, noun phrases and clauses as `rules`,
and none of its knowledge of sounds, places, clothes, silence or sight.
"""

from __future__ import annotations

from earshot.tasks.analyse_captions.clauses import walk
from earshot.tasks.analyse_captions.lexicon import Lexicon
from earshot.tasks.analyse_captions.phrases import chunk
from earshot.tasks.analyse_captions.tagger import tag
from earshot.tasks.evaluate_captions.scores import Found


def naive(text: str, lex: Lexicon) -> tuple[Found, ...]:
    """Return every noun of a text as an object; the subject of any verb is heard, all is seen.

    >>> from earshot.tasks.analyse_captions.lexicon import lexicon
    >>> [(found.head, found.heard) for found in naive("A dog sits on the grass.", lexicon())]
    [('dog', True), ('grass', False)]
    """
    sentence = walk(chunk(tag(text, lex), lex), lex)
    subjects = {id(subject) for verb in sentence.verbs for subject in verb.subjects}
    return tuple(
        Found(phrase.head, id(phrase) in subjects, seen=True)
        for phrase in sentence.phrases
        if phrase.pronoun is None
    )
