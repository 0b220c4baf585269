"""What runs inside a worker's child: answers requests from an inherited pipe, one after another.

Takes names of module-level functions with arguments, sends what they return or raise; arrays go
through a ring of shared memory. Ends itself when a call outlives its limit or the parent is gone.
"""

from __future__ import annotations

import importlib
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from multiprocessing.connection import Connection
from typing import Any, Literal, Self

from earshot.errors import ItemError, MediaError
from earshot.media.ring import SLOTS, Array, Ring

# How long after its limit a child ends itself where nobody is left to end it.
GRACE_S = 5.0


@dataclass(frozen=True)
class Request:
    """A call. `kind`: one value, a stream of values, or a stream of (number, array)."""

    kind: Literal["value", "stream", "arrays"]
    module: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    limit_s: float
    slot_bytes: int = 0


# Kind (begun, value, slot, end, fault, error) and content.
Reply = tuple[str, Any]
# What the parent says of an array stream: one slot is free again, or nothing more is wanted.
FREE, STOP = "free", "stop"


class _ParentGoneError(BaseException):
    """Nobody listens any more; no part of `Exception`, so that no function's handler takes it."""


class _Line:
    """The pipe to the parent; its end is told apart from an EOFError of a called function."""

    def __init__(self, pipe: Connection[Reply, Any]) -> None:
        self._pipe = pipe

    def send(self, kind: str, content: object = None) -> None:
        try:
            self._pipe.send((kind, content))
        except ConnectionError:
            raise _ParentGoneError from None

    def receive(self) -> Request | str:
        try:
            said: Request | str = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise _ParentGoneError from None
        return said


def serve(handle: int, memory: int) -> None:
    """Answer requests from the inherited pipe until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries that print would else write into whatever the parent's output is.
    os.dup2(2, 1)
    pipe: Connection[Reply, Any] = Connection(handle)
    with pipe:
        line = _Line(pipe)
        while True:
            try:
                said = line.receive()
                # What was said of a stream that has ended meanwhile is of no use.
                if isinstance(said, Request):
                    _answer(line, said, memory)
            except _ParentGoneError:
                return


def _answer(line: _Line, request: Request, memory: int) -> None:
    try:
        function = reduce(getattr, request.name.split("."), importlib.import_module(request.module))
        line.send("begun")
        with _Alarm(request.limit_s) as alarm:
            _run(line, request, memory, alarm, function)  # type: ignore[arg-type]
    except ItemError as fault:
        is_media = isinstance(fault, MediaError)
        line.send("fault", (is_media, fault.code, str(fault), fault.value))
    except Exception as error:  # noqa: BLE001 - whatever it is crosses the border as text
        line.send("error", (f"{type(error).__name__}: {error}", traceback.format_exc()))


def _run(
    line: _Line, request: Request, memory: int, alarm: _Alarm, function: Callable[..., Any]
) -> None:
    result = function(*request.args, **request.kwargs)
    if request.kind == "value":
        alarm.stop()
        line.send("value", result)
        return
    if request.kind == "arrays":
        _send_arrays(line, result, Ring(memory, request.slot_bytes), alarm)
    else:
        for item in result:
            alarm.stop()
            line.send("value", item)
            alarm.start()
    alarm.stop()
    line.send("end")


def _send_arrays(
    line: _Line, items: Iterator[tuple[float, Array]], ring: Ring, alarm: _Alarm
) -> None:
    """Send (number, array) while slots are free, until there are none or no more are wanted."""
    taken = 0
    for index, (number, array) in enumerate(items):
        alarm.stop()
        while index - taken == SLOTS:
            if line.receive() == STOP:
                return
            taken += 1
        if array.nbytes <= ring.slot_bytes:
            ring.put(index, array)
            line.send("slot", (number, index, array.shape))
        else:
            line.send("value", (number, array))
        alarm.start()


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
