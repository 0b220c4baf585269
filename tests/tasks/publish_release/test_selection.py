"""What may not be published is left out, each question with its reason in card and table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.errors import ReleaseError
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish

CONFIG = ReleaseConfig(name="yard")


def _publish(source, out, **changes):
    """The folder of a release and what its card says."""
    published = publish(source, out, CONFIG.model_copy(update=changes))
    folder = Path(published.folder)
    return folder, (folder / "README.md").read_text(encoding="utf-8"), published


def _videos(folder):
    found = pq.read_table(folder / "data").column("video_id").to_pylist()
    return sorted(set(found))


def _with_print(rows, prints):
    """The rows with these fingerprints by video id."""
    rows[Video] = [
        v.model_copy(update={"frame_fingerprint": prints.get(v.video_id)}) for v in rows[Video]
    ]
    return rows


def _hashes(seed, flipped=0):
    """Eight hashes that look like no others; the first bits of each may be flipped."""
    words = [(seed * 7919 + n * 104729) % 2**32 for n in range(8)]
    texts = [f"{word:08x}" * 8 for word in words]
    return " ".join(f"{int(text, 16) ^ (2**flipped - 1):064x}" for text in texts)


def test_a_withdrawn_video_is_left_out_whatever_its_licence(world, tmp_path):
    """Its questions are rows of `dropped`, the video one of `absent`, and the card counts both."""
    taken = tmp_path / "taken.txt"
    taken.write_text("v001\n")
    folder, card, published = _publish(
        world.source(), tmp_path / "out", takedown_list=str(taken), licences=("CC BY 4.0",)
    )
    assert "v001" not in _videos(folder)
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    assert {(row["video_id"], row["reason_code"]) for row in dropped} == {("v001", "withdrawn")}
    assert len(dropped) == 3
    absent = {row["video_id"]: row for row in pq.read_table(folder / "absent.parquet").to_pylist()}
    assert (absent["v001"]["stage"], absent["v001"]["status"]) == ("release", "filtered")
    assert "| release | question | 24 | 21 | 3 | 0 | 0 | 0 |" in card
    assert "| release | question | `withdrawn` | 3 |" in card
    assert (published.count.done, published.count.reasons) == (21, {"withdrawn": 3})


def test_only_licences_that_are_allowed_are_published(world, tmp_path):
    """Another licence, or none, is a reason that names it."""
    rows = world.rows(4)
    for index, licence in enumerate(("CC BY-NC 4.0", None)):
        rows = world.change(rows, Video, index, licence=licence)
    folder, card, _ = _publish(world.source(rows), tmp_path, licences=("CC BY 4.0",))
    assert _videos(folder) == ["v002", "v003"]
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    assert {row["message"] for row in dropped} == {
        "its licence is 'CC BY-NC 4.0'; release.licences has CC BY 4.0",
        "its licence is None; release.licences has CC BY 4.0",
    }
    assert "| release | question | `licence` | 6 |" in card


def test_videos_of_a_benchmark_can_be_left_out_instead(world, tmp_path):
    """The overlap table says how many, and that none is left."""
    listed = tmp_path / "ids.txt"
    listed.write_text("v002\nelsewhere\n")
    lists = (f"AVE={listed}",)
    folder, card, _ = _publish(
        world.source(), tmp_path / "out", exclusion_lists=lists, drop_excluded=True
    )
    assert "v002" not in _videos(folder)
    assert "| AVE | 2 | 0 | 1 |" in card


def test_near_duplicates_stand_in_one_split(world, tmp_path):
    """v000 is train, v003 test by its name; it shows what v000 shows."""
    prints = {"v000": _hashes(1), "v003": _hashes(1, flipped=20), "v002": _hashes(2)}
    source = world.source(_with_print(world.rows(4), prints))
    folder, card, _ = _publish(source, tmp_path)
    splits = pq.read_table(folder / "splits.parquet").to_pylist()
    split = {row["video_id"]: row["split"] for row in splits}
    assert split == {"v000": "train", "v001": "train", "v002": "validation", "v003": "train"}
    assert "1 pairs of near duplicates" in card
    assert "1 videos have no fingerprint" in card
    assert re.findall(r"\| train and test \| (.*) \|", card) == ["0 | 0 | 0 | 0"]


def test_a_near_duplicate_of_a_published_video_joins_it(world, tmp_path):
    """Also where that one is not in the new version at all."""
    first = world.rows(1)
    _publish(world.source(_with_print(first, {"v000": _hashes(1)})), tmp_path)
    later = {k: [r for r in v if "v000" not in r.record_id] for k, v in world.rows(4).items()}
    folder, _, _ = _publish(world.source(_with_print(later, {"v003": _hashes(1, 9)})), tmp_path)
    splits = {
        r["video_id"]: r["split"] for r in pq.read_table(folder / "splits.parquet").to_pylist()
    }
    assert splits["v003"] == splits["v000"] == "train"


def test_a_bridge_between_two_splits_is_left_out(world, tmp_path):
    """v001 comes later and shows what v000 in train and v003 in test show, each in half."""
    one, other = _hashes(1), _hashes(2)
    old = {k: [r for r in v if "v001" not in r.record_id] for k, v in world.rows(4).items()}
    _publish(world.source(_with_print(old, {"v000": one, "v003": other})), tmp_path)
    prints = {"v000": one, "v003": other, "v001": f"{one} {other}"}
    folder, card, _ = _publish(world.source(_with_print(world.rows(4), prints)), tmp_path)
    assert _videos(folder) == ["v000", "v002", "v003"]
    (message,) = {r["message"] for r in pq.read_table(folder / "dropped.parquet").to_pylist()}
    assert message == "it shows what 'v003' in test shows, and stands with videos in train"
    assert "| release | question | `near_duplicate` | 3 |" in card


def test_published_near_duplicates_in_two_splits_are_refused(world, tmp_path):
    """A split is for good: what an older version did not see is said, not moved."""
    _publish(world.source(world.rows(4)), tmp_path)
    prints = {"v000": _hashes(1), "v003": _hashes(1, flipped=5)}
    with pytest.raises(ReleaseError) as caught:
        _publish(world.source(_with_print(world.rows(4), prints)), tmp_path)
    assert re.findall(r"^- (\w+): ", str(caught.value), re.MULTILINE) == ["near_duplicate"]
    assert "'v000' in train shows what 'v003' in test shows" in str(caught.value)


def test_what_was_left_out_is_part_of_the_content(world, tmp_path):
    """The same rows with another takedown list are another version, with the list's effect only."""
    taken = tmp_path / "taken.txt"
    taken.write_text("v001\n")
    _publish(world.source(), tmp_path / "out")
    folder, _, again = _publish(world.source(), tmp_path / "out", takedown_list=str(taken))
    assert again.is_new
    diff = json.loads((folder / "diff.json").read_text())
    assert len(diff["tables"]["questions"]["removed"]) == 3
    assert diff["removed_questions"][0]["reason"] == "release: filtered (withdrawn)"
