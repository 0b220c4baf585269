"""Rows on the disk: brought into the order of a plan, or found by number, without holding them.

Rows are written to the disk as they are made; a plan made of their numbers then deals them to
buckets, each of which is sorted on its own. Holds a bucket, and some bytes a row for the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BUCKET_ROWS = 4_096
MOST_BUCKETS = 200
_PLACE = "__place"

Ints = npt.NDArray[np.int64]


class Spool:
    """Rows on the disk.

    Args:
        folder: for its files; it has to be there.
        schema: of the rows.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._path = folder / "rows.arrow"
        self._rows = 0

    def write(self, tables: Iterable[pa.Table]) -> None:
        """Write all rows."""
        with pa.OSFile(str(self._path), "wb") as sink, pa.ipc.new_stream(sink, self._schema) as out:
            for table in tables:
                for batch in table.combine_chunks().to_batches():
                    out.write_batch(batch)
                    self._rows += batch.num_rows

    def in_order(self, order: Ints) -> Iterator[pa.Table]:
        """Yield the rows by number, in that order; a number may come more than once or never."""
        size = max(BUCKET_ROWS, -(-len(order) // MOST_BUCKETS))
        count = -(-len(order) // size)
        schema = self._schema.append(pa.field(_PLACE, pa.int64()))
        with ExitStack() as open_files:
            outs = []
            for bucket in range(count):
                sink = open_files.enter_context(pa.OSFile(str(self._bucket(bucket)), "wb"))
                outs.append(open_files.enter_context(pa.ipc.new_stream(sink, schema)))
            for bucket, batch in self._dealt(order, size):
                outs[bucket].write_batch(batch)
        for bucket in range(count):
            yield self._sorted(self._bucket(bucket))

    def left_out(self, order: Ints, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of the rows whose number is not in the order."""
        is_out = np.ones(self._rows, bool)
        is_out[order] = False
        at = 0
        # Mapped: of the other columns nothing is read.
        with pa.memory_map(str(self._path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                mine = is_out[at : at + batch.num_rows]
                at += batch.num_rows
                if mine.any():
                    yield pa.Table.from_batches([batch.select(columns).filter(pa.array(mine))])

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self._path), "rb") as source, pa.ipc.open_stream(source) as reader:
            yield from reader

    def _dealt(self, order: Ints, size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        places = np.argsort(order, kind="stable")
        numbers = order[places]
        at = 0
        for batch in self._batches():
            low, high = np.searchsorted(numbers, [at, at + batch.num_rows])
            first, at = at, at + batch.num_rows
            if low == high:
                continue
            mine = places[low:high]
            by_bucket = np.argsort(mine // size, kind="stable")
            mine = mine[by_bucket]
            rows = batch.take(pa.array(numbers[low:high][by_bucket] - first))
            rows = rows.append_column(_PLACE, pa.array(mine))
            buckets, begins = np.unique(mine // size, return_index=True)
            ends = [*begins[1:].tolist(), len(mine)]
            for bucket, begin, end in zip(buckets.tolist(), begins.tolist(), ends, strict=True):
                yield bucket, rows.slice(begin, end - begin)

    def _sorted(self, path: Path) -> pa.Table:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
            table = reader.read_all().combine_chunks()
        path.unlink()
        order = np.argsort(table[_PLACE].to_numpy(), kind="stable")
        return table.drop_columns([_PLACE]).take(pa.array(order))

    def _bucket(self, number: int) -> Path:
        return self._folder / f"bucket-{number}.arrow"


class Lookup:
    """Rows on the disk, found by their numbers once all are there; no copy of them is held.

    Args:
        path: of its file.
        schema: of the rows.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._out = pa.ipc.new_stream(str(path), schema)
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Write rows behind those that are there."""
        self._out.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write no more."""
        self._out.close()

    def take(self, numbers: Ints) -> pa.Table:
        """Return the rows of some numbers, in their order."""
        order = np.argsort(numbers, kind="stable")
        rising, found, at = numbers[order], [], 0
        for batch in self._batches:
            low, high = np.searchsorted(rising, [at, at + batch.num_rows])
            if low < high:
                found.append(batch.take(pa.array(rising[low:high] - at)))
            at += batch.num_rows
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(found, self._schema).combine_chunks().take(pa.array(back))

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        self.close()
        return list(pa.ipc.open_stream(pa.memory_map(str(self._path))))
