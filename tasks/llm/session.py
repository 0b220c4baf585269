"""Sends requests to an OpenAI-compatible endpoint and keeps every answer before anyone reads it.

One session a process for an endpoint and workspace, whoever asks: its connections, limits, budget
and requests in flight live in one event loop on a thread of its own. The key is read from the
environment and is in no file, message or exception.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from earshot.errors import EndpointError, ItemError
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
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.limits import Limits, retry_after_s
from earshot.tasks.llm.money import (
    BudgetReachedError,
    budget_message,
    check_budget,
    cost_usd,
    worst_usd,
)
from earshot.tasks.llm.reply import error_text, shorten, usage_of

T = TypeVar("T")
_PASSING = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({400, 413, 422})
_FIRST_TRIES = 3
"""Tries of the first request: an address where nobody listens is more likely wrong."""


@dataclass(frozen=True)
class _Raw:
    """What came back: a body, for good."""

    status: int
    body: str


class _PassingError(Exception):
    """Asking again may help; `told_s` is how long the endpoint says to wait."""

    def __init__(self, message: str, told_s: float | None = None) -> None:
        super().__init__(message)
        self.told_s = told_s


class Session:
    """An endpoint, open; use `open_session`.

    Attributes:
        store: the request cache.
        calls: requests that were sent, each try counted.
        client: the SDK's client, without retries of its own.
        batching: who makes batches holds it: two at once would reserve the same money.
    """

    def __init__(self, llm: LlmConfig, folder: Path) -> None:
        self.llm = llm
        self.store: RequestStore = request_store(folder)
        self.calls = 0
        self._folder = folder
        self._key = read_key(llm)
        self._dialect = known_dialect(folder, llm)
        self._ever_answered = False
        self._ever_reached = False
        self._stopped: EndpointError | None = None
        self._asked: dict[str, asyncio.Task[Kept]] = {}
        self._in_flight = 0
        self._growing = wait_random_exponential(1.0, max=llm.longest_wait_s)
        self._expected: dict[str, Estimator] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        self.submit(self._open()).result()

    async def _open(self) -> None:
        # The SDK's own retries would multiply with ours, and count nothing.
        self.client = AsyncOpenAI(
            base_url=self.llm.endpoint,
            api_key=self._key or "none",
            max_retries=0,
            timeout=self.llm.timeout_s,
            http_client=DefaultAioHttpClient(),
        )
        self._limits = Limits(self.llm.requests_per_minute, self.llm.tokens_per_minute)
        self._slots = asyncio.Semaphore(self.llm.in_flight)
        self._finding = asyncio.Lock()
        self._settled = asyncio.Condition()
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
        await self.client.close()

    async def finish(
        self, first: Ask, read: Callable[[str], T], attempt: int = 1
    ) -> Answered[T] | Failed:
        """Walk through a dialogue, sending what the cache misses.

        Raises:
            ItemError: `no_reply`: the endpoint did not answer this request.
            BudgetReachedError: the next request could cost more than is left.
            EndpointError: the endpoint refuses every request.
        """
        while isinstance(said := walk(first, read, self.store, attempt), Missing):
            await self.complete(said.ask, said.key)
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

    async def _complete(self, ask: Ask, key: str) -> Kept:
        async with self._slots:
            if self._dialect is None:
                async with self._finding:
                    if self._dialect is None:
                        return await self._find_dialect(ask, key)
            raw = await self._send(ask, key, self._dialect)
            return self._keep(ask, key, raw)

    async def _find_dialect(self, ask: Ask, key: str) -> Kept:
        dialect, is_fixed = first_dialect(self.llm), self.llm.response_format != "auto"
        while True:
            raw = await self._send(ask, key, dialect)
            if raw.status == 200:
                self.learn_dialect(dialect)
                return self._keep(ask, key, raw)
            weaker = dialect.weaker(raw.body, is_fixed=is_fixed)
            if weaker is None or "content_filter" in raw.body:
                return self._keep(ask, key, raw)
            self.store.fault(key, "dialect")
            dialect = weaker

    def _keep(self, ask: Ask, key: str, raw: _Raw) -> Kept:
        if raw.status != 200:
            return self.store.answer(
                key, raw.body, step=ask.step, model=ask.model, status=raw.status, cost_usd=0.0
            )
        usage = usage_of(raw.body)
        if usage is not None:
            self._limits.used(usage.input + usage.output, self._expected_tokens(ask))
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

    async def request(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Make a call that is no completion (files, batches), with the same patience.

        Raises:
            EndpointError: if the endpoint refuses it, or does not answer.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=lambda state: state.attempt_number >= self.llm.attempts,
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return await retrying(self._request_once, call, what)
        except _PassingError as error:
            message = f"{self.llm.endpoint}, {what}: {error}; build again to go on"
            raise EndpointError(message) from None

    async def _request_once(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        if self._stopped is not None:
            raise self._stopped
        failure: openai.OpenAIError
        try:
            return await call()
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            failure = error
        if isinstance(failure, openai.APIConnectionError):
            raise _PassingError(self._scrubbed(_cause(failure)))
        said = self._said(failure)
        if failure.status_code in _PASSING or failure.status_code >= 500:
            raise _PassingError(f"{failure.status_code}: {said}", self._held(failure))
        raise self._stop(
            f"{self.llm.endpoint}, {what}: {failure.status_code}: {said}; check "
            f"the key in {self.llm.key_env or 'llm.key_env'}; where there is no Batch API, set "
            "llm.mode to live"
        )

    # Sending

    async def _send(self, ask: Ask, key: str, dialect: Dialect) -> _Raw:
        """Send until there is an answer or the endpoint's refusal of this one request."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=lambda state: state.attempt_number >= self._tries,
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return await retrying(self._send_once, ask, key, dialect)
        except _PassingError as error:
            if not self._ever_answered:
                remedy = (
                    "build again later"
                    if self._ever_reached
                    else "set llm.endpoint to the address of an OpenAI-compatible endpoint (it "
                    "mostly ends in /v1)"
                )
                raise self._stop(
                    f"{self.llm.endpoint} does not answer: {error}; {remedy}"
                ) from None
            raise ItemError(
                "no_reply", f"{self.llm.endpoint}: {error}; tried {self._tries} times"
            ) from None

    @property
    def _tries(self) -> int:
        return self.llm.attempts if self._ever_reached else min(_FIRST_TRIES, self.llm.attempts)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _PassingError) and error.told_s is not None:
            return 0.0  # `Limits.hold` makes everyone wait, this request too
        return float(self._growing(state))

    async def _send_once(self, ask: Ask, key: str, dialect: Dialect) -> _Raw:
        if self._stopped is not None:
            raise self._stopped
        await self._limits.enter(self._expected_tokens(ask))
        worst = worst_usd(self.llm.price, ask, "live")
        await self._reserve(key, worst)
        try:
            return await self._call(ask, key, dialect, worst)
        finally:
            self._in_flight -= 1
            async with self._settled:
                self._settled.notify_all()

    async def _reserve(self, key: str, worst: float) -> None:
        while not check_budget(self.llm, self.store, worst):
            if not self._in_flight:
                raise BudgetReachedError(budget_message(self.llm, self.store, worst))
            async with self._settled:  # what is in flight mostly costs less than it may
                await self._settled.wait()
        self.store.sent(key, worst)
        self._in_flight += 1
        self.calls += 1

    async def _call(self, ask: Ask, key: str, dialect: Dialect, worst: float) -> _Raw:
        # Handled outside of `except`: the SDK's errors may quote the key, and none is chained.
        failure: openai.OpenAIError
        try:
            # What `chat.completions.create` does, without its walk through every type that the
            # parameters could have, which takes 1 ms of CPU; and the body stays as it came.
            response = await self.client.post(
                "/chat/completions",
                cast_to=openai.HttpxBinaryResponseContent,
                body=ask.body(dialect),
            )
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            failure = error
        else:
            return self._received(key, response.text, response.response.headers)
        if isinstance(failure, openai.APIStatusError):
            return self._refusal(key, failure)
        self.store.fault(key, "lost", worst if self._ever_answered else 0.0)
        raise _PassingError(self._scrubbed(_cause(failure)))

    def _received(self, key: str, text: str, headers: Mapping[str, str]) -> _Raw:
        body = self._scrubbed(text)
        if not body.lstrip().startswith("{"):
            self.store.fault(key, "no_json")
            raise _PassingError(f"it sent no JSON but {shorten(body)[:80]!r}")
        self._ever_answered = self._ever_reached = True
        self._limits.learn(headers)
        return _Raw(200, body)

    def _refusal(self, key: str, error: openai.APIStatusError) -> _Raw:
        """Return the refusal of this request, or raise what it means for others."""
        status, raw = error.status_code, self._scrubbed(error.response.text)
        said = self._said(error)
        self._ever_reached = True
        if status in _REFUSED:
            self._ever_answered = True
            return _Raw(status, raw)
        self.store.fault(key, str(status))
        if status in (401, 403):
            set_it = (
                f"set {self.llm.key_env} to a valid key" if self.llm.key_env else "set llm.key_env"
            )
            raise self._stop(f"{self.llm.endpoint} refuses the key ({status}: {said}); {set_it}")
        if status == 404:
            raise self._stop(
                f"{self.llm.endpoint} knows no model {self.llm.model!r}, or is no such address "
                f"(404: {said}); set llm.model or llm.endpoint"
            )
        if "insufficient_quota" in said:
            raise self._stop(f"{self.llm.endpoint}: no credit left ({said}); add some")
        if status not in _PASSING and status < 500:
            return _Raw(status, raw)
        self._ever_answered |= status == 429
        raise _PassingError(f"{status}: {said}", self._held(error))

    def _held(self, error: openai.APIStatusError) -> float | None:
        """Hold everyone back for as long as the endpoint says; None where it does not say."""
        told_s = retry_after_s(error.response.headers)
        if told_s is not None:
            told_s = min(told_s, self.llm.longest_wait_s)
            self._limits.hold(told_s)
        return told_s

    def _said(self, error: openai.APIStatusError) -> str:
        raw = self._scrubbed(error.response.text)
        try:
            return error_text(json.loads(raw), raw)
        except ValueError:
            return shorten(raw)

    def _stop(self, message: str) -> EndpointError:
        self._stopped = EndpointError(message)
        return self._stopped

    def _scrubbed(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _cause(error: openai.APIConnectionError) -> str:
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    return shorten(f"{error} ({root})" if root is not error else str(error))


def read_key(llm: LlmConfig) -> str:
    """Return the key from the environment; empty where the endpoint wants none.

    Raises:
        EndpointError: if the variable is not set.
    """
    if not llm.key_env:
        return ""
    key = os.environ.get(llm.key_env, "").strip()
    if not key:
        raise EndpointError(
            f"the environment variable {llm.key_env} is not set: set it to the key of "
            f'{llm.endpoint}, or set llm.key_env to "" if that endpoint wants none'
        )
    return key


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
