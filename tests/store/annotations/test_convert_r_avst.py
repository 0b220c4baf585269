"""R-AVST's JSON through the tables and back: byte for byte, and no text of it on the way."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earshot.cli.convert import FormatName
from earshot.errors import InputError
from earshot.store.annotations import EXCHANGES, Report, convert
from earshot.store.tube_files import read_tubes

SOUNDING = "What visible object(s) make sound between 1.25 and 4.3, and where is/are they?"
SILENT = "What silent object(s) can be seen between 1.25 and 4.3, and where is/are they?"
MOMENT = "When is the moment A dog makes sound and is visible"
ZERO = "[0.0, 0.0, 0.0, 0.0]"


def answer(*blocks: tuple[str, ...], when: str = "") -> str:
    """An answer as released; a block is a name and the lines of its `<where>`."""
    rows = []
    for name, *lines in blocks:
        rows += [f"<object>{name}</object>", *([when] if when else [])]
        if lines:
            rows += ["<where>", *(line for line in lines if line), "</where>"]
    return "\n".join(("<answer>", *rows, "</answer>"))


DOG = ("A dog", "1.3: [10.0, 20.0, 30.0, 40.0]", f"2.3: {ZERO}", "3.3: [11.0, 20.0, 31.0, 40.0]")
TWO = ("cat", "1.3: [1.0, 2.0, 3.0, 4.0]", "1.3: [5.0, 2.0, 8.0, 4.0]", f"2.3: {ZERO}")
WHEN = "<when>[1.3, 4.3]</when>"
VIDEO: dict[str, Any] = {
    "video_name": "abc-_1",
    "duration": 12.733333333333333,
    "annotation": [
        {
            "event_num": 2,
            "AV ST Reasoning": [
                {"Q": f'{MOMENT}, and where is the "A dog"?', "A": answer(DOG, when=WHEN)}
            ],
            "AV Temporal Reasoning": [{"Q": f"{MOMENT}?", "A": answer(("A dog",), when=WHEN)}],
            "AV Spatial Reasoning": [
                {"Q": SOUNDING, "A": answer(DOG, TWO)},
                {"Q": SILENT, "A": answer(("the dog", ""), ("mat", f"1.3: {ZERO}"))},
            ],
        },
        {
            "event_num": 2,
            "AV Temporal Reasoning": [
                {"Q": f"{MOMENT}?", "A": answer(("A dog",), when="<when>[7.0, 8.1]</when>")}
            ],
        },
    ],
}  # fmt: skip


def there_and_back(videos: object, folder: Path) -> tuple[Report, str]:
    """Convert JSON into JSON, the tables kept in `folder/tables`."""
    source = folder / "in.json"
    source.write_text(json.dumps(videos, ensure_ascii=False, separators=(",", ":")))
    out = folder / "out.json"
    report = convert(str(source), "r-avst", out, "r-avst", folder / "tables")
    return report, out.read_text()


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a kept table."""
    return pq.read_table(folder / "tables" / f"{table}.parquet").to_pylist()


