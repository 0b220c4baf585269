"""Annotation files of published datasets, with faults put in by hand, and how kinds are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earshot.errors import InputError
from earshot.schemas.ledger import REASONS
from earshot.store.manifests import (
    FORMATS,
    Format,
    fault_counts,
    read_boxes,
    read_manifest,
)
from earshot.store.manifests.source import open_source
from tests.store.manifests.reading import check, read_text

SEGMENT = {"segment": [1, 2.5], "label": "dog barking", "label_id": 3}
UNAV = {"duration": 60, "subset": "test", "annotations": [SEGMENT]}
TIMED = {"duration": 60, "timestamps": [[1, 2.5]], "sentences": ["A dog barks."]}
ROWS = "filename\tonset\toffset\tevent_labels\n"
BOXES = [{"file": "a_000001", "class": "dog", "bbox": [[0, 0, 0.5, 1.0]]}]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("m.jsonl", '{"video_id": "a", "uri": "a.mp4"}', "jsonl"),
        ("m.csv", "video_id,uri\na,a.mp4", "csv"),
        ("m.tsv", "uri\tvideo_id\na.mp4\ta", "csv"),
        ("m.csv", ROWS + "a\t0\t1\tdog", "event-rows"),
        ("m.json", json.dumps({"a": UNAV}), "unav100"),
        ("m.json", json.dumps({"version": 1, "database": {"a": UNAV}}), "unav100"),
        ("m.json", json.dumps({"broken": None, "a": UNAV}), "unav100"),
        ("m.json", json.dumps({"a": TIMED}), "timed-captions"),
        ("m.json", json.dumps(BOXES), "vggss"),
    ],
)
def test_a_kind_is_found_out(tmp_path: Path, name: str, text: str, kind: str) -> None:
    """Exactly one format takes a file for its own."""
    (tmp_path / name).write_text(text)
    source = open_source(str(tmp_path / name))
    assert [form.name for form in FORMATS if form.sniff(source)] == [kind]


def test_a_format_is_one_file_with_an_example() -> None:
    """Every module of the folder is a format, and shows a record of it at its top."""
    folder = Path(__file__).parents[3] / "store" / "manifests" / "formats"
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    assert len(modules) == len(FORMATS) == len({form.name for form in FORMATS})
    assert all(isinstance(form, Format) and form.holds for form in FORMATS)
    for path in modules:
        docstring = path.read_text().split('"""')[1]
        assert any(sign in docstring for sign in ("{", "\t", ",0,")), path.name


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"database": rows}])
def test_unav_annotations_are_events(tmp_path: Path, wrap: Any) -> None:
    """An annotation is an event with label and segment; the subset goes into the source."""
    manifest = read_text(tmp_path, "u.json", json.dumps(wrap({"a": UNAV})))
    entry = manifest.entries["a"]
    assert (entry.uri, entry.source, entry.captions) == ("a.mp4", "UnAV-100 test", ())
    items, captions, events = check(entry, 60)
    assert [item.reason_code for item in items] == [None]
    assert [(e.label, e.segments[0].pair) for e in events] == [("dog barking", (1, 2.5))]
    assert captions[0].caption_source == "label"


def test_bad_unav_rows_are_named(tmp_path: Path) -> None:
    """Bad annotations are items of their video; a bad video is a fault of the manifest."""
    bad = [
        {**SEGMENT, "segment": [3, 1]},
        {**SEGMENT, "segment": [1, 2, 3]},
        {**SEGMENT, "segment": "1-2"},
        {**SEGMENT, "segment": [1, "0:02"]},
        {**SEGMENT, "label": None},
        {**SEGMENT, "label": 7},
        "bark",
    ]
    rows = {
        "a": {**UNAV, "annotations": [*bad, SEGMENT]},
        "b": {"duration": 1},
        "c d": UNAV,
        "e": [],
        "f": UNAV,
    }
    manifest = read_text(tmp_path, "u.json", json.dumps(rows))
    assert list(manifest.entries) == ["a", "f"]
    found = [(fault.line, fault.video_id, fault.reason_code) for fault in manifest.faults]
    assert found == [(2, "b", "bad_entry"), (3, "c d", "bad_entry"), (4, "e", "bad_entry")]
    items, _, events = check(manifest.entries["a"], 60)
    assert [item.reason_code for item in items] == [
        "reversed_time",
        "mistyped_time",
        "mistyped_time",
        "mistyped_time",
        "no_label",
        "bad_entry",
        "bad_entry",
        None,
    ]
    assert [item.value for item in items[1:4]] == ["[1, 2, 3]", "1-2", '[1, "0:02"]']
    assert len(events) == 1


