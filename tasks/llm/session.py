"""Keeps every answer of an endpoint before anyone reads it, and asks nothing twice.

One session a process for an endpoint and workspace, whoever asks: its connections, limits, budget
and requests in flight live in one event loop on a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from earshot.schemas.config import LlmConfig
from earshot.store.requests import Kept, RequestStore, request_store
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.dialect import (
    Dialect,
    first_dialect,
    known_dialect,
    remember_dialect,
)
from earshot.tasks.llm.dialogue import Answered, Failed, Missing, walk
from earshot.tasks.llm.endpoint import Endpoint, Raw, read_key
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.money import (
    BudgetReachedError,
    budget_message,
    check_budget,
    cost_usd,
    worst_usd,
)
from earshot.tasks.llm.reply import usage_of

T = TypeVar("T")


class Session:
    """An endpoint, open; use `open_session`.

    Attributes:
        store: the request cache.
        endpoint: who answers.
        batching: who makes batches holds it: two at once would reserve the same money.
    """

    def __init__(self, llm: LlmConfig, folder: Path) -> None:
        self.llm = llm
        self.store: RequestStore = request_store(folder)
        self._folder = folder
        self._dialect = known_dialect(folder, llm)
        self._asked: dict[str, asyncio.Task[Kept]] = {}
        self._in_flight = 0
        self._expected: dict[str, Estimator] = {}
        key = read_key(llm)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        self.submit(self._open(key)).result()

    async def _open(self, key: str) -> None:
        self.endpoint = Endpoint(self.llm, key)
        self._slots = asyncio.Semaphore(self.llm.in_flight)
        self._finding = asyncio.Lock()
        self._settled = asyncio.Event()
        self.batching = asyncio.Lock()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the session's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel what is in flight and close the connections."""
        with suppress(Exception):
            self.submit(self._shut()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _shut(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.endpoint.close()

    async def finish(
        self, first: Ask, read: Callable[[str], T], attempt: int = 1
    ) -> Answered[T] | Failed:
        """Walk through a dialogue, sending what the cache misses.

        Raises:
            ItemError: `no_reply`: the endpoint did not answer this request.
            BudgetReachedError: the next request could cost more than is left.
            EndpointError: the endpoint refuses every request.
        """
        come: dict[str, Kept] = {}

        def get(key: str) -> Kept | None:
            return come.get(key) or self.store.get(key)

        while isinstance(said := walk(first, read, get, attempt), Missing):
            come[said.key] = await self.complete(said.ask, said.key)
        return said

    async def complete(self, ask: Ask, key: str) -> Kept:
        """Return the answer to a request, from the cache or the endpoint; raises as `finish`."""
        kept = self.store.get(key)
        if kept is not None:
            return kept
        if key not in self._asked:
            task = self._asked[key] = asyncio.create_task(self._complete(ask, key))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    async def request(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Make a call that is no completion; see `Endpoint.request`."""
        return await self.endpoint.request(call, what)

    async def _complete(self, ask: Ask, key: str) -> Kept:
        async with self._slots:
            if self._dialect is None:
                async with self._finding:
                    if self._dialect is None:
                        is_fixed = self.llm.response_format != "auto"
                        first = first_dialect(self.llm)
                        return await self._ask_in(first, ask, key, is_fixed=is_fixed)
            return await self._ask_in(self._dialect, ask, key, is_fixed=True)

    async def _ask_in(self, dialect: Dialect, ask: Ask, key: str, *, is_fixed: bool) -> Kept:
        """Ask, giving way where the endpoint says no, and learn what it takes."""
        while True:
            raw = await self._send(ask, key, dialect)
            if raw.status == 200:
                self.learn_dialect(dialect)
                return self._keep(ask, key, raw)
            weaker = dialect.weaker(raw.body, is_fixed=is_fixed, has_sound=ask.has_sound)
            if weaker is None:
                return self._keep(ask, key, raw)
            self.store.fault(key, "dialect")
            dialect = weaker

    async def _send(self, ask: Ask, key: str, dialect: Dialect) -> Raw:
        attempt = _Noted(self, key, worst_usd(self.llm.price, ask, "live"))
        return await self.endpoint.complete(ask.body(dialect), self._expected_tokens(ask), attempt)

    def _keep(self, ask: Ask, key: str, raw: Raw) -> Kept:
        if raw.status != 200:
            return self.store.answer(
                key, raw.body, step=ask.step, model=ask.model, status=raw.status, cost_usd=0.0
            )
        usage = usage_of(raw.body)
        if usage is not None:
            self.endpoint.limits.used(usage.input + usage.output, self._expected_tokens(ask))
        price = self.llm.price
        cost = cost_usd(price, usage, "live")
        if cost is None and price is not None:  # it does not say what it used
            cost = worst_usd(price, ask, "live")
        return self.store.answer(
            key,
            raw.body,
            step=ask.step,
            model=ask.model,
            usage=usage,
            cost_usd=cost,
            sent_bytes=ask.text_bytes,
        )

    def _expected_tokens(self, ask: Ask) -> float:
        if ask.step not in self._expected:
            self._expected[ask.step] = Estimator.of(self.store, ask.step, self.llm)
        estimator = self._expected[ask.step]
        return estimator.input(ask.text_bytes, ask.pictures) + estimator.output

    @property
    def dialect(self) -> Dialect:
        """How the endpoint wants to be asked, as far as it is known."""
        return self._dialect or first_dialect(self.llm)

    def learn_dialect(self, dialect: Dialect) -> None:
        """Ask in this dialect from now on, in later runs too."""
        if dialect != self._dialect:
            self._dialect = dialect
            remember_dialect(self._folder, self.llm, dialect)

    # Money

    async def reserve(self, key: str, worst: float) -> None:
        """Note that a request leaves, when the budget has room for the worst that it may cost.

        Raises:
            BudgetReachedError: it has none, and nothing in flight could give some back.
        """
        while not check_budget(self.llm, self.store, worst):
            if not self._in_flight:
                raise BudgetReachedError(budget_message(self.llm, self.store, worst))
            # What is in flight mostly costs less than it may.
            self._settled.clear()
            await self._settled.wait()
        self.store.sent(key, worst)
        self._in_flight += 1

    def release(self) -> None:
        """Note that a request is no longer in flight."""
        self._in_flight -= 1
        self._settled.set()


class _Noted:
    """One request as the request cache sees it: what leaves is noted before, faults behind."""

    def __init__(self, session: Session, key: str, worst: float) -> None:
        self._session, self._key, self._worst = session, key, worst

    async def __aenter__(self) -> None:
        await self._session.reserve(self._key, self._worst)

    async def __aexit__(self, *_: object) -> None:
        self._session.release()

    def fault(self, why: str, *, is_maybe_paid: bool) -> None:
        self._session.store.fault(self._key, why, self._worst if is_maybe_paid else 0.0)


_OPEN: dict[tuple[LlmConfig, Path], tuple[Session, int]] = {}
_LOCK = threading.Lock()


@contextmanager
def open_session(llm: LlmConfig, folder: Path) -> Iterator[Session]:
    """Give the process's session of an endpoint and a folder of requests; the last to leave closes.

    Raises:
        EndpointError: if the key is not set.
    """
    place = (llm, folder)
    with _LOCK:
        session, users = _OPEN.get(place) or (Session(llm, folder), 0)
        _OPEN[place] = (session, users + 1)
    try:
        yield session
    finally:
        with _LOCK:
            _, users = _OPEN[place]
            if users > 1:
                _OPEN[place] = (session, users - 1)
            else:
                del _OPEN[place]
                session.close()
