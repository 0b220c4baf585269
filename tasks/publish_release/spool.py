"""Tables that may be larger than the memory: takes record batches, gives a table.

A small table is held; a large one lies in a file that has no name any more and is mapped, so that
the system can drop its pages at any time. Whoever goes through such a table takes it by batches.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import pyarrow as pa

from earshot.schemas.arrow import table_schema, to_table
from earshot.schemas.base import Record

R = TypeVar("R", bound=Record)

HELD_BYTES = 32 * 2**20
"""A table up to this size is held in memory."""

_BATCHES_KEPT = 16
_PAGES: WeakSet[mmap.mmap] = WeakSet()

BATCH_ROWS = 4096
"""Rows that become Python objects at a time."""


def collected(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Return all batches as one table, in their order."""
    held: list[pa.RecordBatch] = []
    size = 0
    coming = iter(batches)
    for batch in coming:
        held.append(batch)
        size += batch.nbytes
        if size > HELD_BYTES:
            break
    else:
        return pa.Table.from_batches(held, schema)
    handle, path = tempfile.mkstemp(prefix="earshot-table-", suffix=".arrow")
    os.close(handle)
    try:
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, schema) as out:
            while held:
                out.write_batch(held.pop(0))
            for batch in coming:
                out.write_batch(batch)
        return mapped(Path(path))
    finally:
        Path(path).unlink()


def mapped(path: Path) -> pa.Table:
    """Return the rows of an Arrow stream, mapped into memory: none is copied."""
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _PAGES.add(pages)
    return pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(pages))).read_all()


def let_go() -> None:
    """Drop the pages of all mapped tables; whoever reads on gets them from the file again."""
    for pages in list(_PAGES):
        pages.madvise(mmap.MADV_DONTNEED)


def collected_records(kind: type[R], records: Iterable[R]) -> pa.Table:
    """Return a table of records, of which few are there at a time."""
    coming = iter(records)
    pieces = iter(lambda: to_table(kind, islice(coming, BATCH_ROWS)), None)
    tables = takewhile(lambda piece: piece.num_rows, pieces)
    batches = (batch for piece in tables for batch in piece.to_batches())
    return collected(batches, table_schema(kind))


def batches_of(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows by batches that may become Python objects."""
    for number, batch in enumerate(table.to_batches(max_chunksize=BATCH_ROWS), 1):
        yield batch
        if number % _BATCHES_KEPT == 0:
            let_go()


def values_of(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of some columns, row by row."""
    for batch in batches_of(table.select(list(columns))):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def dicts_of(table: pa.Table, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows as dicts."""
    kept = table if columns is None else table.select(list(columns))
    for batch in batches_of(kept):
        yield from batch.to_pylist()


def videos_of(questions: pa.Table) -> set[str]:
    """Return the videos that some questions are about."""
    return {video_id for (video_id,) in distinct(questions, ["video_id"])}


def distinct(table: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the different values of some columns together, in the order in which they come."""
    kept = table.select(list(columns))
    # One thread: more of them would leave the order to chance.
    found = kept.group_by(list(columns), use_threads=False).aggregate([])
    return list(values_of(found, columns))
