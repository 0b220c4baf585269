"""JSON lines: every line becomes an entry or a fault that says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import InputError
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.store.manifests import Manifest, fault_counts, read_manifest
from tests.media.web import Site, serve
from tests.schemas.strategies import records

DOG = {"video_id": "dog", "uri": "dog.mp4", "captions": [{"start_s": 0, "end_s": 1, "text": "a"}]}
CAT = {"video_id": "cat", "uri": "cat.mp4", "events": [{"segments": [{"start_s": 1, "end_s": 2}]}]}


def read(folder: Path, *lines: Any, ends: str = "\n") -> Manifest:
    """Write lines (values as JSON, text as it is) to a manifest and read it."""
    path = folder / "manifest.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_bytes("".join(text + ends for text in texts).encode())
    return read_manifest(str(path))


def test_every_line_is_an_entry(tmp_path: Path) -> None:
    """Rows are found by video id, in the manifest's order; blank lines are nothing."""
    manifest = read(tmp_path, DOG, "", "  ", CAT)
    assert list(manifest.entries) == ["dog", "cat"]
    assert manifest.faults == ()
    assert manifest.entries["dog"].captions[0].text == "a"
    assert manifest.entries["cat"].captions == ()


def test_relative_uris_start_at_the_manifest(tmp_path: Path, monkeypatch: Any) -> None:
    """The base is the manifest's folder, whatever folder the command runs in."""
    read(tmp_path, DOG)
    monkeypatch.chdir(tmp_path)
    assert read_manifest("manifest.jsonl").base == tmp_path.as_posix()


def test_a_manifest_may_lie_behind_a_url() -> None:
    """Any fsspec URL is read, and is the base of its own relative uris."""
    with fsspec.open("memory://set/manifest.jsonl", "wt") as file:
        file.write(json.dumps(DOG))
    manifest = read_manifest("memory://set/manifest.jsonl")
    assert manifest.base == "memory://set"
    assert list(manifest.entries) == ["dog"]


def test_a_signed_url_is_read_and_never_told() -> None:
    """The name before the query tells the format; the base and what is kept have no signature."""
    with serve(Site(json.dumps(DOG).encode())) as site:
        url = site.url.replace("clip.mp4", "in/manifest.jsonl")
        manifest = read_manifest(f"{url}?sig=a/b.csv")
    assert (manifest.uri, manifest.base) == (url, url.removesuffix("/manifest.jsonl"))
    assert list(manifest.entries) == ["dog"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "manifest.jsonl' is not there: check the path"),
        (403, r"may not be read \(HTTP 403 Forbidden\); check the credentials"),
    ],
)
def test_a_refused_manifest_says_why(status: int, message: str) -> None:
    """A refusal is no missing file, and no traceback."""
    with serve(Site(statuses=[status] * 9)) as site:
        url = site.url.replace("clip.mp4", "manifest.jsonl")
        with pytest.raises(InputError, match=message) as caught:
            read_manifest(f"{url}?sig=secret")
    assert "secret" not in str(caught.value)


def test_a_busy_server_is_asked_again() -> None:
    """A server that is busy for a moment does not cost the build."""
    with serve(Site(json.dumps(DOG).encode(), statuses=[503, 503, 503])) as site:
        manifest = read_manifest(site.url.replace("clip.mp4", "manifest.jsonl"))
    assert list(manifest.entries) == ["dog"]


def test_a_manifest_of_an_unknown_place_is_refused(tmp_path: Path) -> None:
    """A misspelt kind of URL and a folder are bad input, each with what to do."""
    with pytest.raises(InputError, match="Protocol not known: gopherx"):
        read_manifest("gopherx://host/manifest.jsonl")
    with pytest.raises(InputError, match="is a folder: give the file in it"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    ("line", "message", "video_id"),
    [
        ("{", "line 2 is no JSON", None),
        ("[1]", "line 2: expected a JSON object", None),
        ('"dog"', "line 2: expected a JSON object", None),
        ({"uri": "a.mp4"}, "video_id is missing; add it", None),
        (
            {"video_id": 7, "uri": "a.mp4"},
            "video_id is '7': expected a text in quotes;",
            None,
        ),
        ({"video_id": "a b", "uri": "a.mp4"}, "rename it in the manifest", "a b"),
        ({"video_id": "a"}, "uri is missing; add it", "a"),
        (
            {"video_id": "a", "uri": ""},
            "uri is '': expected at least 1 character",
            "a",
        ),
        ({**CAT, "colour": 1}, "colour: no such field; remove or rename it", "cat"),
        ({**CAT, "caption": []}, "(did you mean 'captions'?); remove or rename it", "cat"),
        ({**CAT, "captions": None}, "captions is 'null': expected a list; mend it", "cat"),
        ({**CAT, "sha256": "abc"}, "sha256 is 'abc': expected a text like ^[0-9a-f]{64}$", "cat"),
    ],
)
def test_a_bad_line_is_a_fault_and_the_others_are_read(
    tmp_path: Path, line: Any, message: str, video_id: str | None
) -> None:
    """A fault has line, reason, message and as much of the row as is known."""
    manifest = read(tmp_path, DOG, line)
    assert list(manifest.entries) == ["dog"]
    (fault,) = manifest.faults
    assert (fault.line, fault.video_id, fault.reason_code) == (2, video_id, "bad_entry")
    assert message in fault.message
    assert fault.value is not None
    assert REASONS[fault.reason_code].status == "quarantined"


