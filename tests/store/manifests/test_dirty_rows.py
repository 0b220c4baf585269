"""A bad caption or event costs itself, never its video: from the file to the ledger's items."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earshot.schemas.config import ProbeConfig
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.store.manifests import Manifest, read_manifest
from earshot.store.stage import Quarantined, StageContext, StageInput
from earshot.tasks.probe_videos import ProbeVideos
from tests.store.manifests.reading import check, read_text

GOOD = {"start_s": 1, "end_s": 2, "text": "A dog barks."}
NAN = float("nan")
# start_s, end_s, reason code, value; the video has 60 s.
BAD_TIMES: list[tuple[Any, Any, str, str]] = [
    (5, 2, "reversed_time", "[5.0, 2.0]"),
    (3, 3, "zero_length", "[3.0, 3.0]"),
    (3, 116005, "absurd_time", "[3.0, 116005.0]"),
    (3, 1e16, "absurd_time", "[3.0, 1e+16]"),
    (60, 60.4, "out_of_range", "[60.0, 60.4]"),
    (NAN, 4, "not_finite", "[nan, 4.0]"),
    (3, float("inf"), "not_finite", "[3.0, inf]"),
    (-1, 4, "negative_time", "[-1.0, 4.0]"),
    (3, "0:12", "mistyped_time", '[3, "0:12"]'),
    ("abc", 4, "mistyped_time", '["abc", 4]'),
    ("1_0", 14, "mistyped_time", '["1_0", 14]'),
    ("", 4, "mistyped_time", '["", 4]'),
]


@pytest.mark.parametrize(("start_s", "end_s", "code", "value"), BAD_TIMES)
def test_every_kind_of_bad_time_has_its_code_and_value(
    tmp_path: Path, start_s: Any, end_s: Any, code: str, value: str
) -> None:
    """As a caption and as an event, between good rows: two items are named, the others are done."""
    times = {"start_s": start_s, "end_s": end_s}
    good = {"label": "dog", "segments": [{"start_s": 1, "end_s": 2}]}
    row = {
        "video_id": "dog",
        "uri": "dog.mp4",
        "captions": [GOOD, {**times, "text": "bad"}, GOOD],
        "events": [{"label": "bad", "segments": [times]}, good],
    }
    manifest = read_text(tmp_path, "m.jsonl", json.dumps(row))
    assert manifest.faults == ()
    items, captions, events = check(manifest.entries["dog"], 60)
    assert [item.reason_code for item in items] == [None, code, None, code, None]
    for item in (items[1], items[3]):
        assert (item.status, item.value) == ("quarantined", value)
        assert value in str(item.message)
    assert [caption.text for caption in captions] == ["A dog barks."] * 2
    assert [event.label for event in events] == ["dog"]
    assert REASONS[code].status == "quarantined"


def in_csv(rows: list[dict[str, Any]], folder: Path) -> Manifest:
    """Read rows of captions through a CSV file."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return read_text(folder, "m.csv", sink.getvalue())