def test_a_video_that_stands_twice_in_a_json_object_is_named(tmp_path: Path) -> None:
    """JSON readers keep the last of equal keys silently; here the first stays and one is named."""
    first, second = json.dumps(TIMED), json.dumps({**TIMED, "sentences": ["A cat."]})
    manifest = read_text(tmp_path, "t.json", f'{{"a": {first}, "a": {second}, "b": {first}}}')
    assert list(manifest.entries) == ["a", "b"]
    assert manifest.entries["a"].captions[0].text == "A dog barks."
    assert [(f.line, f.video_id) for f in manifest.faults] == [(2, "a")]
    assert fault_counts(manifest.faults) == {"duplicate_id": 1}


def test_timed_captions_of_unequal_lists_are_a_fault(tmp_path: Path) -> None:
    """Which sentence belongs to which time can't be known, so none is guessed."""
    rows = {
        "a": {**TIMED, "sentences": ["one", "two"]},
        "b": {**TIMED, "timestamps": None},
        "c": {"duration": 3, "timestamps": [[0, 1]], "captions": ["A cat."]},
    }
    manifest = read_text(tmp_path, "t.json", json.dumps(rows))
    assert list(manifest.entries) == ["c"]
    assert manifest.entries["c"].captions[0].text == "A cat."
    assert [fault.value for fault in manifest.faults] == ["1 timestamps, 2 sentences", "null"]


def test_bad_event_rows_are_named(tmp_path: Path) -> None:
    """Rows of a video are gathered; a row of other width is a fault, a bad time an item."""
    text = (
        ROWS
        + "a\t0\t116005\tdog_bark\nb\t0\t1\ta\tdog\n\nc\t0\t1\tcat\na\t1\t0:12\tdog\na\t1\t2\t\n"
    )
    manifest = read_text(tmp_path, "e.csv", text)
    assert list(manifest.entries) == ["a", "c"]
    assert [(f.line, f.video_id, f.value) for f in manifest.faults] == [(3, "b", "b\t0\t1\ta\tdog")]
    items, _, _ = check(manifest.entries["a"], 60)
    codes = [item.reason_code for item in items]
    assert codes == ["absurd_time", "mistyped_time", "no_label"]
    assert manifest.entries["a"].events[0].label == "dog bark"


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ([0.5, 0, 0.2, 1], "reversed_box"),
        ([0, 0.5, 1, 0.2], "reversed_box"),
        ([0.5, 0, 0.5, 1], "zero_area_box"),
        ([0, 0, 1.2, 1], "box_out_of_range"),
        ([0, -0.1, 1, 1], "box_out_of_range"),
        ([10, 20, 300, 200], "box_out_of_range"),
        ([0, 0, -2.8823037615171176e16, 1], "absurd_box"),
        ([0, 0, 10**400, 1], "absurd_box"),
        ([0, 0, 1e32, 1], "absurd_box"),
        ([float("nan"), 0, 1, 1], "bad_box"),
        ([0, 0, float("inf"), 1], "bad_box"),
        ([0, 0, 1], "bad_box"),
        ([0, 0, "1", 1], "bad_box"),
        ([0, 0, True, 1], "bad_box"),
        (None, "bad_box"),
    ],
)
def test_a_bad_box_is_named_and_the_others_are_kept(tmp_path: Path, box: Any, code: str) -> None:
    """The frame goes on with its good box and says that one is lacking."""
    rows = [{"file": "a_000001", "class": "dog", "bbox": [[0, 0, 0.5, 1.0], box]}]
    (tmp_path / "v.json").write_text(json.dumps(rows))
    found = read_boxes(str(tmp_path / "v.json"))
    (frame,) = found.frames
    assert ([b.xyxy for b in frame.boxes], frame.n_faulty) == ([(0, 0, 0.5, 1)], 1)
    (fault,) = found.faults
    assert (fault.video_id, fault.reason_code) == ("a_000001", code)
    assert fault.value is not None and fault.value in fault.message
    assert REASONS[code].status == "quarantined"


