"""Does work on what comes, some of it ahead of its turn, in threads: takes items, gives results."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(os.cpu_count() or 1, 4)
"""Work that goes on at once: Arrow and NumPy compute without Python's lock, each on one core."""


def ahead(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """Yield `work(item)` of each item, in their order; so many more as there are threads are begun.

    Raises:
        Exception: of the work, where its turn is.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        begun: deque[Future[R]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > THREADS:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
