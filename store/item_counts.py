"""Counts of a video's items by status and reason, as a state keeps them in one short text.

    done=3 filtered/over_limit=1

Status never needs the ledger's rows for its numbers: they are counted once, when they are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from earshot.store.stage import Item


def count_items(items: Iterable[Item]) -> str:
    """Return the text that counts some items."""
    counts = Counter(
        item.status if item.reason_code is None else f"{item.status}/{item.reason_code}"
        for item in items
    )
    return " ".join(f"{name}={number}" for name, number in sorted(counts.items()))


@lru_cache(maxsize=4096)
def read_counts(text: str) -> tuple[tuple[str, str | None, int], ...]:
    """Return (status, reason code, number) of each kind of item that a text counts."""
    found = []
    for one in text.split():
        name, _, number = one.rpartition("=")
        status, _, reason = name.partition("/")
        found.append((status, reason or None, int(number)))
    return tuple(found)