def strings(value: object) -> list[str]:
    """Every text in a row, at any depth."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in strings(part)]


def double(folder: Path, table: str, row: int, line: int) -> None:
    """Double one x2 in a kept table, as a user of pyarrow would."""
    file = folder / f"{table}.parquet"
    before = pq.read_table(file)
    told = before.to_pylist()
    told[row]["boxes"][line]["x2"] *= 2
    pq.write_table(pa.Table.from_pylist(told, schema=before.schema), file)


def changed(old: str, new: str) -> list[tuple[str, str]]:
    """The numbers that differ between two texts that differ in numbers alone."""
    pairs = zip(old.replace("]", ",").split(","), new.replace("]", ",").split(","), strict=True)
    return [(a.strip(), b.strip()) for a, b in pairs if a != b]


def test_every_released_video_comes_back_byte_for_byte(shared_data: Path, tmp_path: Path) -> None:
    """All 691 videos: the whole file is equal, and no table has a question or an answer in it."""
    source = shared_data / "annotations" / "ravst_test_qa.json"
    out, tables = tmp_path / "out.json", tmp_path / "tables"
    report = convert(str(source), "r-avst", out, "r-avst", tables)
    assert (report.videos, report.faults) == (691, ())
    assert json.loads(out.read_text("utf-8")) == json.loads(source.read_text("utf-8"))
    assert out.read_bytes() == source.read_bytes()
    texts = {
        text
        for file in tables.iterdir()
        for row in pq.read_table(file).to_pylist()
        for text in strings(row)
    }
    marks = ("<", ">", "\n", "?", "makes sound", "make sound", "can be seen", "When is", "[")
    assert not [text for text in texts if any(mark in text for mark in marks)]
    assert max(map(len, texts)) <= 64  # a sha256; the longest question has 125 characters

    expected = []
    for table, key in (("tubes", "tube_id"), ("unlinked_boxes", "unlinked_id")):
        row, line, x2 = shown_once(tmp_path, table, key)
        double(tables, table, row, line)
        expected.append((str(x2), str(x2 * 2)))
    again = tmp_path / "again.json"
    convert(str(tables), "tables", again, "r-avst")
    assert sorted(changed(out.read_text(), again.read_text())) == sorted(expected)


def shown_once(folder: Path, table: str, key: str) -> tuple[int, int, float]:
    """Row, line and x2 of a box that one answer alone shows."""
    shown = Counter(row[key] for row in rows(folder, "r_avst_rows"))
    return next(
        (row, line, box["x2"])
        for row, told in enumerate(rows(folder, table))
        if shown[told[key]] == 1
        for line, box in enumerate(told["boxes"])
        if box is not None
    )


def test_what_stands_in_which_table(tmp_path: Path) -> None:
    """Zero boxes are absent times of a tube, boxes without identity and unseen things are apart."""
    report, text = there_and_back([VIDEO], tmp_path)
    assert json.loads(text) == [VIDEO]
    assert report.rows["annotated_videos"] == 1
    first, second = rows(tmp_path, "events")
    assert first["segments"] == [{"start_s": 1.25, "end_s": 4.3}]  # as asked, not as rounded
    assert second["segments"] == [{"start_s": 7.0, "end_s": 8.1}]
    assert [each["label"] for each in (first, second)] == [None, None]
    dog, cat, mat = rows(tmp_path, "objects")
    assert (dog["name"], dog["surfaces"]) == ("dog", ["A dog", "the dog"])
    (tube,) = rows(tmp_path, "tubes")  # of three answers that name a dog, two show one tube
    assert tube["object_id"] == dog["object_id"]
    assert tube["state"] == ["visible", "absent", "visible"]
    assert (tube["boxes"][1], tube["box_space"], tube["source"]) == (None, "native_px", "imported")
    unlinked = {each["object_id"]: each for each in rows(tmp_path, "unlinked_boxes")}
    assert unlinked[cat["object_id"]]["times_s"] == [1.3, 1.3, 2.3]
    assert unlinked[cat["object_id"]]["boxes"][2] is None
    assert unlinked[mat["object_id"]]["boxes"] == [None]
    assert unlinked[dog["object_id"]]["times_s"] == []
    parts = {each["object_id"]: each for each in rows(tmp_path, "event_objects")[:3]}
    assert parts[cat["object_id"]]["sounding"] == [{"start_s": 1.25, "end_s": 4.3}]
    assert parts[mat["object_id"]]["audibility"] == "visible_only"


def test_a_tube_that_two_answers_show_changes_in_both(tmp_path: Path) -> None:
    """One instance is one tube: its number stands twice in the file, and nothing else changes."""
    _, before = there_and_back([VIDEO], tmp_path)
    double(tmp_path / "tables", "tubes", 0, 2)
    after = tmp_path / "after.json"
    convert(str(tmp_path / "tables"), "tables", after, "r-avst")
    assert changed(before, after.read_text()) == [("31.0", "62.0")] * 2


def test_frame_sizes_stay_unknown(tmp_path: Path) -> None:
    """The tubes are read as tubes of ours are, and asking for shares of the frame says why not."""
    there_and_back([VIDEO], tmp_path)
    tubes = read_tubes(tmp_path / "tables")
    assert tubes.names
    with pytest.raises(InputError, match="the size of abc-_1 is not known"):
        tubes.boxes_norm(tubes.tubes[0])


def edited(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The video with one part replaced; a string with `->` is replaced within the text."""
    video = deepcopy(VIDEO)
    place: Any = video
    for step in path[:-1]:
        place = place[step]
    if isinstance(value, str) and "->" in value:
        old, new = value.split("->")
        assert old in place[path[-1]]
        value = place[path[-1]].replace(old, new)
    place[path[-1]] = value
    return video


