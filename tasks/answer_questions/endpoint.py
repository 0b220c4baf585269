"""Asks an OpenAI-compatible endpoint, patiently: waits as long as it is told to, then tries again.

Takes chat messages, gives the text of the answer. The key is read from the environment and is never
written anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from earshot.errors import EarshotError, ItemError
from earshot.tasks.llm.limits import retry_after_s

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

KEYS = ("EARSHOT_API_KEY", "OPENAI_API_KEY")
PASSING_STATUSES = frozenset({408, 409, 425, 429})
_STOPPING = (
    openai.AuthenticationError,
    openai.PermissionDeniedError,
    openai.NotFoundError,
)


@dataclass(frozen=True)
class Patience:
    """How long is waited and how often asked: the waits grow up to `longest_wait_s`."""

    attempts: int = 6
    timeout_s: float = 600.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


@dataclass(frozen=True)
class Reply:
    """What a model wrote, and why it stopped."""

    text: str
    finish_reason: str | None


class _NoReplyError(Exception):
    """The endpoint sent something that is no chat completion."""


class Endpoint:
    """A model at an address; an async context manager that closes its connections.

    Args:
        url: base address, such as http://127.0.0.1:8000/v1.
        model: its name there.
        patience: limits of waiting and repetition.
    """

    def __init__(self, url: str, model: str, patience: Patience | None = None) -> None:
        self.url = url
        self.model = model
        self._patience = patience or Patience()
        self._growing = wait_random_exponential(
            self._patience.first_wait_s, self._patience.longest_wait_s
        )
        # The SDK's own repetition knows nothing of ours: together they would multiply.
        self._client = AsyncOpenAI(
            base_url=url,
            api_key=api_key(),
            max_retries=0,
            timeout=self._patience.timeout_s,
            http_client=DefaultAioHttpClient(),
        )

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, messages: list[ChatCompletionMessageParam]) -> Reply:
        """Return the model's answer, at temperature 0.

        Raises:
            ItemError: `fetch_failed`: it refuses this question, or did not answer in time.
            EarshotError: it refuses every question: wrong key, unknown model or address.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(self._patience.attempts),
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return await retrying(self._ask_once, messages)
        except _STOPPING as error:
            raise EarshotError(
                f"{self.url} refuses model {self.model!r}: {_short(error)}; check --endpoint, "
                f"--model and {' or '.join(KEYS)}"
            ) from error
        except (openai.OpenAIError, _NoReplyError) as error:
            raise ItemError(
                "fetch_failed", f"{self.url}: {_short(error)}; run again to ask again", str(error)
            ) from error

    async def _ask_once(self, messages: list[ChatCompletionMessageParam]) -> Reply:
        try:
            answer = await self._client.chat.completions.create(
                model=self.model, messages=messages, temperature=0
            )
            choice = answer.choices[0]
            said = choice.message.content or choice.message.refusal or ""
        except (ValueError, AttributeError, TypeError, IndexError) as error:
            # The SDK does not check what a server sends: a broken body shows where it is read.
            raise _NoReplyError(f"the reply is no chat completion ({error})") from error
        return Reply(said, choice.finish_reason)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told_s = (
            retry_after_s(error.response.headers)
            if isinstance(error, openai.APIStatusError)
            else None
        )
        if told_s is None:
            return float(self._growing(state))
        return min(told_s, self._patience.longest_wait_s)


def api_key() -> str:
    """Return the key of the environment; `none` for servers that want none."""
    return next((key for name in KEYS if (key := os.environ.get(name))), "none")


def is_passing(error: BaseException) -> bool:
    """Tell whether asking again may help."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in PASSING_STATUSES or error.status_code >= 500
    return isinstance(
        error, (openai.APIConnectionError, openai.APIResponseValidationError, _NoReplyError)
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
