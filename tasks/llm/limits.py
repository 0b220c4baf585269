"""Keeps requests and tokens a minute inside an endpoint's limits, without bursts.

Takes the configured limits, or learns them from the endpoint's headers; leaky buckets (aiolimiter)
of a moment's worth let no minute hold more than the limit. What an endpoint says with 429 holds
everyone back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import monotonic, time

from aiolimiter import AsyncLimiter

_REQUESTS, _TOKENS = "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"
# Endpoints cut their minutes into pieces: what is saved up may leave at once, so it is little.
_REQUESTS_BURST_S, _TOKENS_BURST_S = 0.2, 3.0


class Limits:
    """The limits of one endpoint in one event loop.

    Args:
        requests_per_minute: None: as the headers say.
        tokens_per_minute: None: as the headers say.
    """

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self._requests = _bucket(requests_per_minute, _REQUESTS_BURST_S)
        self._tokens = _bucket(tokens_per_minute, _TOKENS_BURST_S)
        self._owed = 0.0
        self._held_until = 0.0
        self._spread_s = 0.0

    async def enter(self, tokens: float) -> None:
        """Wait until a request that may use so many tokens can leave."""
        while (left_s := self._held_until - monotonic()) > 0:
            # All wait for the same moment: without this they would leave in one burst.
            await asyncio.sleep(left_s + random.uniform(0, self._spread_s))
        if self._tokens is not None:
            wanted, self._owed = tokens + self._owed, 0.0
            if wanted < 0:
                self._owed = wanted
            while wanted > 0:
                piece = min(wanted, self._tokens.max_rate)
                await self._tokens.acquire(piece)
                wanted -= piece
        if self._requests is not None:
            await self._requests.acquire()

    def used(self, tokens: float, expected: float) -> None:
        """Correct by what a request really used: the next one pays or gets the difference."""
        self._owed += tokens - expected

    def hold(self, seconds: float) -> None:
        """Let nobody leave for a while: the endpoint asked for it."""
        self._held_until = max(self._held_until, monotonic() + seconds)
        self._spread_s = max(1.0, seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over the limits that an endpoint tells, where none are configured."""
        with suppress(KeyError, ValueError):
            if self._requests is None:
                self._requests = _bucket(int(headers[_REQUESTS]), _REQUESTS_BURST_S)
        with suppress(KeyError, ValueError):
            if self._tokens is None:
                self._tokens = _bucket(int(headers[_TOKENS]), _TOKENS_BURST_S)


def _bucket(per_minute: int | None, burst_s: float) -> AsyncLimiter | None:
    """Return a bucket that lets no 60 s hold more than `per_minute`, bursts included."""
    if per_minute is None or per_minute <= 0:
        return None
    capacity = max(1.0, per_minute / 60 * burst_s)
    rate = (per_minute - capacity) / 60 if capacity > 1 else per_minute / 60 * 0.999
    return AsyncLimiter(capacity, capacity / rate)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long an endpoint wants to be left alone, in seconds; None: it does not say."""
    with suppress(KeyError, ValueError):
        return max(float(headers["retry-after-ms"]) / 1000, 0.0)
    said = headers.get("retry-after")
    if said is None:
        return None
    with suppress(ValueError):
        return max(float(said), 0.0)
    with suppress(ValueError):
        return max(parsedate_to_datetime(said).timestamp() - time(), 0.0)
    return None
