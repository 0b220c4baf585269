"""Rows that don't fit the memory are sorted on the disk, into the same files."""

from __future__ import annotations

import pyarrow as pa
import pytest

from earshot.schemas.arrow import table_schema
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.bucket_sort import order_of, sorted_shards
from earshot.tasks.publish_release.shards import write_questions


def _bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


@pytest.mark.parametrize("shard_rows", [1, 5, 7, 100])
def test_streamed_rows_make_the_same_files_as_a_table(world, tmp_path, shard_rows):
    """Byte for byte, whatever the order and the size of the batches."""
    table = world.source().tables[Question.TABLE]
    config = ReleaseConfig(shard_rows=shard_rows, row_group_rows=3)
    mixed = table.take(pa.array([i * 7 % 24 for i in range(24)]))
    write_questions(mixed.to_batches(max_chunksize=5), tmp_path / "stream", config)
    write_questions(mixed, tmp_path / "table", config)
    assert _bytes(tmp_path / "stream") == _bytes(tmp_path / "table")
    assert sum(1 for _ in (tmp_path / "table" / "train").iterdir()) == -(-12 // shard_rows)


def test_no_rows_make_no_shard():
    """Nothing to sort is no error."""
    assert list(sorted_shards([], table_schema(Question), "split", ["question_id"], 5, 2)) == []


def test_rows_are_numbered_in_order_of_the_first_column_then_the_next():
    """What is in order already is told without sorting it."""
    table = pa.table({"a": [1, 1, 2], "b": ["x", "y", "a"]})
    assert order_of(table, ["a", "b"]).to_pylist() == [0, 1, 2]
    assert order_of(table, ["b"]).to_pylist() == [2, 0, 1]
    assert order_of(table.slice(0, 0), ["a"]).to_pylist() == []
    assert order_of(pa.table({"a": [1, 1], "b": ["y", "x"]}), ["a", "b"]).to_pylist() == [1, 0]
