"""Runs functions in a spawned child process, each call or streamed item under a time limit.

Takes a module-level function with picklable arguments, gives its result or raises an ItemError: a
child that hangs or dies costs one call, the next call gets a new child. Never forks, and never
imports the parent's main module, so a decoder child costs what `earshot.media` costs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from earshot.errors import ItemError, MediaError
from earshot.media.ring import Array, Ring, new_handle
from earshot.media.service import FREE, STOP, Reply, Request

P = ParamSpec("P")
T = TypeVar("T")

START_LIMIT_S = 60.0
_SERVE = "import sys; from earshot.media.service import serve; serve(*map(int, sys.argv[1:]))"


class Worker:
    """One child process that serves a batch; a context manager, for one thread at a time.

    The child starts at the first call. The limit holds for each call, and for each item of a
    stream, and does not count the start of the child.

    Args:
        limit_s: wall seconds that one call may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Reply] | None = None
        self._memory = -1
        self._is_streaming = False

    def __enter__(self) -> Self:
        """Return the worker; no child is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child."""
        self.close()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function(*args, **kwargs)` returns in the child.

        Raises:
            ItemError: `timeout` or `child_died` for the process; `stage_error`, with the child's
                traceback as a note, for an unexpected exception; an ItemError of the function
                itself as it was raised.
        """
        self._ask("value", function, args, kwargs)
        kind, value = self._receive(self.limit_s)
        return self._value(kind, value)  # type: ignore[no-any-return]

    def stream(
        self, function: Callable[P, Iterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """Yield what the iterator of `function(*args, **kwargs)` yields in the child.

        The child works ahead by what the pipe holds. Leaving the stream before its end costs the
        child. Raises as `call` does, and RuntimeError for a call inside a stream.
        """
        self._ask("stream", function, args, kwargs)
        try:
            for _, item in self._items():
                yield item
        finally:
            if self._is_streaming:
                self.close()

    def arrays(
        self,
        slot_bytes: int,
        function: Callable[P, Iterator[tuple[float, Array]]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Iterator[tuple[float, Array]]:
        """Yield the (number, uint8 array) of `function(*args, **kwargs)`, by shared memory.

        The child works ahead by `earshot.media.ring.SLOTS` arrays and survives when the stream is
        left before its end. An array is the caller's own. Raises as `stream` does.

        Args:
            slot_bytes: the usual size of an array; larger ones go through the pipe.
            function: what runs in the child.
            args: its arguments.
            kwargs: its arguments by name.
        """
        self._ask("arrays", function, args, kwargs, slot_bytes)
        ring = Ring(self._memory, slot_bytes)
        try:
            for kind, (number, *there) in self._items():
                array = ring.take(*there) if kind == "slot" else there[0]
                self._say(FREE)
                yield number, array
        finally:
            ring.close()
            if self._is_streaming:
                self._stop()

    def close(self) -> None:
        """End the child, whatever it is doing; the next call starts another."""
        self._is_streaming = False
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._memory >= 0:
            os.close(self._memory)
        self._process, self._pipe, self._memory = None, None, -1

    def _ask(
        self,
        kind: Literal["value", "stream", "arrays"],
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        slot_bytes: int = 0,
    ) -> None:
        if self._is_streaming:
            raise RuntimeError(
                f"{function.__qualname__} was asked of a worker inside a stream; expected one "
                "reader at a time. Read the stream to its end, close it, or use another Worker."
            )
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._pipe is None:
            self._start()
        where = function.__module__, function.__qualname__
        self._say(Request(kind, *where, args, kwargs, self.limit_s, slot_bytes))
        said, value = self._receive(START_LIMIT_S)
        if said != "begun":
            self._value(said, value)
        self._is_streaming = kind != "value"

    def _items(self) -> Iterator[Reply]:
        """Yield what comes, until the end."""
        while True:
            kind, value = self._receive(self.limit_s)
            if kind not in ("value", "slot"):
                self._is_streaming = False
            if kind == "end":
                return
            yield kind, self._value(kind, value)

    def _stop(self) -> None:
        """Have the child leave its stream; what it has sent meanwhile is dropped."""
        try:
            self._say(STOP)
            for _ in self._items():
                pass
        except ItemError:
            # It belongs to what nobody wants any more; a dead child is replaced by the next call.
            self._is_streaming = False

    def _say(self, what: Request | str) -> None:
        assert self._pipe is not None
        try:
            self._pipe.send(what)
        except ConnectionError:
            raise self._death() from None

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        self._memory = new_handle()
        handles = theirs.fileno(), self._memory
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *map(str, handles)],
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()

    def _receive(self, limit_s: float) -> Reply:
        assert self._pipe is not None
        if not self._pipe.poll(limit_s):
            self.close()
            raise ItemError(
                "timeout",
                f"no result after {limit_s:g} s; expected one within that limit. The process was "
                "ended: raise the limit or mend the file.",
                f"{limit_s:g}",
            )
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None

    def _death(self) -> ItemError:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return ItemError(
            "child_died",
            f"the worker process ended with {how}; expected a result. Retry with less memory in "
            "use, or leave the item out.",
            how,
        )

    def _value(self, kind: str, value: Any) -> Any:
        if kind == "fault":
            is_media, code, message, offending = value
            raise (MediaError if is_media else ItemError)(code, message, offending)
        if kind == "error":
            summary, trace = value
            fault = ItemError("stage_error", f"{summary}; see the traceback, then retry.")
            fault.add_note(trace)
            raise fault
        return value
