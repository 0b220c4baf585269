"""Runs a caption analyser and the naive baseline over labelled sentences and scores both.

Takes sentences and an analyser; gives the scores of each source. Each sentence is a video of its
own with one event of no label, so that nothing but its words can tell what is heard in it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earshot.errors import EarshotError, InputError
from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.caption import Caption
from earshot.schemas.config import LlmConfig
from earshot.schemas.event import Event
from earshot.schemas.mention import Mention
from earshot.tasks.analyse_captions.lexicon import lexicon
from earshot.tasks.analyse_captions.protocol import (
    Analyser,
    Analysis,
    VideoCaptions,
)
from earshot.tasks.analyse_captions.rules import RulesAnalyser
from earshot.tasks.evaluate_captions.baseline import naive
from earshot.tasks.evaluate_captions.scores import Found, Scores, score
from earshot.tasks.evaluate_captions.sentences import Sentence
from earshot.tasks.extract_objects.merge import merge
from earshot.tasks.llm.trouble import Trouble

BASELINE = "baseline"
#: The labels are of nouns: a pronoun stands for a thing that another sentence names.
_PRONOUNS = frozenset(
    {"he", "she", "it", "they", "him", "her", "them", "one", "both", "all", "some", "others"}
    | {"himself", "herself", "itself", "themselves", "someone", "somebody", "everyone"}
)


@dataclass(frozen=True)
class Evaluation:
    """The scores of one backend by source, and how many sentences it read a second."""

    backend: str
    version: str
    scores: tuple[Scores, ...]
    sentences_per_s: float


def analyser_named(
    name: str, llm: LlmConfig | None = None, requests: Path | None = None
) -> Analyser:
    """Return the caption analyser of that name.

    Args:
        name: rules or openai.
        llm: for openai: which model, and how it is reached.
        requests: for openai: folder of the request cache, so that no sentence is paid twice.

    Raises:
        InputError: if there is none.
    """
    if name == "rules":
        return RulesAnalyser()
    if name != "openai":
        raise InputError(f"--backend {name!r}: expected rules or openai; choose one that there is")
    if llm is None or requests is None:
        raise InputError("--backend openai: expected --workspace, which keeps what was answered")
    from earshot.tasks.analyse_captions.llm import LlmAnalyser

    return LlmAnalyser(llm, requests)


def evaluate(sentences: Sequence[Sentence], analyser: Analyser) -> tuple[Evaluation, Evaluation]:
    """Return the scores of the analyser and those of the baseline, in this order.

    Raises:
        EarshotError: if the analyser can't read a sentence: a score without it would be another.
    """
    lex = lexicon()
    if isinstance(analyser, RulesAnalyser):
        list(_read(["A dog barks."], analyser))  # models are loaded before the clock runs
    start = time.perf_counter()
    read = _read([sentence.text for sentence in sentences], analyser)
    middle = time.perf_counter()
    guessed = [naive(sentence.text, lex) for sentence in sentences]
    end = time.perf_counter()
    return (
        _scored(analyser.name, analyser.version, sentences, read, middle - start),
        _scored(BASELINE, analyser.version, sentences, guessed, end - middle),
    )


def _scored(
    backend: str,
    version: str,
    sentences: Sequence[Sentence],
    found: Sequence[Sequence[Found]],
    seconds: float,
) -> Evaluation:
    rate = len(sentences) / seconds if seconds > 0 else 0.0
    return Evaluation(backend, version, tuple(score(sentences, found)), rate)


def _read(texts: Sequence[str], analyser: Analyser) -> list[list[Found]]:
    """Return what an analyser finds in each text and key-object extraction lets pass."""
    videos = [_video(number, text) for number, text in enumerate(texts)]
    found: dict[str, list[Found]] = {}
    faults: list[str] = []
    for analysed in analyser.analyse_all(videos, ()):
        if isinstance(analysed.said, Trouble):
            faults.append(analysed.said.message)
        else:
            video = videos[int(analysed.video_id)]
            found[analysed.video_id] = _passed(video, analysed.said)
    if faults:
        raise EarshotError(
            f"{len(faults)} of {len(texts)} sentences have no answer, the first: {faults[0]}; run "
            "again when that is mended: answers are kept"
        )
    return [found[video.video_id] for video in videos]


def _video(number: int, text: str) -> VideoCaptions:
    """Return a video of one caption and one event without a name: only words can tell."""
    name, time_s = str(number), Interval(start_s=0, end_s=1)
    caption = Caption(
        caption_id=ids.caption_id(name, 0), video_id=name, start_s=0, end_s=1,
        text=text, caption_source="given",
    )  # fmt: skip
    event = Event(
        event_id=ids.given_event_id(name, "all"), video_id=name, label=None,
        description=text, segments=(time_s,), time_source="given", caption_ids=(),
    )  # fmt: skip
    return VideoCaptions(name, (caption,), (event,))


def _passed(video: VideoCaptions, analysis: Analysis) -> list[Found]:
    refused = merge(analysis.mentions, video.captions, video.given_events).rejected
    gone = {each.mention.mention_id for each in refused}
    return [
        _found(mention)
        for mention in analysis.mentions
        if mention.mention_id not in gone and mention.surface.lower() not in _PRONOUNS
    ]


def _found(mention: Mention) -> Found:
    return Found(
        mention.head, mention.audibility != "visible_only", mention.audibility != "audible_only"
    )
