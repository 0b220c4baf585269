"""Versions are found, begun and taken in without touching what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from earshot.errors import ReleaseError
from earshot.tasks.publish_release.marker import Marker
from earshot.tasks.publish_release.shelf import open_shelf


def _version(folder, text='{"v":1,"name":"yard","version":1,"content_digest":"d","files":[]}'):
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(text)


def test_a_shelf_that_is_not_there_has_no_version(tmp_path):
    """And asking makes no folder."""
    shelf = open_shelf(tmp_path / "none", "yard")
    assert shelf.latest() is None
    assert shelf.clean() == ()
    assert not (tmp_path / "none").exists()


def test_versions_are_ordered_as_numbers(tmp_path):
    """v10 is after v9; what has no manifest is no version."""
    for version in (1, 9, 10):
        _version(tmp_path / f"yard-v{version}")
    (tmp_path / "yard-v11").mkdir()
    latest = open_shelf(tmp_path, "yard").latest()
    assert latest is not None
    assert latest.folder.endswith("yard-v10")


def test_a_broken_manifest_is_said_and_not_passed_over(tmp_path):
    """Passing over it would number a version twice."""
    _version(tmp_path / "yard-v1", "{}")
    with pytest.raises(ReleaseError, match=r"yard-v1/manifest\.json can't be read"):
        open_shelf(tmp_path, "yard").latest()


def test_a_manifest_of_later_code_can_be_read(tmp_path):
    """Fields that this code does not know are passed over."""
    text = '{"v":1,"name":"yard","version":4,"content_digest":"d","files":[],"new":[1]}'
    _version(tmp_path / "yard-v4", text)
    latest = open_shelf(tmp_path, "yard").latest()
    assert latest is not None
    assert latest.head.version == 4


def test_of_two_that_publish_at_once_the_second_is_refused(tmp_path):
    """The first one's files stay; the second is told to publish again."""
    shelf = open_shelf(tmp_path, "yard")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(name)
    shelf.take_in(tmp_path / "first", 1)
    with pytest.raises(ReleaseError, match="Publish again"):
        shelf.take_in(tmp_path / "second", 1)
    assert (tmp_path / "yard-v1" / "manifest.json").read_text() == "first"


def test_a_live_publication_and_other_names_are_not_cleaned(tmp_path):
    """Only what is over and belongs to this data set goes."""
    dead = replace(Marker.mine("yard"), token="0")
    names = [Marker.mine("yard").text, replace(dead, name="other").text, ".hidden", dead.text]
    for name in names:
        (tmp_path / name).mkdir()
    assert open_shelf(tmp_path, "yard").clean() == (dead.text,)
    assert {path.name for path in tmp_path.iterdir()} == set(names[:3])
