"""A release that does not fit the memory is the same release."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from earshot.schemas.base import digest_of
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.schemas.release import SplitAssignment
from earshot.tasks.publish_release import shards, source, spool
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.publish_release.source import content_digest, schema_digest
from earshot.tasks.publish_release.spool import collected, collected_records, distinct, values_of
from tests import factories

CONFIG = ReleaseConfig(name="yard", shard_rows=5, row_group_rows=3)


@pytest.fixture
def small_limits(monkeypatch):
    """Every table counts as larger than the memory."""
    monkeypatch.setattr(spool, "HELD_BYTES", 0)
    monkeypatch.setattr(spool, "BATCH_ROWS", 3)
    monkeypatch.setattr(shards, "LARGE_BYTES", 0)
    monkeypatch.setattr(source, "_FEW", 2)


def _two_versions(world, out):
    """A first version, and one with a changed, some new and some withdrawn questions."""
    second = world.change(world.rows(11), Question, 4, question="When, after all?")
    taken = out / "taken.txt"
    out.mkdir()
    taken.write_text("v002\n")
    publish(world.source(), out, CONFIG, now=factories.NOW)
    config = CONFIG.model_copy(update={"takedown_list": str(taken)})
    publish(world.source(second), out, config, now=factories.NOW)
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


@pytest.mark.plots
def test_tables_on_the_disk_make_the_same_bytes(world, tmp_path, request):
    """Every file of two versions, with cards, plots, diff and digests; only paths may differ."""
    held = _two_versions(world, tmp_path / "a")
    request.getfixturevalue("small_limits")
    mapped = _two_versions(world, tmp_path / "b")
    assert held.keys() == mapped.keys()
    assert len(held) > 60
    assert {name for name in held if held[name] != mapped[name]} == set()


def test_the_order_of_the_rows_makes_no_difference(world, tmp_path):
    """A workspace may hand its parts over in any order."""
    rows = world.rows()
    turned = {kind: records[::-1] for kind, records in rows.items()}
    one, other = (
        Path(publish(world.source(each), tmp_path / name, CONFIG, now=factories.NOW).folder)
        for name, each in (("a", rows), ("b", turned))
    )
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert [f for f in files if (one / f).read_bytes() != (other / f).read_bytes()] == []


def test_a_large_table_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    """It is mapped, equal to what came in, and nothing is left behind."""
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    batches = pa.table({"a": range(100_000), "b": ["x"] * 100_000}).to_batches(1000)
    before = pa.total_allocated_bytes()
    monkeypatch.setattr(spool, "HELD_BYTES", 100_000)
    table = collected(batches, batches[0].schema)
    assert pa.total_allocated_bytes() - before < 10_000
    assert list(tmp_path.iterdir()) == []
    assert table.equals(pa.Table.from_batches(batches))


def test_records_are_collected_in_their_order(small_limits):
    """None, some, and more than a batch."""
    for count in (0, 2, 7):
        made = [
            SplitAssignment(
                video_id=f"v{n}", split="train", split_group=None, sha256="a" * 64, since_version=1
            )
            for n in range(count)
        ]
        table = collected_records(SplitAssignment, iter(made))
        assert [name for (name,) in values_of(table, ["video_id"])] == [
            f"v{n}" for n in range(count)
        ]


def test_different_values_come_in_order():
    """Of each pair the first counts."""
    table = pa.table({"a": ["y", "x", "y", "x"], "b": [1, 2, 1, 3]})
    assert distinct(table, ["a", "b"]) == [("y", 1), ("x", 2), ("x", 3)]


@pytest.mark.parametrize("few", [1, 5, 1000])
def test_the_content_digest_is_that_of_the_whole_json(world, monkeypatch, few):
    """However many digests are there at a time."""
    monkeypatch.setattr(source, "_FEW", few)
    tables = world.source().tables
    rows = {name: sorted(table["digest"].to_pylist()) for name, table in tables.items()}
    schemas = {name: schema_digest(table.schema) for name, table in tables.items()}
    whole = digest_of({"licence": "mit", "rows": rows, "schemas": schemas})
    assert content_digest(tables, "mit") == whole
