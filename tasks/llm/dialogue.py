"""A request with its repairs, walked through the request cache: answered, failed, or what to send.

Takes a request, a reader of answers, and the cache; sends nothing. Live and batch mode both ask
here what is missing, so one path leads to every answer, and a rerun walks it with no call at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from earshot.store.requests import Kept
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.reply import NoTextError, json_in, shorten, text_of

T = TypeVar("T")
Get = Callable[[str], Kept | None]
REPAIRS = 2
"""How often a model is shown what is wrong with its answer."""


class BrokenRuleError(Exception):
    """An answer that breaks a rule; the message is what the model is told."""


@dataclass(frozen=True)
class Spent:
    """What a dialogue came to so far; `cost_usd` is None where a price is not known."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True)
class Answered(Generic[T]):
    """The value that was read, and the key of the answer that it was read from."""

    value: T
    key: str
    spent: Spent


@dataclass(frozen=True)
class Failed:
    """No answer can be used; `raw` is the last one as it came."""

    code: str
    message: str
    raw: str
    key: str
    spent: Spent


@dataclass(frozen=True)
class Missing:
    """The request that has to be sent before this goes on, and its key."""

    ask: Ask
    key: str


def walk(
    first: Ask, read: Callable[[str], T], get: Get, attempt: int = 1
) -> Answered[T] | Failed | Missing:
    """Go through a dialogue as far as the cache goes.

    Args:
        first: the request.
        read: makes a value of the JSON text of an answer, or raises `BrokenRuleError`.
        get: gives the answer to a request by its key, or None: the request cache's.
        attempt: which try this is for whoever asks, from 1: on the second everything that failed
            on the first is asked once more, in a dialogue of its own.
    """
    spent = Spent()
    for number in range(1, attempt + 1):
        said = _walk_once(first, read, get, number, spent)
        if not isinstance(said, Failed):
            return said
        spent = said.spent
    return said


def _walk_once(
    first: Ask, read: Callable[[str], T], get: Get, number: int, spent: Spent
) -> Answered[T] | Failed | Missing:
    ask, problem, raw, key = first, "", "", ""
    for _ in range(1 + REPAIRS):
        key = ask.digest if number == 1 else f"{ask.digest}.{number}"
        kept = get(key)
        if kept is None:
            return Missing(ask, key)
        raw = kept.body
        spent = _plus(spent, kept)
        try:
            text = text_of(kept)
        except NoTextError as error:
            return Failed(error.code, str(error), raw, key, spent)
        try:
            return Answered(read(json_in(text)), key, spent)
        except (BrokenRuleError, ValueError) as error:
            problem = shorten(str(error))
            ask = ask.repaired(text, str(error))
    return Failed("bad_answer", f"after {REPAIRS} repairs: {problem}", raw, key, spent)


def _plus(spent: Spent, kept: Kept) -> Spent:
    tokens = kept.usage.input + kept.usage.output if kept.usage else 0
    known = spent.cost_usd is not None and kept.cost_usd is not None
    cost = (spent.cost_usd or 0.0) + (kept.cost_usd or 0.0) if known else None
    return Spent(spent.calls + 1, spent.tokens + tokens, cost)