def test_bad_clips_of_boxes_are_named(tmp_path: Path) -> None:
    """A clip without a good box is no frame; unreadable and repeated clips are faults."""
    clip = BOXES[0]
    rows = [clip, {**clip, "file": "b", "bbox": []}, 7, {**clip, "class": None}, clip]
    (tmp_path / "v.json").write_text(json.dumps(rows))
    found = read_boxes(str(tmp_path / "v.json"))
    assert [frame.clip_id for frame in found.frames] == ["a_000001"]
    assert [(fault.line, fault.reason_code) for fault in found.faults] == [
        (2, "bad_box"),
        (3, "bad_entry"),
        (4, "duplicate_id"),
        (5, "duplicate_id"),
    ]


def test_media_root_is_where_relative_uris_start(tmp_path: Path, monkeypatch: Any) -> None:
    """A folder is taken from where the command runs, a URL as it is; the suffix can be chosen."""
    path = tmp_path / "u.json"
    path.write_text(json.dumps({"a": UNAV}))
    monkeypatch.chdir(tmp_path)
    assert read_manifest("u.json").base == tmp_path.as_posix()
    manifest = read_manifest("u.json", media_root="clips", media_suffix=".webm")
    assert manifest.base == (tmp_path / "clips").as_posix()
    assert manifest.entries["a"].uri == "a.webm"
    assert read_manifest("u.json", media_root="s3://bucket/clips/").base == "s3://bucket/clips"


def test_where_the_media_lie_changes_no_digest(tmp_path: Path) -> None:
    """Videos that moved to another folder are not computed again."""
    (tmp_path / "u.json").write_text(json.dumps({"a": UNAV}))
    here, there = (read_manifest(str(tmp_path / "u.json"), media_root=r) for r in ("here", "there"))
    assert here.digest == there.digest


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("m.json", "{", None, "is no JSON"),
        ("m.json", "[1]", None, "of no known kind"),
        ("m.json", '{"a": {"qa": 1}}', None, "of no known kind; it begins with .*qa"),
        ("m.json", json.dumps(BOXES), None, "names no events"),
        ("m.json", json.dumps({"a": UNAV}), "coco", "kind 'coco' is unknown: expected one of csv"),
        ("m.json", "[1]", "unav100", "holds a JSON list"),
        ("m.csv", "a,b\n1,2", None, "of no known kind"),
        ("m.csv", "a,b\n1,2", "csv", "unknown 'a', 'b'; missing 'video_id', 'uri'"),
        ("m.csv", "a,b\n1,2", "event-rows", "found a,b; expected filename"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, text: str, kind: str | None, message: str
) -> None:
    """The message says what was found and what is known."""
    with pytest.raises(InputError, match=message):
        read_text(tmp_path, name, text, kind)


def test_boxes_are_read_from_box_files_only(tmp_path: Path) -> None:
    """A file of events is refused by the reader of boxes."""
    (tmp_path / "u.json").write_text(json.dumps({"a": UNAV}))
    with pytest.raises(InputError, match="expected an annotation of boxes"):
        read_boxes(str(tmp_path / "u.json"))
