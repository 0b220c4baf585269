"""The Parquet files are written as measured to be best."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.shards import row_order, write_questions
from earshot.tasks.publish_release.source import KINDS


def _questions(folder, split):
    return [pq.read_table(path) for path in sorted((folder / "data" / split).iterdir())]


def test_shards_are_numbered_and_hold_no_more_than_asked(release):
    """Twelve train rows in shards of five."""
    names = sorted(path.name for path in (release / "data" / "train").iterdir())
    assert names == [f"questions-0000{i}-of-00003.parquet" for i in range(3)]
    assert [shard.num_rows for shard in _questions(release, "train")] == [5, 5, 2]


def test_questions_are_sorted_over_all_shards(release):
    """By video, then by question: a reader skips all shards but one."""
    rows = pa.concat_tables(_questions(release, "train"))
    pairs = list(zip(rows["video_id"].to_pylist(), rows["question_id"].to_pylist(), strict=True))
    assert pairs == sorted(pairs)


@pytest.mark.parametrize("table", ["tubes", "mentions", "event_objects", "inspections"])
def test_every_table_is_sorted_by_video_and_key(release, table):
    """Tables without a video column are sorted by their key, which begins with it."""
    rows = pq.read_table(release / "tables" / f"{table}.parquet")
    order = [rows[name].to_pylist() for name in row_order(KINDS[table])]
    assert list(zip(*order, strict=True)) == sorted(zip(*order, strict=True))


def test_columns_are_zstd_and_dictionaries_stand_on_few_values_only(release):
    """A dictionary of ids or texts would only cost."""
    group = pq.ParquetFile(next((release / "data" / "test").iterdir())).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    by_dictionary = {path for path, column in columns.items() if column.has_dictionary_page}
    assert {"split", "task", "pack", "template_id", "box_space"} <= by_dictionary
    assert by_dictionary.isdisjoint({"question_id", "video_id", "question", "answer", "truth_json"})
    assert all(column.has_offset_index for column in columns.values())


def test_states_of_tubes_are_in_a_dictionary_and_their_boxes_are_not(release):
    """The paths of nested columns are those that Parquet writes."""
    group = pq.ParquetFile(release / "tables" / "tubes.parquet").metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["state.list.element"].has_dictionary_page
    assert not columns["boxes.list.element.x1"].has_dictionary_page


def test_row_groups_have_the_configured_size(world, tmp_path):
    """Small groups make one video quick to find."""
    config = ReleaseConfig(row_group_rows=2)
    write_questions(world.source().tables[Question.TABLE], tmp_path, config)
    shard = next((tmp_path / "test").iterdir())
    assert pq.read_metadata(shard).num_row_groups == 3


def test_a_table_in_many_chunks_gives_the_same_bytes(world, tmp_path):
    """Rows are gathered from the stretch that they lie in, whatever their order and chunks."""
    rows = world.source().tables[Question.TABLE].combine_chunks()
    turned = rows.take(pa.array(range(rows.num_rows - 1, -1, -1)))
    cut = pa.Table.from_batches(rows.to_batches(max_chunksize=2))
    config = ReleaseConfig(row_group_rows=4)
    written = []
    for name, table in {"whole": rows, "turned": turned, "cut": cut}.items():
        write_questions(table, tmp_path / name, config)
        paths = sorted((tmp_path / name).rglob("*.parquet"))
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1] == written[2]
