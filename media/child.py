"""Runs functions in a spawned child process, each call or streamed item under a time limit.

Takes a module-level function with picklable arguments, gives its result or raises an ItemError: a
child that hangs or dies costs one call, the next call gets a new child. Never forks, and never
imports the parent's main module, so a decoder child costs what `earshot.media` costs.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import reduce
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from earshot.errors import ItemError, MediaError

P = ParamSpec("P")
T = TypeVar("T")

START_LIMIT_S = 60.0
# How long after its limit a child ends itself where nobody is left to end it.
GRACE_S = 5.0
_SERVE = "import sys; from earshot.media.child import serve; serve(int(sys.argv[1]))"

# What goes to the child: module, qualified name, arguments, limit in seconds, stream or not.
_Request = tuple[str, str, tuple[Any, ...], dict[str, Any], float, bool]
# What comes back: kind (begun, value, end, fault, error) and its content.
_Reply = tuple[str, Any]


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
        self._pipe: Connection[_Request, _Reply] | None = None

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
        self._ask(function, args, kwargs, stream=False)
        kind, value = self._receive(self.limit_s)
        return self._value(kind, value)  # type: ignore[no-any-return]

    def stream(
        self, function: Callable[P, Iterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """Yield what the iterator of `function(*args, **kwargs)` yields in the child.

        The child works ahead by what the pipe holds. Leaving the stream before its end costs the
        child. Raises as `call` does.
        """
        self._ask(function, args, kwargs, stream=True)
        ended = False
        try:
            while True:
                kind, value = self._receive(self.limit_s)
                ended = kind != "value"
                if kind == "end":
                    return
                yield self._value(kind, value)
        finally:
            if not ended:
                self.close()

    def close(self) -> None:
        """End the child, whatever it is doing; the next call starts another."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None

    def _ask(
        self,
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        stream: bool,
    ) -> None:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        where = (function.__module__, function.__qualname__)
        self._pipe.send((*where, args, kwargs, self.limit_s, stream))
        kind, value = self._receive(START_LIMIT_S)
        if kind != "begun":
            self._value(kind, value)

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        handle = theirs.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(handle)],
            pass_fds=(handle,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()

    def _receive(self, limit_s: float) -> _Reply:
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


def serve(handle: int) -> None:
    """Answer requests from the inherited pipe until the parent closes it; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    pipe: Connection[_Reply, _Request] = Connection(handle)
    with pipe:
        while True:
            try:
                request = pipe.recv()
                for reply in _answer(request):
                    pipe.send(reply)
            except (EOFError, ConnectionError):
                return


def _answer(request: _Request) -> Iterator[_Reply]:
    module, name, args, kwargs, limit_s, stream = request
    try:
        function = reduce(getattr, name.split("."), importlib.import_module(module))
        yield "begun", None
        with _Alarm(limit_s) as alarm:
            result = function(*args, **kwargs)  # type: ignore[operator]
            if not stream:
                alarm.stop()
                yield "value", result
                return
            for item in result:
                alarm.stop()
                yield "value", item
                alarm.start()
        yield "end", None
    except ItemError as fault:
        yield "fault", (isinstance(fault, MediaError), fault.code, str(fault), fault.value)
    except Exception as error:  # noqa: BLE001 - whatever it is crosses the border as text
        yield "error", (f"{type(error).__name__}: {error}", traceback.format_exc())


class _Alarm:
    """Ends this process by SIGALRM when a call outlives its limit: works inside C code, alone."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s + GRACE_S

    def __enter__(self) -> Self:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
