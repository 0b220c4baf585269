"""Sorts more rows than fit the memory into shards: takes record batches in any order, gives tables.

Two passes over the disk: rows are spooled while DuckDB sorts their keys, within a limit and on the
disk where it must, then dealt to the shard that they belong to, and each shard is sorted on its
own. Holds one number a row, then one shard.
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

from earshot.tasks.publish_release.bounded import bounded
from earshot.tasks.publish_release.spool import mapped

KEYS_MB = 128
"""What DuckDB may take to sort the keys."""

Numbers = npt.NDArray[np.int32]


def sorted_shards(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    split_column: str | None,
    order: Sequence[str],
    shard_rows: int,
) -> Iterator[tuple[str, int, int, tuple[pa.Table, pa.Array]]]:
    """Yield (split, shard, shards of the split, (rows, their order)), each split sorted as a whole.

    Args:
        batches: rows of `schema`, read once.
        schema: of the batches.
        split_column: rows of one value are sorted among themselves; values come in their order.
            None: all rows are of one split, "".
        order: columns to sort by, ascending.
        shard_rows: rows of a shard; the last one of a split has the rest.
    """
    with tempfile.TemporaryDirectory(prefix="earshot-sort-") as place:
        folder = Path(place)
        spool, keys = folder / "spool.arrow", folder / "keys.arrow"
        names = [split_column, *order] if split_column else list(order)
        rows = _spool(batches, schema, spool, keys, names)
        shards, goes_to = _deal(keys, rows, names, split_column, shard_rows)
        keys.unlink()
        _distribute(spool, goes_to, folder, len(shards), schema)
        spool.unlink()
        del goes_to
        for number, (split, shard) in enumerate(shards):
            count = sum(other == split for other, _ in shards)
            path = folder / f"{number}.arrow"
            piece = mapped(path)
            path.unlink()
            yield split, shard, count, (piece, order_of(piece, order))
            del piece


def _spool(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    spool: Path,
    keys: Path,
    names: Sequence[str],
) -> int:
    """Write all batches to a file, and their keys to another; return the number of rows."""
    rows = 0
    with (
        pa.OSFile(str(spool), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as out,
        pa.OSFile(str(keys), "wb") as key_sink,
        pa.ipc.new_stream(key_sink, pa.schema([schema.field(n) for n in names])) as key_out,
    ):
        for batch in batches:
            out.write_batch(batch)
            key_out.write_batch(batch.select(names))
            rows += batch.num_rows
    return rows


def _deal(
    keys: Path, rows: int, names: Sequence[str], split_column: str | None, shard_rows: int
) -> tuple[list[tuple[str, int]], Numbers]:
    """Return the shards as (split, number in it), and the shard that each row goes to."""
    shards: list[tuple[str, int]] = []
    goes_to = np.empty(rows, np.int32)
    room = 0
    columns = ", ".join(f'"{name}"' for name in names)
    with pa.OSFile(str(keys), "rb") as source, bounded(KEYS_MB) as sql:
        numbered = _numbered(pa.ipc.open_stream(source))
        sql.register("keys", numbered)
        split = f'"{split_column}"' if split_column else "''"
        ranked = sql.table("keys").order(columns).project(f"{split} AS split, row")
        for batch in ranked.to_arrow_reader(1 << 16):
            row = batch["row"].to_numpy()
            for split, begin, end in _runs(batch["split"]):
                while begin < end:
                    if not shards or shards[-1][0] != split:
                        shards.append((split, 0))
                        room = shard_rows
                    elif not room:
                        shards.append((split, shards[-1][1] + 1))
                        room = shard_rows
                    taken = min(room, end - begin)
                    goes_to[row[begin : begin + taken]] = len(shards) - 1
                    begin, room = begin + taken, room - taken
    return shards, goes_to


def _numbered(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in reader:
            numbers = pa.array(np.arange(at, at + batch.num_rows))
            at += batch.num_rows
            yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)

    schema = reader.schema.append(pa.field("row", pa.int64()))
    return pa.RecordBatchReader.from_batches(schema, batches())


def _runs(splits: pa.Array) -> Iterator[tuple[str, int, int]]:
    """Yield (value, begin, end) of the runs of equal values."""
    runs = pc.run_end_encode(splits)
    begin = 0
    for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield value, begin, end
        begin = end


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
