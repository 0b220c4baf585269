"""Published annotation files with their real errors: every bad row named, every good one kept.

What is bad is counted here by plain reading, apart from the readers.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from earshot.store.manifests import Manifest, read_boxes, read_manifest
from tests.store.manifests.reading import check

Times = tuple[float, float]
# (times, text or label) of every row of a video, in the file's order.
Rows = dict[str, list[tuple[Times, str]]]


def fault_of_times(start_s: float, end_s: float, duration_s: float) -> str | None:
    """Return the reason code that a pair of times deserves."""
    if start_s > end_s:
        return "reversed_time"
    if start_s == end_s:
        return "zero_length"
    return "out_of_range" if end_s > duration_s else None


def check_all(manifest: Manifest, rows: Rows, durations: dict[str, float]) -> Counter[str]:
    """Compare what is said of every row with what the plain file deserves; return the codes."""
    assert manifest.faults == ()
    assert list(manifest.entries) == list(rows)
    codes: Counter[str] = Counter()
    for video_id, plain in rows.items():
        entry, duration_s = manifest.entries[video_id], durations[video_id]
        items, captions, events = check(entry, duration_s, tolerance_s=0)
        expected = [fault_of_times(*times, duration_s) for times, _ in plain]
        assert [item.reason_code for item in items] == expected, video_id
        for item, ((start_s, end_s), _) in zip(items, plain, strict=True):
            if item.reason_code is not None:
                assert item.status == "quarantined"
                assert item.value == f"[{float(start_s)}, {float(end_s)}]"
        if any(code is None for code in expected):
            found = (
                [(e.segments[0].pair, e.label) for e in events]
                if entry.events
                else [((c.start_s, c.end_s), c.text) for c in captions]
            )
            good = [row for row, code in zip(plain, expected, strict=True) if code is None]
            assert sorted(found) == sorted((times, text.strip()) for times, text in good)
        codes.update(code for code in expected if code is not None)
    return codes


def timed(path: Path) -> tuple[Rows, dict[str, float]]:
    """Read rows and durations of an ActivityNet file, plainly."""
    found: dict[str, Any] = json.loads(path.read_text())
    rows: Rows = {
        video_id: [((s, e), t) for (s, e), t in zip(v["timestamps"], v["sentences"], strict=True)]
        for video_id, v in found.items()
    }
    return rows, {video_id: v["duration"] for video_id, v in found.items()}


def event_rows(path: Path) -> Rows:
    """Read the rows of an LLP or LFAV file, plainly."""
    rows: Rows = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            times = (float(row["onset"]), float(row["offset"]))
            rows[row["filename"]].append((times, row["event_labels"].replace("_", " ")))
    return dict(rows)


def test_activitynet_dirty(shared_data: Path) -> None:
    """All 16 bad rows of the 13 videos are named, and the good ones beside them go on."""
    path = shared_data / "annotations" / "activitynet_captions_dirty.json"
    rows, durations = timed(path)
    codes = check_all(read_manifest(str(path)), rows, durations)
    assert codes == {"out_of_range": 12, "zero_length": 2, "reversed_time": 2}
    bad = {v for v in rows if any(fault_of_times(*t, durations[v]) for t, _ in rows[v])}
    assert len(bad) == len(rows) == 13


def test_activitynet_dirty_within_the_tolerance(shared_data: Path) -> None:
    """Twelve ends lie 10 ms behind the video's: by default they are cut, and each one says so."""
    path = shared_data / "annotations" / "activitynet_captions_dirty.json"
    rows, durations = timed(path)
    codes: Counter[str | None] = Counter()
    for video_id, entry in read_manifest(str(path)).entries.items():
        items, captions, _ = check(entry, durations[video_id])
        codes.update(item.reason_code for item in items)
        assert all(caption.end_s <= durations[video_id] for caption in captions)
    good = sum(map(len, rows.values())) - 16
    assert codes == {"cut_end": 12, "zero_length": 2, "reversed_time": 2, None: good}


