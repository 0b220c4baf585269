"""Counts how well the things found in sentences agree with the labelled ones.

Takes labelled and found things, sentence by sentence; gives counts and the rates made of them. In a
sentence a thing is its head noun: two dogs told apart by their colours are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from earshot.names import norm
from earshot.tasks.evaluate_captions.sentences import Labelled, Sentence


@dataclass(frozen=True)
class Found:
    """A thing that was found in a sentence: its head noun, whether it is heard and seen there."""

    head: str
    heard: bool
    seen: bool


@dataclass(frozen=True)
class Scores:
    """Counts over the sentences of one source; rates are None where nothing was to be counted.

    Attributes:
        matched, found, labelled: things by head.
        judged, judged_right: matched things whose label says heard or not heard, and those of
            them that were found so.
        heard_matched, heard_found, heard_labelled: the same as above for things that are heard;
            found ones whose label is unclear count nowhere.
        sight, sight_right: matched things whose label says seen or not, and those found so.
    """

    source: str
    sentences: int
    matched: int = 0
    found: int = 0
    labelled: int = 0
    judged: int = 0
    judged_right: int = 0
    heard_matched: int = 0
    heard_found: int = 0
    heard_labelled: int = 0
    sight: int = 0
    sight_right: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}

    @property
    def rates(self) -> dict[str, float | None]:
        """The rates in [0, 1] by name, in the order of the table."""
        return {
            "precision": _share(self.matched, self.found),
            "recall": _share(self.matched, self.labelled),
            "f1": _share(2 * self.matched, self.found + self.labelled),
            "audible_accuracy": _share(self.judged_right, self.judged),
            "audible_precision": _share(self.heard_matched, self.heard_found),
            "audible_recall": _share(self.heard_matched, self.heard_labelled),
            "audible_f1": _share(2 * self.heard_matched, self.heard_found + self.heard_labelled),
            "visible_accuracy": _share(self.sight_right, self.sight),
        }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def score(sentences: Sequence[Sentence], found: Sequence[Sequence[Found]]) -> list[Scores]:
    """Return the scores of each source, in the order in which the sources first appear.

    Args:
        sentences: labelled sentences.
        found: what was found in each, parallel to `sentences`.
    """
    sources = dict.fromkeys(sentence.source for sentence in sentences)
    pairs = list(zip(sentences, found, strict=True))
    return [
        _total(source, [pair for pair in pairs if pair[0].source == source]) for source in sources
    ]


def _total(source: str, pairs: Sequence[tuple[Sentence, Sequence[Found]]]) -> Scores:
    total = dict.fromkeys(_COUNTS, 0)
    for sentence, found in pairs:
        for name, number in _count(_labels(sentence.objects), _finds(found)).items():
            total[name] += number
    return Scores(source, len(pairs), **total)


_COUNTS = tuple(name for name in Scores.__dataclass_fields__ if name not in {"source", "sentences"})
_Said = dict[str, tuple[bool | None, bool | None]]


def _labels(objects: Iterable[Labelled]) -> _Said:
    """Return heard and seen by head: yes if said of any of that name, else unclear, else no."""
    said: _Said = {}
    for each in objects:
        heard, seen = said.get(norm(each.head), (False, False))
        said[norm(each.head)] = (_either(heard, each.heard), _either(seen, each.seen))
    return said


def _either(one: bool | None, other: bool | None) -> bool | None:
    if one or other:
        return True
    return None if None in {one, other} else False


def _finds(found: Iterable[Found]) -> dict[str, tuple[bool, bool]]:
    said: dict[str, tuple[bool, bool]] = {}
    for each in found:
        heard, seen = said.get(norm(each.head), (False, False))
        said[norm(each.head)] = (heard or each.heard, seen or each.seen)
    return said


def _count(labels: _Said, found: dict[str, tuple[bool, bool]]) -> dict[str, int]:
    both = labels.keys() & found.keys()
    judged = [head for head in both if labels[head][0] is not None]
    sight = [head for head in both if labels[head][1] is not None]
    heard = {head for head, (sounds, _) in found.items() if sounds}
    unclear = {head for head, (sounds, _) in labels.items() if sounds is None}
    labelled_heard = {head for head, (sounds, _) in labels.items() if sounds}
    return {
        "matched": len(both),
        "found": len(found),
        "labelled": len(labels),
        "judged": len(judged),
        "judged_right": sum(labels[head][0] == found[head][0] for head in judged),
        "heard_matched": len(heard & labelled_heard),
        "heard_found": len(heard - unclear),
        "heard_labelled": len(labelled_heard),
        "sight": len(sight),
        "sight_right": sum(labels[head][1] == found[head][1] for head in sight),
    }
