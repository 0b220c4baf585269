"""Sorts more rows than fit the memory into shards: takes record batches in any order, gives tables.

Two passes over the disk: rows are spooled while their keys are ranked, then dealt to the shard that
their rank belongs to, and each shard is sorted on its own, by numbers. Holds the keys, then one
shard.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.int64]


def sorted_shards(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    split_column: str,
    order: Sequence[str],
    shard_rows: int,
) -> Iterator[tuple[str, int, int, pa.Table, pa.Array]]:
    """Yield (split, shard, shards of the split, rows, their order), each split sorted as a whole.

    Args:
        batches: rows of `schema`, read once.
        schema: of the batches.
        split_column: rows of one value are sorted among themselves; values come in their order.
        order: columns to sort by, ascending.
        shard_rows: rows of a shard; the last one of a split has the rest.
    """
    with tempfile.TemporaryDirectory(prefix="earshot-sort-") as folder:
        spool = Path(folder) / "spool.arrow"
        names, places, counts = _deal(_spooled(batches, schema, spool, [split_column, *order]))
        shards = [-(-count // shard_rows) for count in counts]
        first = np.cumsum([0, *shards])
        goes_to = first[places[0]] + places[1] // shard_rows
        _distribute(spool, goes_to, Path(folder), int(first[-1]), schema)
        spool.unlink()
        for code, name in enumerate(names):
            for shard in range(shards[code]):
                path = Path(folder) / f"{first[code] + shard}.arrow"
                rows = _read(path)
                yield name, shard, shards[code], rows, order_of(rows, order)
                path.unlink()


def _spooled(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, spool: Path, keys: Sequence[str]
) -> pa.Table:
    """Write all batches to a file; return their key columns."""
    kept = []
    with pa.OSFile(str(spool), "wb") as sink, pa.ipc.new_stream(sink, schema) as out:
        for batch in batches:
            out.write_batch(batch)
            # A copy: a slice would hold the whole batch in memory.
            kept.append(pa.RecordBatch.from_arrays([_copied(batch[k]) for k in keys], keys))
    none = [pa.array([], schema.field(key).type) for key in keys]
    return pa.Table.from_batches(kept or [pa.RecordBatch.from_arrays(none, keys)])


def _copied(column: pa.Array) -> pa.Array:
    return pa.concat_arrays([column, column.slice(0, 0)])


def _deal(keys: pa.Table) -> tuple[list[str], tuple[Numbers, Numbers], list[int]]:
    """Return the splits, each row's (split, rank in it), and the rows of each split."""
    by = [(name, "ascending") for name in keys.column_names]
    order: Numbers = pc.sort_indices(keys, sort_keys=by).to_numpy()
    names = sorted(keys.column(0).unique().to_pylist())
    codes = pc.index_in(keys.column(0), pa.array(names, keys.schema.field(0).type)).to_numpy()
    counts = np.bincount(codes, minlength=len(names))
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return names, (codes, ranks - begins[codes] if len(order) else ranks), counts.tolist()


def _distribute(spool: Path, goes_to: Numbers, folder: Path, count: int, schema: pa.Schema) -> None:
    """Write each row to the file of its shard."""
    with ExitStack() as open_files:
        outs = []
        for shard in range(count):
            sink = open_files.enter_context(pa.OSFile(str(folder / f"{shard}.arrow"), "wb"))
            outs.append(open_files.enter_context(pa.ipc.new_stream(sink, schema)))
        at = 0
        with pa.OSFile(str(spool), "rb") as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                mine = goes_to[at : at + batch.num_rows]
                for shard in np.unique(mine):
                    outs[shard].write_batch(batch.take(pa.array(np.flatnonzero(mine == shard))))
                at += batch.num_rows


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        return reader.read_all()


def order_of(table: pa.Table, order: Sequence[str]) -> pa.Array:
    """Return the numbers of the rows in the order of some columns."""
    keys = table.select(list(order))
    if _is_sorted(keys):
        return pa.array(np.arange(table.num_rows))
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in order])


def _is_sorted(keys: pa.Table) -> bool:
    """Tell whether no row is below the one before: a tenth of what sorting them costs."""
    if keys.num_rows < 2:
        return True
    is_right: pa.ChunkedArray | pa.Scalar = pa.scalar(True)
    for name in reversed(keys.column_names):
        before, after = keys[name].slice(0, keys.num_rows - 1), keys[name].slice(1)
        is_tie = pc.and_(pc.equal(before, after), is_right)
        is_right = pc.or_(pc.less(before, after), is_tie)
    return bool(pc.all(is_right).as_py())
