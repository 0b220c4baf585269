"""Adds up what gates, baselines, plots and card need of all questions, whatever their number.

Takes facts one after the other; keeps counts, sums and a few bytes a question, and whole rows only
of what is at fault.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Self

import numpy as np
import numpy.typing as npt

from earshot.schemas.config import GateName
from earshot.schemas.question import Task
from earshot.tasks.constant_interval import Search, Timed
from earshot.tasks.publish_release.facts import Fact

Counts = npt.NDArray[np.float64]

TENTHS_OF_A_PLOT = 20
"""Plots show shares of video and frame in this many bins."""

_AT_ONCE = 4096


class Tally:
    """What all questions come to.

    Attributes:
        questions: number of all.
        counts: questions by (split, task).
        fine: those of them that no gate refuses for their row alone.
        faults: (question id, gate, what is wrong) of every row at fault.
        searches: the best constant interval of train, by task.
        tests: the right intervals of test, by task.
        timed: questions with an interval; `shares`: by split, how long their answers are, binned.
        intervals: of all right answers; `places`: start by length, binned.
        boxes: of all right answers; `centres`: x by y, binned.
    """

    def __init__(self) -> None:
        self.questions = 0
        self.counts: Counter[tuple[str, Task]] = Counter()
        self.fine: Counter[tuple[str, Task]] = Counter()
        self.faults: list[tuple[str, GateName, str]] = []
        self.searches: dict[Task, Search] = {}
        self.tests: dict[Task, Timed] = {}
        self.shares: dict[str, Counts] = {}
        self.timed = self.intervals = self.boxes = 0
        self.places = np.zeros((TENTHS_OF_A_PLOT, TENTHS_OF_A_PLOT))
        self.centres = np.zeros((TENTHS_OF_A_PLOT, TENTHS_OF_A_PLOT))
        self._ids, self._texts = array("Q"), array("Q")
        self._waiting: list[Fact] = []

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> Self:
        """Return what some facts come to."""
        tally = cls()
        for fact in facts:
            tally._add(fact)
        tally._bin()
        return tally

    @property
    def at_fault(self) -> set[str]:
        """Ids of the questions that a gate refuses for their row alone."""
        return {question_id for question_id, _, _ in self.faults}

    def may_stand_twice(self) -> set[int]:
        """Return the hashes of question ids that more than one row has."""
        return _repeated(self._ids)

    def may_ask_the_same(self) -> set[int]:
        """Return the hashes of (video, words) that more than one row has."""
        return _repeated(self._texts)

    def _add(self, fact: Fact) -> None:
        self.questions += 1
        self.counts[fact.split, fact.task] += 1
        self._ids.append(hash_of(fact.question_id))
        self._texts.append(hash_of(*words_of(fact.video_id, fact.question)))
        self.faults += [(fact.question_id, gate, text) for gate, text in fact.faults]
        if not fact.faults:
            self.fine[fact.split, fact.task] += 1
            if fact.intervals and fact.split == "train":
                search = self.searches.setdefault(fact.task, Search())
                search.add(fact.duration_s, fact.intervals)
            elif fact.intervals and fact.split == "test":
                timed = self.tests.setdefault(fact.task, Timed())
                timed.add(fact.duration_s, fact.intervals)
        self._waiting.append(fact)
        if len(self._waiting) == _AT_ONCE:
            self._bin()

    def _bin(self) -> None:
        """Put the numbers that plots show into their bins, many at a time."""
        facts, self._waiting = self._waiting, []
        timed = [fact for fact in facts if fact.intervals]
        self.timed += len(timed)
        for split in {fact.split for fact in timed}:
            shares = [_share(fact) for fact in timed if fact.split == split]
            counts, _ = np.histogram(shares, bins=np.linspace(0, 1, TENTHS_OF_A_PLOT + 1))
            self.shares[split] = self.shares.get(split, np.zeros(TENTHS_OF_A_PLOT)) + counts
        pairs = [(s / f.duration_s, (e - s) / f.duration_s) for f in timed for s, e in f.intervals]
        self.intervals += len(pairs)
        if pairs:
            self.places += _binned(np.clip(np.array(pairs), 0, 1))
        centres = np.concatenate([np.empty((0, 2)), *(fact.centres for fact in facts)])
        self.boxes += len(centres)
        self.centres += _binned(centres)


def words_of(video_id: str, question: str) -> tuple[str, str]:
    """Return what tells a question of a video from another: its words, however they are spaced."""
    return video_id, " ".join(question.split())


def hash_of(*texts: str) -> int:
    """Return 64 bits of a hash; equal ones are looked at again."""
    return int.from_bytes(blake2b("\0".join(texts).encode(), digest_size=8).digest())


def _repeated(hashes: array[int]) -> set[int]:
    values = np.sort(np.frombuffer(hashes, np.uint64))
    return set(values[1:][values[1:] == values[:-1]].tolist())


def _share(fact: Fact) -> float:
    return min(1.0, sum(end - start for start, end in fact.intervals) / fact.duration_s)


def _binned(pairs: npt.NDArray[np.floating]) -> Counts:
    bounds = [[0, 1], [0, 1]]
    found = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=TENTHS_OF_A_PLOT, range=bounds)
    counts: Counts = found[0]
    return counts
