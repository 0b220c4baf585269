"""Sends bodies to an OpenAI-compatible endpoint, patiently, and says what its refusals mean.

Takes the body of a chat completion as bytes, gives what came back for good. Retries, limits and the
key's secrecy are here; what a request costs, and where answers are kept, is the caller's part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import httpx2
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
from earshot.tasks.llm.limits import Limits, retry_after_s
from earshot.tasks.llm.reply import error_text, shorten

T = TypeVar("T")
REFUSED = frozenset({400, 413, 422})
"""The endpoint refuses this one request, and will do so again."""
_PASSING = frozenset({408, 409, 425, 429})
_FIRST_TRIES = 3
"""Tries of the first request: an address where nobody listens is more likely wrong."""


@dataclass(frozen=True)
class Raw:
    """What came back: a body, for good."""

    status: int
    body: str


class Try(AbstractAsyncContextManager[None], Protocol):
    """What the caller does around each try of a request; entered before it leaves."""

    def fault(self, why: str, *, is_maybe_paid: bool) -> None:
        """Note that it came back without an answer."""


class _PassingError(Exception):
    """Asking again may help; `told_s` is how long the endpoint says to wait."""

    def __init__(self, message: str, told_s: float | None = None) -> None:
        super().__init__(message)
        self.told_s = told_s


class Endpoint:
    """One endpoint in one event loop; made inside it.

    Attributes:
        client: the SDK's client, without retries of its own.
        limits: what may leave in a minute.
    """

    def __init__(self, llm: LlmConfig, key: str) -> None:
        self._llm = llm
        self._key = key
        self._http = DefaultAioHttpClient(timeout=llm.timeout_s)
        # The SDK's own retries would multiply with ours, and count nothing.
        self.client = AsyncOpenAI(
            base_url=llm.endpoint,
            api_key=key or "none",
            max_retries=0,
            timeout=llm.timeout_s,
            http_client=self._http,
        )
        headers = {**self.client.default_headers, **self.client.auth_headers}
        self._headers = httpx2.Headers({k: v for k, v in headers.items() if isinstance(v, str)})
        self._url = httpx2.URL(f"{llm.endpoint}/chat/completions")
        self._extensions = {"timeout": self._http.timeout.as_dict()}
        self.limits = Limits(llm.requests_per_minute, llm.tokens_per_minute)
        self._growing = wait_random_exponential(1.0, max=llm.longest_wait_s)
        self._ever_answered = False
        self._ever_reached = False
        self._stopped: EndpointError | None = None

    async def complete(self, body: bytes, tokens: float, attempt: Try) -> Raw:
        """Send until there is an answer, or the endpoint's refusal of this one request.

        Args:
            body: of a chat completion.
            tokens: that it may use, for the limits.
            attempt: entered anew for each try.

        Raises:
            ItemError: `no_reply`: others are answered, this one is not.
            EndpointError: the endpoint refuses every request, or answers none.
        """
        try:
            return await self._patiently(
                lambda: self._complete_once(body, tokens, attempt), lambda: self._tries
            )
        except _PassingError as error:
            where = self._llm.endpoint
            if self._ever_answered:
                message = f"{where}: {error}; tried {self._tries} times"
                raise ItemError("no_reply", message) from None
            remedy = (
                "build again later"
                if self._ever_reached
                else "set llm.endpoint to the address of an OpenAI-compatible endpoint (it mostly "
                "ends in /v1)"
            )
            raise self._stop(f"{where} does not answer: {error}; {remedy}") from None

    async def request(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Make a call that is no completion (files, batches), with the same patience.

        Raises:
            EndpointError: if the endpoint refuses it, or does not answer.
        """
        try:
            return await self._patiently(
                lambda: self._request_once(call, what), lambda: self._llm.attempts
            )
        except _PassingError as error:
            message = f"{self._llm.endpoint}, {what}: {error}; build again to go on"
            raise EndpointError(message) from None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    # Tries

    @property
    def _tries(self) -> int:
        attempts = self._llm.attempts
        return attempts if self._ever_reached else min(_FIRST_TRIES, attempts)

    async def _patiently(self, once: Callable[[], Awaitable[T]], tries: Callable[[], int]) -> T:
        try:
            return await once()
        except _PassingError as error:
            first: _PassingError | None = error

        async def again() -> T:
            # Making the layer takes longer than most requests need it for: it is made when the
            # first try has failed, which it is told of here, and so counts.
            nonlocal first
            if (error := first) is not None:
                first = None
                raise error
            return await once()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=lambda state: state.attempt_number >= tries(),
            wait=self._wait_s,
            reraise=True,
        )
        return await retrying(again)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _PassingError) and error.told_s is not None:
            return 0.0  # `Limits.hold` makes everyone wait, this request too
        return float(self._growing(state))

    async def _complete_once(self, body: bytes, tokens: float, attempt: Try) -> Raw:
        if self._stopped is not None:
            raise self._stopped
        await self.limits.enter(tokens)
        async with attempt:
            return await self._call(body, attempt)

    async def _call(self, body: bytes, attempt: Try) -> Raw:
        # By the SDK's client for HTTP with the SDK's headers, but not by its `create`, which takes
        # 4 ms of CPU (its `post`: 2, this: 1); and the body stays as it came.
        request = httpx2.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=self._extensions
        )
        # Handled outside of `except`, and not chained: the error holds the request with the key.
        try:
            response = await self._http.send(request)
        except httpx2.HTTPError as error:
            failure = error
        else:
            return self._received(attempt, response)
        attempt.fault("lost", is_maybe_paid=self._ever_answered)
        raise _PassingError(self._scrubbed(_cause(failure)))

    def _received(self, attempt: Try, response: httpx2.Response) -> Raw:
        """Return an answer or the refusal of this request, or raise what it means for others."""
        llm, status = self._llm, response.status_code
        body = self._scrubbed(response.content.decode("utf-8", "replace"))
        self._ever_reached |= status != 200
        if status in REFUSED:
            self._ever_answered = True
            return Raw(status, body)
        if 200 <= status < 300:
            if not body.lstrip().startswith("{"):
                attempt.fault("no_json", is_maybe_paid=False)
                raise _PassingError(f"it sent no JSON but {shorten(body)[:80]!r}")
            self._ever_answered = self._ever_reached = True
            self.limits.learn(response.headers)
            return Raw(200, body)
        attempt.fault(str(status), is_maybe_paid=False)
        said = _said(body)
        if status in (401, 403):
            set_it = f"set {llm.key_env} to a valid key" if llm.key_env else "set llm.key_env"
            raise self._stop(f"{llm.endpoint} refuses the key ({status}: {said}); {set_it}")
        if status == 404:
            raise self._stop(
                f"{llm.endpoint} knows no model {llm.model!r}, or is no such address "
                f"(404: {said}); set llm.model or llm.endpoint"
            )
        if "insufficient_quota" in said:
            raise self._stop(f"{llm.endpoint}: no credit left ({said}); add some")
        if not _may_pass(status):
            return Raw(status, body)
        self._ever_answered |= status == 429
        raise _PassingError(f"{status}: {said}", self._held(response.headers))

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
        said = _said(self._scrubbed(failure.response.text))
        if _may_pass(failure.status_code):
            raise _PassingError(
                f"{failure.status_code}: {said}", self._held(failure.response.headers)
            )
        raise self._stop(
            f"{self._llm.endpoint}, {what}: {failure.status_code}: {said}; check "
            f"the key in {self._llm.key_env or 'llm.key_env'}; where there is no Batch API, set "
            "llm.mode to live"
        )

    # What was said

    def _held(self, headers: Mapping[str, str]) -> float | None:
        """Hold everyone back for as long as the endpoint says; None where it does not say."""
        told_s = retry_after_s(headers)
        if told_s is not None:
            told_s = min(told_s, self._llm.longest_wait_s)
            self.limits.hold(told_s)
        return told_s

    def _stop(self, message: str) -> EndpointError:
        self._stopped = EndpointError(message)
        return self._stopped

    def _scrubbed(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _may_pass(status: int) -> bool:
    return status in _PASSING or status >= 500


def _said(body: str) -> str:
    try:
        return error_text(json.loads(body), body)
    except ValueError:
        return shorten(body)


def _cause(error: Exception) -> str:
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    said = str(error) or type(error).__name__
    return shorten(f"{said} ({root})" if root is not error and str(root) else said)


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
