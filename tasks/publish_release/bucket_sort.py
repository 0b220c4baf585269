"""Sorts more rows than fit the memory into shards: takes record batches in any order, gives tables.

Two passes over the disk: rows are spooled while DuckDB sorts their keys, within a limit and on the
disk where it must, then dealt to the piece of a shard that they belong to, and each piece is sorted
on its own. Holds one number a row, then one piece.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
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
# Rows, and their numbers in their order.
Piece = tuple[pa.Table, pa.Array]


def sorted_shards(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    split_column: str | None,
    order: Sequence[str],
    shard_rows: int,
    piece_rows: int,
) -> Iterator[tuple[str, int, int, Iterator[Piece]]]:
    """Yield (split, shard, shards of the split, its pieces), each split sorted as a whole.

    A shard's pieces are to be taken before the next shard is.

    Args:
        batches: rows of `schema`, read once.
        schema: of the batches.
        split_column: rows of one value are sorted among themselves; values come in their order.
            None: all rows are of one split, "".
        order: columns to sort by, ascending.
        shard_rows: rows of a shard; the last one of a split has the rest.
        piece_rows: rows of a piece; the last one of a shard has the rest.
    """
    with tempfile.TemporaryDirectory(prefix="earshot-sort-") as place:
        folder = Path(place)
        spool, keys = folder / "spool.arrow", folder / "keys.arrow"
        names = [split_column, *order] if split_column else list(order)
        rows = _spool(batches, schema, spool, keys, names)
        pieces, goes_to = _deal(keys, rows, names, split_column, shard_rows, piece_rows)
        keys.unlink()
        _distribute(spool, goes_to, folder, len(pieces), schema)
        spool.unlink()
        del goes_to
        shards_of = Counter(split for split, _ in set(pieces))
        for (split, shard), numbers in groupby(range(len(pieces)), key=pieces.__getitem__):
            yield split, shard, shards_of[split], _pieces(folder, numbers, order)


def _pieces(folder: Path, numbers: Iterable[int], order: Sequence[str]) -> Iterator[Piece]:
    """Yield pieces, each mapped from a file that has no name any more."""
    for number in numbers:
        path = folder / f"{number}.arrow"
        rows = mapped(path)
        path.unlink()
        yield rows, order_of(rows, order)
        del rows


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
    keys: Path,
    rows: int,
    names: Sequence[str],
    split_column: str | None,
    shard_rows: int,
    piece_rows: int,
) -> tuple[list[tuple[str, int]], Numbers]:
    """Return each piece's (split, shard in it), and the piece that each row goes to."""
    pieces: list[tuple[str, int]] = []
    goes_to = np.empty(rows, np.int32)
    shard_room = piece_room = 0
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
                    is_new = not pieces or pieces[-1][0] != split
                    if is_new or not shard_room:
                        pieces.append((split, 0 if is_new else pieces[-1][1] + 1))
                        shard_room, piece_room = shard_rows, piece_rows
                    elif not piece_room:
                        pieces.append(pieces[-1])
                        piece_room = piece_rows
                    taken = min(shard_room, piece_room, end - begin)
                    goes_to[row[begin : begin + taken]] = len(pieces) - 1
                    begin, shard_room, piece_room = (
                        begin + taken, shard_room - taken, piece_room - taken
                    )  # fmt: skip
    return pieces, goes_to


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
    """Write each row to the file of its piece."""
    with ExitStack() as open_files:
        outs = []
        for piece in range(count):
            sink = open_files.enter_context(pa.OSFile(str(folder / f"{piece}.arrow"), "wb"))
            outs.append(open_files.enter_context(pa.ipc.new_stream(sink, schema)))
        at = 0
        with pa.OSFile(str(spool), "rb") as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                mine = goes_to[at : at + batch.num_rows]
                for piece in np.unique(mine):
                    outs[piece].write_batch(batch.take(pa.array(np.flatnonzero(mine == piece))))
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
