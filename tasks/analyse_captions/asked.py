"""What a model is asked about one caption: the instructions, then the data, the caption last.

Takes a caption, the given events that it speaks of and the categories; gives the request. Equal
beginnings come first, so that endpoints can cache them.
"""

from __future__ import annotations

from collections.abc import Sequence

from earshot.geometry import intervals
from earshot.names import norm
from earshot.prompts.texts import PromptText, read_prompt
from earshot.schemas.base import digest_of, to_pairs
from earshot.schemas.caption import Caption
from earshot.schemas.config import LlmConfig
from earshot.schemas.event import Event
from earshot.tasks.analyse_captions.answer import FORM
from earshot.tasks.llm.ask import Ask

STEP = "analyse"
#: Part of the stage's key: raise it when answers are read in another way. It costs no request.
VERSION = "2"


def prompt() -> PromptText:
    """Return the instructions."""
    return read_prompt("analyse_captions")


def key_digest() -> str:
    """Return the digest of what decides how a caption is asked about and its answer read."""
    return digest_of([VERSION, prompt().digest, FORM.digest])


def ask_about(
    caption: Caption, given: Sequence[Event], categories: Sequence[str], llm: LlmConfig
) -> Ask:
    """Return the request about a caption.

    Args:
        caption: its text goes in unchanged.
        given: the events that the caption speaks of, numbered from 1 in this order.
        categories: labels to choose from; empty: any.
        llm: the model.
    """
    lines = (
        f"Categories: {'; '.join(categories) or 'any'}",
        f"Events: {'; '.join(_event(n, e) for n, e in enumerate(given, 1)) or 'none given'}",
        f"Time of the caption: {_s(caption.start_s)} to {_s(caption.end_s)} s",
        f"Caption: {caption.text}",
    )
    messages = (
        {"role": "system", "content": prompt().text},
        {"role": "user", "content": "\n".join(lines)},
    )
    return Ask.make(STEP, llm, messages, FORM)


def events_of(caption: Caption, given: Sequence[Event]) -> list[Event]:
    """Return the given events that a caption speaks of: its own, or those that it overlaps.

    A label speaks of its own event only.
    """
    return [event for event in given if _speaks_of(caption, event)]


def _speaks_of(caption: Caption, event: Event) -> bool:
    if caption.caption_id in event.caption_ids:
        return True
    if caption.caption_source == "label":
        return not event.caption_ids and norm(caption.text) == norm(event.label or "")
    return bool(intervals.intersect(to_pairs(event.segments), [caption.interval.pair]))


def _event(number: int, event: Event) -> str:
    times = " and ".join(f"{_s(s.start_s)} to {_s(s.end_s)} s" for s in event.segments)
    name = " ".join((event.label or event.description).split())
    return f'{number}: "{name}", {times}'


def _s(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
