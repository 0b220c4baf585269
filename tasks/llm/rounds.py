"""Settles groups of dialogues: from the cache, with the Batch API, or live.

Takes what a step wants to know of each of its videos; gives what became of it as soon as all of a
video is known. One path for every step and mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from earshot.errors import ItemError
from earshot.schemas.config import LlmConfig
from earshot.store.requests import request_store
from earshot.store.stage import Estimate
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.batch import MAX_ROUNDS, Batches, Standing, has_open_batches
from earshot.tasks.llm.dialogue import Answered, Failed, Missing, Spent, walk
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.money import BudgetReachedError
from earshot.tasks.llm.reply import shorten
from earshot.tasks.llm.session import Session, open_session
from earshot.tasks.llm.trouble import Trouble

T = TypeVar("T")


class InBatchError(Exception):
    """The request is in a batch that is not over."""


@dataclass(frozen=True)
class Chat(Generic[T]):
    """One thing to ask: what it is about, the request, and how its answer is read."""

    about: str
    ask: Ask
    read: Callable[[str], T]


@dataclass(frozen=True)
class Group(Generic[T]):
    """All that is asked about one video; `attempt` counts the tries of it, from 1."""

    video_id: str
    chats: tuple[Chat[T], ...]
    attempt: int = 1


@dataclass(frozen=True)
class Settled(Generic[T]):
    """What became of a group: an answer for each chat in their order, or the trouble."""

    group: Group[T]
    answers: tuple[Answered[T], ...]
    trouble: Trouble | None
    tokens: int | None
    cost_usd: float | None


_One = Answered[T] | Failed | ItemError | BudgetReachedError | InBatchError


def settle(groups: Sequence[Group[T]], llm: LlmConfig, folder: Path) -> Iterator[Settled[T]]:
    """Yield what became of each group: those that the cache answers first.

    Args:
        groups: what is asked.
        llm: whom, and whether live or in batches.
        folder: of the request cache.

    Raises:
        EndpointError: if the endpoint refuses every request.
        WorkspaceError: when the disk fails.
    """
    store = request_store(folder)
    left: list[Group[T]] = []
    for group in groups:
        said = [walk(chat.ask, chat.read, store.get, group.attempt) for chat in group.chats]
        known = [each for each in said if not isinstance(each, Missing)]
        if len(known) == len(said):
            yield _conclude(group, known)
        else:
            left.append(group)
    if left:
        with open_session(llm, folder) as session:
            if llm.mode == "batch" or has_open_batches(folder):
                settled, left = _in_batches(session, left, folder)
                yield from settled
            yield from _live(session, left)


def estimate(groups: Sequence[Group[Any]], step: str, llm: LlmConfig, folder: Path) -> Estimate:
    """Return what the requests will cost that the cache does not answer."""
    store = request_store(folder)
    asks = {key: ask for key, ask in _missing(groups, folder).items() if not store.is_open(key)}
    return Estimator.of(store, step, llm).estimate(
        llm,
        len(asks),
        sum(ask.text_bytes for ask in asks.values()),
        sum(ask.pictures for ask in asks.values()),
    )


def _live(session: Session, groups: Sequence[Group[T]]) -> Iterator[Settled[T]]:
    futures: dict[Future[list[_One[T]]], Group[T]] = {
        session.submit(_all(session, group)): group for group in groups
    }
    for future in as_completed(futures):
        yield _conclude(futures[future], future.result())


async def _all(session: Session, group: Group[T]) -> list[_One[T]]:
    return list(await asyncio.gather(*(_one(session, chat, group.attempt) for chat in group.chats)))


async def _one(session: Session, chat: Chat[T], attempt: int) -> _One[T]:
    try:
        return await session.finish(chat.ask, chat.read, attempt)
    except (ItemError, BudgetReachedError) as error:
        return error


# Batches


def _in_batches(
    session: Session, groups: Sequence[Group[T]], folder: Path
) -> tuple[list[Settled[T]], list[Group[T]]]:
    """Return what batches settle or hold up, and what is to be asked live.

    In live mode batches that an earlier build sent are waited for all the same: their answers are
    paid.
    """
    batches = Batches(session, folder)
    session.submit(batches.collect(_missing(groups, folder))).result()
    may_create = session.llm.mode == "batch"
    rounds = MAX_ROUNDS * max(group.attempt for group in groups)
    missing = _missing(groups, folder)
    standing = session.submit(batches.send(missing, rounds, may_create=may_create)).result()
    settled, live = [], []
    for group in groups:
        said: list[_One[T] | None] = [
            _standing(walk(chat.ask, chat.read, session.store.get, group.attempt), standing)
            for chat in group.chats
        ]
        if all(each is not None for each in said) or any(
            isinstance(each, InBatchError) for each in said
        ):
            later = InBatchError("it is asked when the video's batch is over")
            settled.append(_conclude(group, [each or later for each in said]))
        else:
            live.append(group)
    return settled, live


def _missing(groups: Sequence[Group[Any]], folder: Path) -> dict[str, Ask]:
    store = request_store(folder)
    found = {}
    for group in groups:
        for chat in group.chats:
            said = walk(chat.ask, chat.read, store.get, group.attempt)
            if isinstance(said, Missing):
                found[said.key] = said.ask
    return found


def _standing(said: Answered[T] | Failed | Missing, standing: Standing) -> _One[T] | None:
    """Return what became of a request, with batches; None: it is in none of them."""
    if not isinstance(said, Missing):
        return said
    if said.key in standing.waiting:
        return InBatchError(f"it is in batch {standing.waiting[said.key]}; build again later")
    if said.key in standing.unpaid:
        return BudgetReachedError(standing.unpaid[said.key])
    if said.key in standing.given_up:
        return ItemError("no_reply", standing.given_up[said.key])
    return None


# Conclusions


def _conclude(group: Group[T], said: Sequence[_One[T]]) -> Settled[T]:
    spent = [each.spent for each in said if isinstance(each, Answered | Failed)]
    answers = tuple(each for each in said if isinstance(each, Answered))
    return Settled(
        group,
        answers,
        _trouble(group, said),
        sum(each.tokens for each in spent) if spent else None,
        _cost_usd(spent),
    )


def _cost_usd(spent: Sequence[Spent]) -> float | None:
    costs = [each.cost_usd for each in spent if each.cost_usd is not None]
    return sum(costs) if costs and len(costs) == len(spent) else None


def _trouble(group: Group[T], said: Sequence[_One[T]]) -> Trouble | None:
    faults: dict[str, tuple[str, str]] = {}
    value: str | None = None
    for chat, each in zip(group.chats, said, strict=True):
        if isinstance(each, BudgetReachedError):
            return Trouble("waiting", "budget", str(each))
        if isinstance(each, InBatchError):
            return Trouble("waiting", "for_batch", str(each))
        if isinstance(each, ItemError):
            faults[chat.about] = (each.code, str(each))
        elif isinstance(each, Failed):
            message = f"{each.message}; the raw answer has the key {each.key} in requests/"
            faults[chat.about] = (each.code, message)
            value = value or shorten(each.raw)
    if not faults:
        return None
    about, (code, message) = next(iter(faults.items()))
    return Trouble("quarantined", code, f"{about}: {message}", value, faults)
