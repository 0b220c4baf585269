"""CSV and Parquet manifests: the same entries as JSON lines, and what is no table is told."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import InputError
from earshot.schemas.arrow import to_table
from earshot.schemas.manifest import ManifestEntry, RawCaption, RawEvent
from earshot.store.manifests import read_manifest
from tests.schemas.strategies import fields_of, records
from tests.store.manifests.reading import read_text

Entries = Sequence[ManifestEntry]
SHARED = ("sha256", "licence", "source", "split_group")
HEAD = "video_id,uri,start_s,end_s,text\n"


def _without_empty(entry: ManifestEntry) -> ManifestEntry:
    # A CSV cell can't tell an empty text from none.
    return entry.model_copy(update={name: getattr(entry, name) or None for name in SHARED})


def _listed(strategy: st.SearchStrategy[ManifestEntry]) -> st.SearchStrategy[list[ManifestEntry]]:
    entries = strategy.map(_without_empty)
    return st.lists(entries, min_size=1, max_size=3, unique_by=lambda entry: entry.video_id)


TIMES_S = st.floats(allow_nan=False, allow_infinity=False)
CAPTIONS = st.builds(RawCaption, start_s=TIMES_S, end_s=TIMES_S, text=st.text(max_size=12))
FLAT_ENTRIES = fields_of(
    ManifestEntry,
    captions=st.lists(CAPTIONS, max_size=4).map(tuple),
    events=st.just(tuple[RawEvent]()),
)


def write_jsonl(path: Path, entries: Entries) -> Path:
    """Write entries as JSON lines."""
    path = path.with_suffix(".jsonl")
    path.write_text("".join(entry.model_dump_json() + "\n" for entry in entries))
    return path


def write_csv(path: Path, entries: Entries) -> Path:
    """Write entries as CSV, captions and events as JSON."""
    rows = [entry.model_dump(mode="json") for entry in entries]
    for row in rows:
        row["captions"], row["events"] = json.dumps(row["captions"]), json.dumps(row["events"])
    return _csv(path, rows)


def write_parquet(path: Path, entries: Entries) -> Path:
    """Write entries as a nested Parquet table."""
    pq.write_table(to_table(ManifestEntry, entries), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def flat_rows(entries: Entries) -> list[dict[str, object]]:
    """Return a row for each caption, and one for an entry without any."""
    rows: list[dict[str, object]] = []
    for entry in entries:
        shared = {name: getattr(entry, name) for name in ("video_id", "uri", *SHARED)}
        rows += [
            {**shared, "start_s": one.start_s, "end_s": one.end_s, "text": one.text}
            for one in entry.captions
        ] or [{**shared, "start_s": None, "end_s": None, "text": None}]
    return rows


def write_flat_csv(path: Path, entries: Entries) -> Path:
    """Write entries as CSV, one row a caption."""
    return _csv(path, flat_rows(entries))


def write_flat_parquet(path: Path, entries: Entries) -> Path:
    """Write entries as Parquet, one row a caption."""
    pq.write_table(pa.Table.from_pylist(flat_rows(entries)), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def _csv(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path.with_suffix(".csv")


Writer = Callable[[Path, Entries], Path]


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
@settings(max_examples=40, deadline=None)
@given(entries=_listed(records(ManifestEntry)))
def test_any_manifest_is_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, write: Writer, entries: list[ManifestEntry]
) -> None:
    """Captions and events, unreadable ones too, come back as they were, in order."""
    manifest = read_manifest(str(write(tmp_path_factory.getbasetemp() / "m", entries)))
    assert manifest.faults == ()
    assert list(manifest.entries.values()) == entries


@pytest.mark.parametrize("write", [write_flat_csv, write_flat_parquet])
@settings(max_examples=40, deadline=None)
@given(entries=_listed(FLAT_ENTRIES))
def test_one_row_a_caption_is_the_same_manifest(
    tmp_path_factory: pytest.TempPathFactory, write: Writer, entries: list[ManifestEntry]
) -> None:
    """Captions are gathered by video; a video without captions is a row without them."""
    manifest = read_manifest(str(write(tmp_path_factory.getbasetemp() / "f", entries)))
    assert manifest.faults == ()
    assert list(manifest.entries.values()) == entries


def test_rows_of_a_video_need_not_stand_together(tmp_path: Path) -> None:
    """Captions keep the file's order within their video, and an id its leading zeros."""
    text = HEAD + "007,a.mp4,0,1,one\n08,b.mp4,0,1,two\n007,a.mp4,1,2,three\n"
    manifest = read_text(tmp_path, "m.csv", text)
    assert [c.text for c in manifest.entries["007"].captions] == ["one", "three"]
    assert list(manifest.entries) == ["007", "08"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, delimiter: str, ends: str) -> None:
    """Semicolons, tabs, a byte order mark and either line end make the same manifest."""
    lines = ["video_id,uri,start_s,end_s,text", "a,a.mp4,0,1,A dog.", ""]
    text = "\ufeff" + ends.join(lines).replace(",", delimiter)
    manifest = read_text(tmp_path, "m.csv", text)
    assert manifest.faults == ()
    assert manifest.entries["a"].captions[0].text == "A dog."


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    """A cell may be longer than the csv module's own limit, which stays as it was."""
    limit = csv.field_size_limit()
    manifest = read_text(tmp_path, "m.csv", HEAD + f'a,a.mp4,0,1,"{"x" * 200_000}"\n')
    assert len(manifest.entries["a"].captions[0].text) == 200_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("line", "code", "video_id", "message"),
    [
        ("b,b.mp4,0,1", "bad_entry", "b", "line 3: 4 cells, expected 5"),
        ("b,b.mp4,0,1,two,three", "bad_entry", "b", "line 3: 6 cells, expected 5"),
        (",b.mp4,0,1,two", "bad_entry", "", "line 3: video_id: expected a text"),
        ("b/c,b.mp4,0,1,two", "bad_entry", "b/c", "rename it in the manifest"),
        ("b,,0,1,two", "bad_entry", "b", "uri is '': expected at least 1"),
        ("a,other.mp4,0,1,two", "duplicate_id", "a", "has uri 'other.mp4' here and 'a.mp4'"),
        ('b,b.mp4,0,1,"two', "bad_entry", None, "line 3: .*mend the quotes"),
        ('b,b.mp4,0,1,"two"x', "bad_entry", None, "line 3: .*mend the quotes"),
    ],
)
def test_a_bad_csv_row_is_named_and_the_others_are_read(
    tmp_path: Path, line: str, code: str, video_id: str | None, message: str
) -> None:
    """Also behind an open quote, which would otherwise swallow the rest of the file."""
    text = HEAD + f'a,a.mp4,0,1,one\n{line}\nc,c.mp4,0,1,"three, four"\nd,d.mp4,0,1,five\n'
    manifest = read_text(tmp_path, "m.csv", text)
    assert list(manifest.entries) == ["a", "c", "d"]
    (fault,) = manifest.faults
    assert (fault.line, fault.reason_code, fault.video_id) == (3, code, video_id)
    assert fault.value is not None
    assert re.search(message, fault.message)


