"""Measures the `rules` analyser on sentences that a person labelled, and its speed.

Run as `python benchmarks/rules_analyser.py caption_objects.jsonl [--misses]`. One line of the file:
{"id", "source", "text", "objects": [{"surface", "char_start", "char_end", "head", "count",
"audible": "yes|no|unclear", "visible", "sound"}]}. For measuring, never for tuning.

A labelled object is found if a mention overlaps its span and has its head (both made singular);
each mention finds one object at most, so a thing named twice counts once as wrong. `yes` is
measured against the rest: precision over all mentions that are said to sound, recall over all
objects labelled `yes`, accuracy over the objects that were found.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from earshot.tasks.analyse_captions.lexicon import lexicon
from earshot.tasks.analyse_captions.sounding import Thing, read

MIN_CAPTIONS_PER_S = 2_000


class Labelled(BaseModel):
    """A thing that the reader found in a sentence."""

    surface: str
    char_start: int
    char_end: int
    head: str
    audible: str


class Sentence(BaseModel):
    """A sentence with its things."""

    id: str
    source: str
    text: str
    objects: list[Labelled]


@dataclass
class Counts:
    """What adds up over sentences."""

    labelled: int = 0
    mentioned: int = 0
    found: int = 0
    agree: int = 0
    yes: int = 0
    said_yes: int = 0
    yes_found: int = 0

    def line(self, name: str) -> str:
        """Return the figures as one row of the table."""
        shares = (
            ratio(self.found, self.labelled),
            ratio(self.found, self.mentioned),
            ratio(self.agree, self.found),
            ratio(self.yes_found, self.said_yes),
            ratio(self.yes_found, self.yes),
        )
        cells = "".join(f"{share:>12.3f}" for share in shares)
        return f"{name:<14}{cells}   ({self.labelled} labelled, {self.mentioned} mentioned, " + (
            f"{self.yes} yes, {self.said_yes} said yes)"
        )


def ratio(part: int, whole: int) -> float:
    """Return part / whole, 0 where there is nothing."""
    return part / whole if whole else 0.0


def same(thing: Thing, label: Labelled) -> bool:
    """Tell whether a mention and a label overlap and have one head."""
    lex = lexicon()
    overlap = thing.char_start < label.char_end and label.char_start < thing.char_end
    heads = {lex.singular(label.head.lower()), lex.singular(label.head.lower().split()[-1])}
    return overlap and bool(heads & {thing.head, thing.name})


def count(sentence: Sentence, things: Iterable[Thing], counts: Counts, *, misses: bool) -> None:
    """Add one sentence to the counts; print what went wrong where asked for."""
    left = list(things)
    counts.mentioned += len(left)
    counts.said_yes += sum(thing.sounds for thing in left)
    for label in sentence.objects:
        counts.labelled += 1
        counts.yes += label.audible == "yes"
        thing = next((each for each in left if same(each, label)), None)
        if thing is not None:
            left.remove(thing)
            counts.found += 1
            counts.agree += thing.sounds == (label.audible == "yes")
            counts.yes_found += thing.sounds and label.audible == "yes"
        if misses and (thing is None or thing.sounds != (label.audible == "yes")):
            said = "missed" if thing is None else f"sounds={thing.sounds}"
            print(f"  {label.surface!r} audible={label.audible}: {said} | {sentence.text}")
    if misses and left:
        print(f"  not labelled: {[each.surface for each in left]} | {sentence.text}")


def captions_per_s(texts: list[str]) -> float:
    """Return how many captions one core reads in a second of CPU time, best of three."""
    lex = lexicon()
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        rounds = 0
        while time.process_time() - start < 0.5:
            for text in texts:
                read(text, lex)
            rounds += 1
        best = max(best, rounds * len(texts) / (time.process_time() - start))
    return best


def main() -> None:
    """Print the table and the speed; exit with 1 if the analyser is slower than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--misses", action="store_true")
    arguments = parser.parse_args()
    lines = arguments.file.read_text(encoding="utf-8").splitlines()
    sentences = [Sentence.model_validate_json(json_line) for json_line in lines if json_line]
    totals: dict[str, Counts] = {}
    for sentence in sentences:
        things = read(sentence.text, lexicon()).things
        count(
            sentence, things, totals.setdefault(sentence.source, Counts()), misses=arguments.misses
        )
        count(sentence, things, totals.setdefault("all", Counts()), misses=False)
    head = ("span recall", "span prec.", "audible acc", "yes prec.", "yes recall")
    print(f"{'':<14}" + "".join(f"{each:>12}" for each in head))
    for name in sorted(totals):
        print(totals[name].line(name))
    speed = captions_per_s([sentence.text for sentence in sentences])
    print(f"{speed:,.0f} captions/s on one core (goal: {MIN_CAPTIONS_PER_S:,})")
    raise SystemExit(speed < MIN_CAPTIONS_PER_S)


if __name__ == "__main__":
    main()
