"""Runs a stage's batch in a child process that can be killed, each video under a time limit.

Takes a stage and its inputs, gives what the stage gives. A child that hangs or dies costs one
video; it is spawned at the first batch, serves the next ones too, and ends with its owner. Stages
that decode have such a child for that part already, whatever is configured.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from earshot.errors import ConfigError, DeviceError, EarshotError, WorkspaceError
from earshot.media.child import Worker
from earshot.schemas.config import Section
from earshot.store.runner import fatal, run_here
from earshot.store.stage import Outcome, Stage, StageContext, StageInput


class Isolator:
    """Calls some stages in children, as many at a time as threads ask, and the others here.

    Args:
        names: the stages that run in a child.
        limit_s: wall seconds that a stage may take for one video.
    """

    def __init__(self, names: Collection[str], limit_s: float) -> None:
        self._names = frozenset(names)
        self._limit_s = limit_s
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _close, self._idle)

    def __call__(self, stage: Stage[Any], batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield what the stage yields.

        Raises:
            EarshotError: as raised in the child, also for a full or read-only disk.
            ItemError: `timeout`, `child_died`, or `stage_error` for what the stage raises.
        """
        if stage.name not in self._names or stage.is_remote:
            yield from run_here(stage, batch)
            return
        with self._lock:
            worker = self._idle.pop() if self._idle else Worker(self._limit_s)
        try:
            for said in worker.stream(_run, type(stage), stage.config, stage.context, list(batch)):
                if isinstance(said, EarshotError):
                    raise said
                yield said
        finally:
            with self._lock:
                self._idle.append(worker)

    def close(self) -> None:
        """End the children; the next batch starts another."""
        with self._lock:
            _close(self._idle)


def _close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.close()
    workers.clear()


def _run(
    kind: type[Stage[Any]], config: Section, context: StageContext, batch: Sequence[StageInput]
) -> Iterator[Outcome | EarshotError]:
    """Run in the child; what concerns the disk crosses the border as what it is."""
    try:
        yield from _stage(kind, config, context).run(batch)
    except (WorkspaceError, ConfigError, DeviceError, OSError) as error:
        found = fatal(error, context.cache.parent)
        if found is None:
            raise
        yield found


@lru_cache
def _stage(kind: type[Stage[Any]], config: Section, context: StageContext) -> Stage[Any]:
    return kind(config, context)
