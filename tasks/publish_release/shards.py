"""Writes and reads the Parquet files of a release; the one place that knows their settings.

zstd-3, row groups of 8192, dictionary on low-cardinality columns only (measured: smaller and faster
than a dictionary on all, and one video is found in 14 ms), page index. No page checksums: they cost
a fifth of the writing, and the manifest's sha256 covers every byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.schemas.arrow import table_schema
from earshot.schemas.base import Record
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.bucket_sort import Piece, order_of, sorted_shards
from earshot.tasks.publish_release.source import KINDS
from earshot.tasks.publish_release.spool import let_go

LARGE_BYTES = 128 * 2**20
"""Tables above are sorted on the disk, by pieces."""

PIECES = 4
"""Of a shard: each is a file that is open while rows are dealt."""

SPLITS = ("train", "validation", "test")
QUESTION_ORDER = ("video_id", "question_id")

# Few distinct values a row group; a path is as Parquet writes it, lists by `.list.element`.
_LOW_CARDINALITY = frozenset(
    {
        "split", "task", "branch", "pack", "template_id", "inspected_by", "box_space", "label",
        "time_source", "caption_source", "audibility", "source", "backend", "backend_version",
        "weights_digest", "settings_digest", "verdict", "annotator", "stage", "status",
        "reason_code", "licence", "video_codec", "audio_codec", "split_group",
        "state.list.element", "tubes.list.element.verdict", "reasons.list.element",
    }
)  # fmt: skip


def row_order(kind: type[Record]) -> tuple[str, ...]:
    """Return the columns that a table is sorted by: the video first, then the key."""
    first = ("video_id",) if "video_id" in kind.ARROW.names else ()
    return (*first, *(name for name in kind.KEY if name not in first))


def write_tables(tables: dict[str, pa.Table], folder: Path, config: ReleaseConfig) -> None:
    """Write each table as `folder/<name>.parquet`, sorted by video and key."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        order = row_order(KINDS[name])
        path = folder / f"{name}.parquet"
        if table.nbytes > LARGE_BYTES:
            whole, rows = table.num_rows, piece_rows(config)
            shards = sorted_shards(table.to_batches(), table.schema, None, order, whole, rows)
            for *_, pieces in shards:
                _write(pieces, table.schema, path, order, config)
            continue
        _write([(table, order_of(table, order))], table.schema, path, order, config)


def write_questions(
    questions: pa.Table | Iterable[pa.RecordBatch], folder: Path, config: ReleaseConfig
) -> None:
    """Write `<folder>/<split>/questions-00000-of-000NN.parquet`, sorted over all shards of a split.

    One global order, since shards that are sorted each on their own cannot be skipped when one
    video is looked up. Questions of more than two shards are sorted on the disk, so that they need
    the memory of a piece of a shard and of some bytes a row.
    """
    if isinstance(questions, pa.Table) and questions.num_rows <= 2 * config.shard_rows:
        shards = _shards(questions, config.shard_rows)
    else:
        batches = questions.to_batches() if isinstance(questions, pa.Table) else questions
        schema = table_schema(Question)
        rows = piece_rows(config)
        shards = sorted_shards(batches, schema, "split", QUESTION_ORDER, config.shard_rows, rows)
    for split, shard, count, pieces in shards:
        (folder / split).mkdir(parents=True, exist_ok=True)
        name = f"{Question.TABLE}-{shard:05d}-of-{count:05d}.parquet"
        _write(pieces, table_schema(Question), folder / split / name, QUESTION_ORDER, config)
        # Or this shard would be held while the next is read, and what writing it took.
        del pieces
        pa.default_memory_pool().release_unused()


def piece_rows(config: ReleaseConfig) -> int:
    """Return the rows that are sorted at a time: a quarter of a shard, in whole row groups.

    Whole, so that a file is the same in however many pieces it comes.
    """
    groups = -(-config.shard_rows // config.row_group_rows)
    return -(-groups // PIECES) * config.row_group_rows


def row_count(path: Path) -> int:
    """Return the rows of a Parquet file, from its footer."""
    return int(pq.read_metadata(path).num_rows)


def _shards(
    questions: pa.Table, shard_rows: int
) -> Iterator[tuple[str, int, int, Iterator[Piece]]]:
    order = order_of(questions, QUESTION_ORDER)
    splits = questions["split"].combine_chunks().take(order)
    for split in SPLITS:
        rows = order.filter(pc.equal(splits, split))
        count = -(-len(rows) // shard_rows)
        for shard in range(count):
            numbers = rows.slice(shard * shard_rows, shard_rows)
            yield split, shard, count, iter([(questions, numbers)])


def _write(
    pieces: Iterable[Piece],
    schema: pa.Schema,
    path: Path,
    order: tuple[str, ...],
    config: ReleaseConfig,
) -> None:
    """Write the numbered rows of tables, gathered a row group at a time: no second table."""
    leaves = _leaf_paths(schema)
    options = {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [leaf for leaf in leaves if leaf in _LOW_CARDINALITY],
        "write_page_index": True,
        "sorting_columns": pq.SortingColumn.from_ordering(
            schema, [(name, "ascending") for name in order]
        ),
    }
    size = config.row_group_rows
    with pq.ParquetWriter(path, schema, **options) as out:
        for table, rows in pieces:
            for start in range(0, len(rows), size):
                out.write_table(_gathered(table, rows.slice(start, size)), row_group_size=size)
                let_go()
            # Or this piece would be held while the next is read.
            del table, rows


def _gathered(table: pa.Table, rows: pa.Array) -> pa.Table:
    """Return some rows of a table, in this order.

    Of the stretch that they lie in: `take` first makes one chunk of all that it is given.
    """
    ends = pc.min_max(rows)
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return table.slice(first, last - first + 1).take(pc.subtract(rows, first))


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """Return the Parquet paths of all columns that hold values."""
    found: list[str] = []
    for field in schema:
        found += _leaves_of(field, field.name)
    return found


def _leaves_of(field: pa.Field, path: str) -> list[str]:
    if pa.types.is_list(field.type):
        return _leaves_of(field.type.value_field, f"{path}.list.element")
    if pa.types.is_struct(field.type):
        inner = [field.type.field(i) for i in range(field.type.num_fields)]
        return [leaf for each in inner for leaf in _leaves_of(each, f"{path}.{each.name}")]
    return [path]