ST = ("annotation", 0, "AV ST Reasoning", 0)
AVSR = ("annotation", 0, "AV Spatial Reasoning", 0)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("video_name",), "a/b", "video_id 'a/b': expected 1-128 characters"),
        (("duration",), "12", "duration: 12; expected a number"),
        (("duration",), -1.0, "greater than 0"),
        (("duration",), float("nan"), "finite number"),
        (("annotation",), {}, "annotation: expected a list"),
        (("annotation", 0), 3, "annotation 1: expected a JSON object"),
        (("annotation", 0, "event_num"), True, "event_num: true; expected a whole number"),
        (("annotation", 0, "AV Smell Reasoning"), [], "key: AV Smell Reasoning; expected"),
        (("annotation", 0, "AV ST Reasoning"), [], "expected no task without a question"),
        (("annotation", 1, "AV Temporal Reasoning"), [], "expected at least one question"),
        ((*ST, "A"), None, "A: null; expected a text"),
        ((*ST, "C"), "x", "expected Q, A"),
        ((*ST, "A"), "no tags", "A: no tags; expected <answer>"),
        ((*ST, "A"), "30.0->8.0", "[10.0, 20.0, 8.0, 40.0]: expected x1 < x2"),
        ((*ST, "A"), "30.0->30.5", "box: [10.0, 20.0, 30.5, 40.0]; expected whole pixels"),
        ((*ST, "A"), "30.0->30", "20.0, 30, 40.0]"),
        ((*ST, "A"), "[1.3->[1.2", "AV ST Reasoning 1, A, character"),
        ((*ST, "A"), "[1.3->[5.3", "interval [5.3, 4.3] s: start must be below end"),
        ((*ST, "Q"), "When is->When was", "'When was the moment"),
        ((*AVSR, "Q"), "between->from", "expected `between S and E, `"),
        ((*AVSR, "Q"), "4.3->1.0", "start must be below end"),
        ((*AVSR, "Q"), "4.3->4.4", "[[1.25, 4.4], [1.25, 4.3]]; expected one stretch"),
        ((*AVSR, "A"), "A dog->\ud800", "found a lone surrogate"),
    ],
)  # fmt: skip
def test_a_bad_video_is_named_and_the_good_ones_go_on(
    path: tuple[str | int, ...], value: object, said: str, tmp_path: Path
) -> None:
    """The fault says which video, where, what was found and what was expected."""
    good = {**VIDEO, "video_name": "good"}
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps([good, edited(path, value)]))
    report = convert(str(source), "r-avst", out, "r-avst")
    assert json.loads(out.read_text()) == [good]
    (fault,) = report.faults
    assert fault.message.startswith("video 2 (")
    assert said in fault.message, fault.message


def test_a_video_that_stands_twice_is_used_once(tmp_path: Path) -> None:
    """The first is used; a key that stands twice in an object is not read over either."""
    report, text = there_and_back([VIDEO, VIDEO], tmp_path)
    assert json.loads(text) == [VIDEO]
    assert [fault.reason_code for fault in report.faults] == ["duplicate_id"]
    twice = json.dumps([VIDEO, {**VIDEO, "video_name": "b"}]).replace(
        '"video_name": "b"', '"video_name": "b", "duration": 3'
    )
    (tmp_path / "twice.json").write_text(twice)
    report = convert(str(tmp_path / "twice.json"), "r-avst", tmp_path / "o.json", "r-avst")
    assert "key 'duration' stands twice" in report.faults[0].message


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "expected R-AVST's list"), ("[", "is no JSON"), ("[1]", "video 1"), ("[]", "no video")],
)
def test_a_file_without_a_good_video_writes_nothing(text: str, said: str, tmp_path: Path) -> None:
    """The error has the reasons, and neither output nor tables are left behind."""
    source = tmp_path / "in.json"
    source.write_text(text)
    with pytest.raises(InputError, match=said):
        convert(str(source), "r-avst", tmp_path / "o.json", "r-avst", tmp_path / "t")
    assert [each.name for each in tmp_path.iterdir()] == ["in.json"]


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    """Output and tables go to new places: what lies there may have been edited."""
    there_and_back([VIDEO], tmp_path)
    source = str(tmp_path / "in.json")
    with pytest.raises(InputError, match="is there already"):
        convert(source, "r-avst", tmp_path / "out.json", "r-avst")
    with pytest.raises(InputError, match="is there already"):
        convert(source, "r-avst", tmp_path / "tables", "tables")


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("r_avst_rows", "event_id", "x", "event x has none segments"),
        ("tubes", "tube_id", "x", "stand in neither tubes nor unlinked_boxes"),
        ("tubes", "box_space", "norm", "R-AVST has native_px"),
    ],
)
def test_tables_that_do_not_fit_together(
    table: str, column: str, value: str, said: str, tmp_path: Path
) -> None:
    """A video whose rows lead nowhere is left out with the missing id; the other goes on."""
    other = {**VIDEO, "video_name": "other"}
    there_and_back([VIDEO, other], tmp_path)
    file = tmp_path / "tables" / f"{table}.parquet"
    before = pq.read_table(file)
    told = before.to_pylist()
    told[0][column] = value
    pq.write_table(pa.Table.from_pylist(told, schema=before.schema), file)
    out = tmp_path / "again.json"
    report = convert(str(tmp_path / "tables"), "tables", out, "r-avst")
    assert said in report.faults[0].message
    assert json.loads(out.read_text()) == [other]


def test_a_folder_that_lacks_a_table_is_refused(tmp_path: Path) -> None:
    """The missing files are named."""
    there_and_back([VIDEO], tmp_path)
    (tmp_path / "tables" / "events.parquet").unlink()
    with pytest.raises(InputError, match=r"lacks events\.parquet"):
        convert(str(tmp_path / "tables"), "tables", tmp_path / "o.json", "r-avst")


def test_the_command_knows_every_exchange() -> None:
    """What `--from` and `--to` take is what the registry has."""
    assert list(get_args(FormatName)) == list(EXCHANGES)