def test_nested_cells_that_are_no_json_are_named(tmp_path: Path) -> None:
    """A cell that can't be read, or a video that stands twice, costs its row."""
    text = 'video_id,uri,captions\na,a.mp4,[{\nb,b.mp4,"{""x"": 1}"\nc,c.mp4,\nc,c.mp4,\n'
    manifest = read_text(tmp_path, "m.csv", text)
    assert list(manifest.entries) == ["c"]
    assert [(f.line, f.video_id, f.reason_code) for f in manifest.faults] == [
        (2, "a", "bad_entry"),
        (3, "b", "bad_entry"),
        (5, "c", "duplicate_id"),
    ]
    assert "captions is no JSON" in manifest.faults[0].message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("video_id,start_s,end_s,text", "missing 'uri'"),
        ("video_id,uri,start_s,text", "missing 'end_s'"),
        ("video_id,uri,caption", "unknown 'caption'"),
        ("video_id,uri,uri", "twice 'uri'"),
        ("video_id,uri,start_s,end_s,text,events", "beside start_s: 'events'"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_wrong_columns_are_told_with_what_was_expected(
    tmp_path: Path, kind: str, header: str, message: str
) -> None:
    """The message has the columns that are wrong, those found, and those that are known."""
    path = tmp_path / f"m.{kind}"
    if kind == "csv":
        path.write_text(header + "\n")
    else:
        names = header.split(",")
        pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * len(names), names), path)
    with pytest.raises(InputError, match=f"{message}.*[Ff]ound video_id.*expected video_id, uri"):
        read_manifest(str(path))


def test_a_bad_parquet_row_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """A null id, a number as id and a repeated id are faults of their rows."""
    rows = [
        {"video_id": "a", "uri": "a.mp4"},
        {"video_id": None, "uri": "b.mp4"},
        {"video_id": "a", "uri": "c.mp4"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    manifest = read_manifest(str(tmp_path / "m.parquet"))
    assert list(manifest.entries) == ["a"]
    found = [(fault.line, fault.reason_code) for fault in manifest.faults]
    assert found == [(2, "bad_entry"), (3, "duplicate_id")]


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    """A file cut in half is told as such."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"video_id": ["a"], "uri": ["a.mp4"]}), sink)
    path = tmp_path / "m.parquet"
    path.write_bytes(sink.getvalue()[:-20])
    with pytest.raises(InputError, match="no readable Parquet"):
        read_manifest(str(path))


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    """A header alone is no input."""
    with pytest.raises(InputError, match="is empty"):
        read_text(tmp_path, "m.csv", HEAD)