@pytest.mark.parametrize(
    "wrong",
    [{"captions": [{"text": "a"}]}, {"captions": ["a"]}, {"events": [{"label": "x"}, 7]}],
)
def test_a_bad_caption_or_event_does_not_cost_its_video(tmp_path: Path, wrong: Any) -> None:
    """Such a row is kept for the stage that reports it; the manifest has the video and a digest."""
    manifest = read(tmp_path, {"video_id": "v", "uri": "v.mp4", **wrong})
    assert list(manifest.entries) == ["v"]
    assert manifest.faults == ()
    assert len(manifest.digest) == 64


def test_of_two_rows_with_one_id_the_first_is_used(tmp_path: Path) -> None:
    """The second is a fault of its own kind, not a replacement and not a repetition."""
    manifest = read(tmp_path, DOG, {**DOG, "uri": "other.mp4"}, CAT, DOG)
    assert manifest.entries["dog"].uri == "dog.mp4"
    assert [(fault.line, fault.reason_code) for fault in manifest.faults] == [
        (2, "duplicate_id"),
        (4, "duplicate_id"),
    ]
    assert fault_counts(manifest.faults) == {"duplicate_id": 2}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_of_either_kind_are_read(tmp_path: Path, ends: str) -> None:
    """A manifest written on Windows is the same manifest."""
    manifest = read(tmp_path, DOG, CAT, ends=ends)
    assert manifest.faults == ()
    assert manifest.digest == read(tmp_path, DOG, CAT).digest


@settings(max_examples=30, deadline=None)
@given(st.lists(records(ManifestEntry), min_size=1, max_size=3, unique_by=lambda e: e.video_id))
def test_entries_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[ManifestEntry]
) -> None:
    """Any entry written as JSON is read as the same entry."""
    folder = tmp_path_factory.getbasetemp()
    rows = [entry.model_dump(mode="json") for entry in entries]
    manifest = read(folder, *rows)
    assert manifest.faults == ()
    assert list(manifest.entries.values()) == entries


def test_text_may_hold_any_line_separator(tmp_path: Path) -> None:
    """U+2028, U+0085 and form feeds inside a caption do not end its row."""
    text = "a\u2028b\u0085c\u2029d"
    row = {**DOG, "captions": [{"start_s": 0, "end_s": 1, "text": text}]}
    manifest = read(tmp_path, json.dumps(row, ensure_ascii=False))
    assert manifest.faults == ()
    assert manifest.entries["dog"].captions[0].text == text


def test_the_digest_is_of_the_rows(tmp_path: Path) -> None:
    """Order and white space do not matter; any value of any row does, a fault too."""
    first = read(tmp_path, DOG, CAT).digest
    assert read(tmp_path, CAT, "", json.dumps(DOG, indent=None)).digest == first
    assert read(tmp_path, DOG, {**CAT, "licence": "CC0"}).digest != first
    assert read(tmp_path, DOG, CAT, "{").digest != first


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_time_that_is_no_number_waits_for_its_stage(tmp_path: Path, number: str) -> None:
    """The row is read as written and has a digest, so that one caption is at fault, not the run."""
    line = json.dumps(DOG).replace('"end_s": 1', f'"end_s": {number}')
    manifest = read(tmp_path, line)
    assert list(manifest.entries) == ["dog"]
    assert len(manifest.digest) == 64


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**DOG, "licence": "CC\ud800"}),
        json.dumps({**DOG, "video_id": "d\ud800"}),
        json.dumps({**DOG, "colour\ud800": 1}),
        '{"a":' * 100_000,
    ],
    ids=["surrogate in text", "surrogate in id", "surrogate in a field's name", "nested too deep"],
)
def test_a_hostile_line_is_one_fault(tmp_path: Path, line: str) -> None:
    """Text that UTF-8 can't hold and endless nesting cost their row, not the manifest."""
    manifest = read(tmp_path, CAT, line)
    assert list(manifest.entries) == ["cat"]
    assert [fault.reason_code for fault in manifest.faults] == ["bad_entry"]
    assert len(manifest.digest) == 64


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.jsonl", None, "is not there"),
        ("m.jsonl", b"", "is empty"),
        ("m.jsonl", b"\n \n", "is empty"),
        ("m.jsonl", b"\xff\xfe\x00", "save it as UTF-8"),
        ("m.txt", b"{}", "of no known kind.*jsonl .one JSON object a line"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    """A missing, empty, binary or unknown file is told as such, with what to do."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_manifest(str(path))
