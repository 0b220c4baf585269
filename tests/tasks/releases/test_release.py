"""A release is read by its address, with or without our code beside it."""

from __future__ import annotations

import pytest

import earshot
from earshot.errors import ItemError, ReleaseError
from earshot.tasks.releases import Release
from earshot.tasks.releases.listing import list_releases
from earshot.tasks.releases.move import push


def test_rows_come_as_data_frames(release):
    """Questions of all splits or one, any other table, some columns, some rows."""
    found = earshot.Release(release)
    assert len(found.to_pandas()) == 24
    assert set(found.to_pandas(split="test")["split"]) == {"test"}
    assert list(found.to_pandas("tubes", columns=["tube_id", "boxes"])) == ["tube_id", "boxes"]
    one = found.to_pandas(filters=[("video_id", "=", "v003")])
    assert set(one["video_id"]) == {"v003"}
    assert found.schema("tubes").names[0] == "tube_id"


def test_one_video_is_found_in_its_split(release):
    """The rows that a filter over all splits finds; a video without questions is an error."""
    found = Release(release)
    assert found.video("v003").equals(found.read(filters=[("video_id", "=", "v003")]))
    with pytest.raises(ReleaseError, match="no question about video 'gone'"):
        found.video("gone")


def test_a_table_or_split_that_is_not_there_is_named(release):
    """With those that are."""
    with pytest.raises(ReleaseError, match=r"no table 'boxes'.*tubes.*test, train, validation"):
        Release(release).read("boxes")
    with pytest.raises(ReleaseError, match="no split 'dev'"):
        Release(release).read(split="dev")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "asked",
    [
        {"columns": ["video_id", "boxs"]},
        {"filters": [("boxs", "=", 1)]},
        {"filters": [[("tube_id", "=", "t"), ("boxs", "=", 1)], [("video_id", "=", "v")]]},
    ],
)
def test_a_column_that_is_not_there_is_named(release, asked):
    """With those that are, be it wanted or filtered by."""
    with pytest.raises(ReleaseError, match=r"'tubes' has no column 'boxs'.*tube_id.*boxes"):
        Release(release).read("tubes", **asked)


def test_versions_of_a_place_are_listed_in_order(release, second, tmp_path):
    """With numbers and pins; what has no manifest is no version."""
    one, two = list_releases(release.parent)
    assert [(each.name, each.version, each.questions) for each in (one, two)] == [
        ("yard", 1, 24),
        ("yard", 2, 27),
    ]
    assert one.pin == Release(release).pin
    (tmp_path / "yard-v3").mkdir()
    assert list_releases(tmp_path) == []
    with pytest.raises(ItemError, match="is not there"):
        list_releases(tmp_path / "none")


def test_a_release_on_s3_reads_like_a_folder(release, bucket):
    """The same rows by the same calls."""
    push(Release(release), bucket.url)
    (listed,) = list_releases(bucket.url)
    found = Release(listed.place, pin=listed.pin)
    assert found.read().equals(Release(release).read())
    assert found.local is None
