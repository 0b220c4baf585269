"""Gathers labelled sentences: from a file of hand labels, and from the sample world's scripts.

Takes a JSON Lines file, or a number of videos and a seed; gives sentences with the things that they
name. The labels are for measuring: no analyser is ever given them.

One line of the file (others of its keys are passed over):
{"source": "activitynet", "text": "A dog barks.", "objects": [{"char_start": 2, "char_end": 5,
 "head": "dog", "audible": "yes", "visible": "yes"}]}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from earshot.errors import InputError
from earshot.media.sample.captions import Writer, Written
from earshot.media.sample.scenarios import make_script
from earshot.media.sample.script import Script

SAMPLE_WORLD = "sample world"


@dataclass(frozen=True)
class Labelled:
    """A thing that a sentence names: its head noun, and what is said of it (None: unclear)."""

    head: str
    heard: bool | None
    seen: bool | None


@dataclass(frozen=True)
class Sentence:
    """A sentence, where it comes from, and every thing that it names."""

    source: str
    text: str
    objects: tuple[Labelled, ...]


_Said = Literal["yes", "no", "unclear"]


class _ObjectLine(BaseModel):
    model_config = ConfigDict(extra="ignore")
    head: str
    audible: _Said
    visible: _Said


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")
    source: str
    text: str
    objects: tuple[_ObjectLine, ...]


def read_sentences(path: Path) -> list[Sentence]:
    """Return the sentences of a file of hand labels, in its order.

    Raises:
        InputError: if the file is not there, or a line is not of the layout above.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(
            f"--data {str(path)!r} can't be read ({error.strerror}): expected a file of labelled "
            "sentences; check the path"
        ) from error
    return [_sentence(path, n, line) for n, line in enumerate(lines, start=1) if line.strip()]


def _sentence(path: Path, number: int, line: str) -> Sentence:
    try:
        row = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise InputError(
            f"{path}, line {number}, {where}: {first['msg']}; expected source, text and objects "
            "with head, audible and visible (yes, no or unclear); mend the line"
        ) from error
    objects = (Labelled(o.head, _said(o.audible), _said(o.visible)) for o in row.objects)
    return Sentence(row.source, row.text, tuple(objects))


def _said(word: _Said) -> bool | None:
    return None if word == "unclear" else word == "yes"


def sample_sentences(videos: int, seed: int) -> list[Sentence]:
    """Return the captions of a sample world with what is true of each, without its videos.

    The captions are those that `write_sample_world` puts into the manifest: they depend on
    (seed, index) alone. A thing is heard if one of its sounds falls into the caption's time.

    Args:
        videos: how many, at least 1.
        seed: >= 0; another seed, another world.
    """
    found = []
    for index in range(videos):
        script = make_script(seed, index)
        # the generator that the sample world keeps for words
        written = Writer(script, np.random.default_rng([seed, index, 4])).captions()
        found += [_from_script(script, each) for each in written]
    return found


def _from_script(script: Script, written: Written) -> Sentence:
    objects = []
    for naming in written.namings:
        actor = script.scene.actors[naming.actor]
        surface = written.text[naming.char_start : naming.char_end]
        heard = any(s < written.end_s and written.start_s < e for s, e in actor.stretches)
        objects.append(Labelled(surface.lower().split()[-1], heard, actor.is_seen))
    return Sentence(SAMPLE_WORLD, written.text, tuple(objects))
