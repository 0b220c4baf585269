"""The killable child process."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from earshot.errors import ItemError, MediaError
from earshot.media.child import Worker
from earshot.media.probe import probe


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One worker for the tests that don't care which child they get."""
    with Worker(30) as worker:
        yield worker


def test_returns_the_result(worker: Worker) -> None:
    """A call gives what the function returns, also with keyword arguments."""
    assert worker.call(math.hypot, 3.0, 4.0) == 5.0
    assert worker.call(int, "11", base=2) == 3


def test_one_child_serves_many_calls(worker: Worker) -> None:
    """The same child answers call after call, and it is not this process."""
    pids = {worker.call(os.getpid) for _ in range(3)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_hanging_call_times_out_and_the_next_call_works() -> None:
    """A call beyond its limit is a `timeout`, its child is gone, and another child takes over."""
    with Worker(0.3) as worker:
        before = worker.call(os.getpid)
        started = time.monotonic()
        with pytest.raises(ItemError) as caught:
            worker.call(time.sleep, 60)
        assert caught.value.code == "timeout"
        assert time.monotonic() - started < 10
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        assert worker.call(os.getpid) != before


@pytest.mark.parametrize(("function", "argument"), [(os._exit, 3), (os.abort, None)])
def test_dying_child_is_told_and_the_next_call_works(function: object, argument: object) -> None:
    """A child that exits or crashes is `child_died`, and another child takes over."""
    with Worker(10) as worker:
        with pytest.raises(ItemError) as caught:
            worker.call(function, *([] if argument is None else [argument]))  # type: ignore[arg-type]
        assert caught.value.code == "child_died"
        assert worker.call(math.sqrt, 4.0) == 2.0


def test_child_killed_between_calls_is_replaced() -> None:
    """A child that something else killed while idle does not cost the next item."""
    with Worker(10) as worker:
        pid = worker.call(os.getpid)
        os.kill(pid, 9)
        time.sleep(0.2)
        assert worker.call(os.getpid) != pid


def test_item_errors_come_back_as_they_were_raised(worker: Worker, tmp_path: Path) -> None:
    """A MediaError crosses the border with code, message and value."""
    with pytest.raises(MediaError) as caught:
        worker.call(probe, tmp_path / "nowhere.mp4", -60.0)
    assert caught.value.code == "not_found"
    assert caught.value.value == str(tmp_path / "nowhere.mp4")
    assert "nowhere.mp4" in str(caught.value)


def test_unexpected_errors_carry_the_childs_traceback(worker: Worker) -> None:
    """Another exception is a `stage_error` that names it and notes where it was raised."""
    with pytest.raises(ItemError) as caught:
        worker.call(math.sqrt, -1.0)
    assert caught.value.code == "stage_error"
    assert "ValueError" in str(caught.value)
    assert "Traceback" in caught.value.__notes__[0]


def test_streams_items(worker: Worker) -> None:
    """A stream gives the items of the iterator in order, and its child serves on."""
    pid = worker.call(os.getpid)
    assert list(worker.stream(range, 5)) == [0, 1, 2, 3, 4]
    assert worker.call(os.getpid) == pid


def test_stream_left_early_costs_only_the_child() -> None:
    """Leaving an endless stream ends its child; the next call works."""
    with Worker(10) as worker:
        assert list(islice(worker.stream(count), 3)) == [0, 1, 2]
        assert worker.call(math.sqrt, 9.0) == 3.0


def test_child_imports_no_heavy_packages(worker: Worker) -> None:
    """A decoder child pays for neither Prefect, pyarrow, pydantic nor our own upper floors."""
    names = worker.call(eval, "set(__import__('sys').modules)")
    assert "earshot.media.probe" in names
    heavy = {
        "prefect",
        "pyarrow",
        "pydantic",
        "scipy",
        "pandas",
        "earshot.schemas",
        "earshot.tasks",
    }
    assert not heavy & names


def test_close_ends_the_child() -> None:
    """No process is left behind."""
    worker = Worker(10)
    pid = worker.call(os.getpid)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def squares(count: int, side: int) -> Iterator[tuple[float, np.ndarray]]:
    """Arrays whose every value is their number."""
    for number in range(count):
        yield float(number), np.full((side, side, 3), number, np.uint8)


def failing(count: int) -> Iterator[tuple[float, np.ndarray]]:
    """Some arrays, then a fault."""
    yield from squares(count, 4)
    raise MediaError("decode_error", "broken", "7")


def slow(first_s: float) -> Iterator[tuple[float, np.ndarray]]:
    """One array after a while, the next after a minute."""
    time.sleep(first_s)
    yield next(squares(1, 4))
    time.sleep(60)
    yield next(squares(1, 4))


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child finds this module by the name that it has here."""
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    for function in (squares, failing, slow, handles_around_workers):
        monkeypatch.setattr(function, "__module__", "tests.media.test_child")


@pytest.mark.parametrize("side", [4, 16])
def test_arrays_cross_whole_and_in_order(importable: None, side: int) -> None:
    """Arrays come as they were sent, by shared memory or, too large for a slot, by the pipe."""
    with Worker(30) as worker:
        got = list(worker.arrays(200, squares, 10, side))
        assert [number for number, _ in got] == list(range(10))
        assert all(array.shape == (side, side, 3) for _, array in got)
        assert all((array == number).all() for number, array in got)


def test_fault_behind_arrays(importable: None) -> None:
    """A fault comes behind the arrays before it, and the child serves on."""
    with Worker(30) as worker:
        stream = worker.arrays(48, failing, 5)
        assert [next(stream)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(MediaError, match="broken"):
            next(stream)
        pid = worker.call(os.getpid)
        stream = worker.arrays(48, failing, 50)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert worker.call(os.getpid) == pid


def test_hanging_stream_times_out(importable: None) -> None:
    """The limit holds for each array, also while a stream is left."""
    with Worker(0.5) as worker:
        for leave in (False, True):
            stream = worker.arrays(48, slow, 0.0 if leave else 60.0)
            if leave:
                next(stream)
                started = time.monotonic()
                stream.close()  # type: ignore[attr-defined]
                assert time.monotonic() - started < 5
            else:
                with pytest.raises(ItemError) as caught:
                    next(stream)
                assert caught.value.code == "timeout"
        assert worker.call(math.sqrt, 9.0) == 3.0


def test_one_reader_at_a_time(worker: Worker) -> None:
    """A call inside a stream is the caller's mistake, and says so."""
    stream = worker.stream(range, 3)
    assert next(stream) == 0
    with pytest.raises(RuntimeError, match="one reader"):
        worker.call(math.sqrt, 4.0)
    assert list(stream) == [1, 2]


def handles_around_workers() -> tuple[int, int]:
    """Open file handles of this process before three workers and after them."""

    def handles() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = handles()
    for _ in range(3):
        with Worker(10) as worker:
            worker.call(math.sqrt, 4.0)
    return before, handles()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count handles")
def test_worker_leaves_no_handles(importable: None) -> None:
    """Handles go with the child; counted where no other test's server closes its own meanwhile."""
    with Worker(30) as worker:
        before, after = worker.call(handles_around_workers)
    assert before == after
