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
# What the parent says of an array stream: this slot is free again, or nothing more is wanted.
FREE, STOP = "free", "stop"

_Pipe = Connection[Reply, Any]


def serve(handle: int, memory: int) -> None:
    """Answer requests from the inherited pipe until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries that print would else write into whatever the parent's output is.
    os.dup2(2, 1)
    pipe: _Pipe = Connection(handle)
    with pipe:
        while True:
            try:
                _answer(pipe, pipe.recv(), memory)
            except (EOFError, ConnectionError):
                return


def _answer(pipe: _Pipe, request: Request, memory: int) -> None:
    try:
        function = reduce(getattr, request.name.split("."), importlib.import_module(request.module))
        pipe.send(("begun", None))
        with _Alarm(request.limit_s) as alarm:
            _run(pipe, request, memory, alarm, function)  # type: ignore[arg-type]
    except ItemError as fault:
        is_media = isinstance(fault, MediaError)
        pipe.send(("fault", (is_media, fault.code, str(fault), fault.value)))
    except (EOFError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is crosses the border as text
        pipe.send(("error", (f"{type(error).__name__}: {error}", traceback.format_exc())))


def _run(
    pipe: _Pipe, request: Request, memory: int, alarm: _Alarm, function: Callable[..., Any]
) -> None:
    result = function(*request.args, **request.kwargs)
    if request.kind == "value":
        alarm.stop()
        pipe.send(("value", result))
        return
    if request.kind == "arrays":
        _send_arrays(pipe, result, Ring(memory, request.slot_bytes), alarm)
    else:
        for item in result:
            alarm.stop()
            pipe.send(("value", item))
            alarm.start()
    alarm.stop()
    pipe.send(("end", None))


def _send_arrays(
    pipe: _Pipe, items: Iterator[tuple[float, Array]], ring: Ring, alarm: _Alarm
) -> None:
    """Send (number, array) while slots are free, until the parent has taken all or wants no more.

    Every array is answered by one FREE, so none is left in the pipe at the end.
    """
    sent = freed = 0
    for number, array in items:
        alarm.stop()
        while sent - freed == SLOTS:
            if pipe.recv() == STOP:
                return
            freed += 1
        if array.nbytes <= ring.slot_bytes:
            ring.put(sent, array)
            pipe.send(("slot", (number, sent, array.shape)))
        else:
            pipe.send(("value", (number, array)))
        sent += 1
        alarm.start()
    alarm.stop()
    while freed < sent and pipe.recv() != STOP:
        freed += 1
    ring.close()


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