def test_activitynet_clean(shared_data: Path) -> None:
    """Of 3,321 videos no row is bad; float noise in a duration is not taken for a fault."""
    path = shared_data / "annotations" / "activitynet_captions_val2.json"
    rows, durations = timed(path)
    manifest = read_manifest(str(path))
    assert list(manifest.entries) == list(rows)
    assert len(rows) == 3321
    n_captions = 0
    for video_id, entry in manifest.entries.items():
        items, captions, _ = check(entry, durations[video_id])
        assert {item.reason_code for item in items} == {None}
        n_captions += len(captions)
    assert n_captions == sum(map(len, rows.values()))


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ("audio", {"zero_length": 66, "reversed_time": 6}),
        ("visual", {"zero_length": 39, "reversed_time": 5}),
    ],
)
def test_lfav(shared_data: Path, side: str, expected: dict[str, int]) -> None:
    """The file knows no durations; 72 and 44 rows are reversed or without length."""
    path = shared_data / "annotations" / f"lfav_test_{side}.csv"
    rows = event_rows(path)
    longest = max(end for plain in rows.values() for (_, end), _ in plain)
    codes = check_all(read_manifest(str(path)), rows, dict.fromkeys(rows, longest))
    assert codes == expected


@pytest.mark.parametrize(
    ("side", "expected"),
    [("audio", {"zero_length": 3, "reversed_time": 1}), ("visual", {})],
)
def test_llp(shared_data: Path, side: str, expected: dict[str, int]) -> None:
    """Clips of ten seconds, as their names say; four rows of what is heard are bad."""
    path = shared_data / "annotations" / f"llp_eval_{side}.csv"
    rows = event_rows(path)
    durations = {}
    for name in rows:
        found = re.search(r"_(\d+)_(\d+)$", name)
        assert found is not None
        durations[name] = float(found[2]) - float(found[1])
    assert check_all(read_manifest(str(path)), rows, durations) == expected


def test_unav100(shared_data: Path) -> None:
    """No row of 7,129 videos is bad; every annotation is an event with its own segment."""
    path = shared_data / "annotations" / "unav100.json"
    found = json.loads(path.read_text())
    manifest = read_manifest(str(path))
    assert manifest.faults == ()
    assert list(manifest.entries) == list(found)
    for video_id, plain in found.items():
        entry = manifest.entries[video_id]
        assert (entry.uri, entry.source) == (f"{video_id}.mp4", f"UnAV-100 {plain['subset']}")
        assert [
            (event.label, [event.segments[0].start_s, event.segments[0].end_s])
            for event in entry.events
        ] == [(one["label"], one["segment"]) for one in plain["annotations"]]
    for video_id in list(found)[::20]:
        items, _, events = check(manifest.entries[video_id], found[video_id]["duration"])
        assert {item.reason_code for item in items} == {None}
        assert len(events) == len(found[video_id]["annotations"])


def test_vggss(shared_data: Path) -> None:
    """Eight boxes with a corner at -2.9e16 and two without area are named; 3,875 are kept."""
    path = shared_data / "annotations" / "vggss_boxes.json"
    bad, good = [], []
    for clip in json.loads(path.read_text()):
        for box in clip["bbox"]:
            x1, y1, x2, y2 = box
            if x1 >= x2 or y1 >= y2 or min(box) < 0 or max(box) > 1:
                code = "zero_area_box" if min(box) >= 0 else "absurd_box"
                bad.append((clip["file"], code, json.dumps(box)))
            else:
                good.append((clip["file"], clip["class"], tuple(box)))
    boxes = read_boxes(str(path))
    assert [(f.video_id, f.reason_code, f.value) for f in boxes.faults] == bad
    assert Counter(code for _, code, _ in bad) == {"absurd_box": 8, "zero_area_box": 2}
    kept = [(one.clip_id, one.label, box.xyxy) for one in boxes.frames for box in one.boxes]
    assert kept == good
    assert len(good) == 3875
    incomplete = {one.clip_id for one in boxes.frames if one.n_faulty}
    assert incomplete == {clip for clip, _, _ in bad} & {clip for clip, _, _ in good}


def test_our_own_input(shared_data: Path) -> None:
    """The manifest of the real clips is read whole."""
    manifest = read_manifest(str(shared_data / "input.jsonl"))
    assert (len(manifest.entries), manifest.faults) == (12, ())