def in_parquet(rows: list[dict[str, Any]], folder: Path) -> Manifest:
    """Read rows of captions through a Parquet file whose times are text."""
    texts = [{**row, "start_s": str(row["start_s"]), "end_s": str(row["end_s"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(texts), folder / "m.parquet")
    return read_manifest(str(folder / "m.parquet"))


@pytest.mark.parametrize("reader", [in_csv, in_parquet])
def test_bad_times_of_a_table_have_the_same_codes(tmp_path: Path, reader: Any) -> None:
    """One row a caption: the codes are those of JSON lines, the good row goes on."""
    times = [(s, e) for s, e, _, _ in BAD_TIMES]
    rows = [
        {"video_id": "dog", "uri": "dog.mp4", "start_s": s, "end_s": e, "text": "A dog."}
        for s, e in [*times, (1, 2)]
    ]
    manifest = reader(rows, tmp_path)
    items, captions, _ = check(manifest.entries["dog"], 60)
    assert [item.reason_code for item in items] == [code for _, _, code, _ in BAD_TIMES] + [None]
    assert [(caption.start_s, caption.end_s) for caption in captions] == [(1, 2)]


@pytest.mark.parametrize(
    ("caption", "code", "value"),
    [
        ({"start_s": 1, "end_s": 2, "text": ""}, "empty_text", ""),
        ({"start_s": 1, "end_s": 2, "text": " "}, "empty_text", ""),
        ({"start_s": 1, "end_s": 2, "text": None}, "empty_text", ""),
        ({"start_s": 1, "end_s": 2}, "empty_text", ""),
        ({"text": "A dog."}, "mistyped_time", "[null, null]"),
        ({"start_s": [1], "end_s": True, "text": "A dog."}, "mistyped_time", "[[1], true]"),
        ({**GOOD, "text": 7}, "bad_entry", '"text": 7'),
        ({**GOOD, "colour": "red"}, "bad_entry", '"colour": "red"'),
        ("A dog barks.", "bad_entry", "A dog barks."),
        (None, "bad_entry", "null"),
        ({**GOOD, "text": "half \ud800"}, "bad_entry", "\\ud800"),
    ],
)
def test_a_caption_that_is_none_costs_itself(
    tmp_path: Path, caption: Any, code: str, value: str
) -> None:
    """Whatever stands in the list of captions, the caption beside it is read."""
    row = {"video_id": "dog", "uri": "dog.mp4", "captions": [caption, GOOD]}
    manifest = read_text(tmp_path, "m.jsonl", json.dumps(row))
    assert manifest.faults == ()
    items, captions, _ = check(manifest.entries["dog"], 60)
    assert [item.reason_code for item in items] == [code, None]
    assert value in str(items[0].value)
    assert len(captions) == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"label": "dog"}, "no_segments"),
        ({"segments": [{"start_s": 1, "end_s": 2}]}, "no_label"),
        ({"label": 7, "segments": [{"start_s": 1, "end_s": 2}]}, "bad_entry"),
        ({"label": "dog", "segments": [[1, 2]]}, "bad_entry"),
        ("dog", "bad_entry"),
    ],
)
def test_an_event_that_is_none_costs_itself(tmp_path: Path, event: Any, code: str) -> None:
    """Whatever stands in the list of events, the event beside it is read."""
    good = {"label": "cat", "segments": [{"start_s": 5, "end_s": 6}]}
    row = {"video_id": "dog", "uri": "dog.mp4", "events": [event, good]}
    manifest = read_text(tmp_path, "m.jsonl", json.dumps(row))
    items, _, events = check(manifest.entries["dog"], 60)
    assert [item.reason_code for item in items] == [code, None]
    assert [event.label for event in events] == ["cat"]


def test_a_caption_with_a_key_twice_costs_itself(tmp_path: Path) -> None:
    """Of two times under one key neither is taken, in JSON lines and in a JSON cell."""
    bad = '{"start_s": 1, "start_s": 2, "end_s": 3, "text": "A cat."}'
    cell = f"[{bad}, {json.dumps(GOOD)}]"
    line = f'{{"video_id": "dog", "uri": "dog.mp4", "captions": {cell}}}'
    quoted = cell.replace('"', '""')
    table = f'video_id,uri,captions\ndog,dog.mp4,"{quoted}"\n'
    for name, text in (("m.jsonl", line), ("m.csv", table)):
        items, _, _ = check(read_text(tmp_path, name, text).entries["dog"], 60)
        assert [item.reason_code for item in items] == ["bad_entry", None]
        assert "('start_s', 1), ('start_s', 2)" in str(items[0].value)


def test_a_missing_file_is_named_by_the_probe(tmp_path: Path) -> None:
    """A video without a file is quarantined with the place where it was looked for."""
    text = json.dumps({"dog": {"duration": 3, "timestamps": [[0, 1]], "sentences": ["A dog."]}})
    path = tmp_path / "captions.json"
    path.write_text(text)
    manifest = read_manifest(str(path), media_root=str(tmp_path / "videos"))
    stage = ProbeVideos(ProbeConfig(), StageContext(manifest.base, tmp_path))
    given = StageInput("dog", {ManifestEntry: [manifest.entries["dog"]]})
    (outcome,) = stage.run([given])
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "not_found"
    assert str(tmp_path / "videos" / "dog.mp4") in outcome.message
