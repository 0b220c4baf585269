"""A release can be checked against its manifest."""

from __future__ import annotations

import shutil

import pytest

from earshot.tasks.publish_release.files import verify


@pytest.fixture
def copy(release, tmp_path):
    """A copy of the release that may be spoilt."""
    return shutil.copytree(release, tmp_path / "copy")


def test_a_whole_release_has_no_fault(copy):
    """Wherever it was copied to."""
    assert verify(copy) == ()


def test_altered_missing_and_added_files_are_named(copy):
    """Each with what is wrong."""
    (copy / "README.md").chmod(0o644)
    (copy / "README.md").write_text("other")
    (copy / "media.parquet").unlink()
    (copy / "notes.txt").write_text("mine")
    missing, added, altered = verify(copy)
    assert missing == "media.parquet is missing"
    assert added == "notes.txt is not in the manifest"
    assert altered.startswith("README.md is altered: sha256 ")


def test_a_folder_without_manifest_is_no_release(tmp_path):
    """There is nothing to check against."""
    with pytest.raises(FileNotFoundError):
        verify(tmp_path)
