"""A release can be checked against its manifest, to the last bit."""

from __future__ import annotations

import json
import random

import fsspec
import pytest

from earshot.errors import ReleaseError
from earshot.tasks.releases import Release
from earshot.tasks.releases.move import push
from earshot.tasks.releases.verify import verify


def flip(path, bit):
    """Change one bit of a file."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_whole_release_has_no_fault(copy):
    """Wherever it was copied to."""
    assert verify(Release(copy)) == ()


def test_altered_missing_and_added_files_are_named(copy):
    """Each with what is wrong."""
    (copy / "README.md").chmod(0o644)
    (copy / "README.md").write_text("other")
    (copy / "media.parquet").unlink()
    (copy / "notes.txt").write_text("mine")
    missing, added, altered = verify(Release(copy))
    assert missing == "media.parquet is missing"
    assert added == "notes.txt is not in the manifest"
    assert altered.startswith("README.md is altered: sha256 ")
    assert altered.endswith("(5 bytes, expected " + f"{_size(copy, 'README.md')})")


def _size(folder, path):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return next(file["bytes"] for file in files if file["path"] == path)


def test_one_flipped_bit_names_its_file(copy):
    """In any file, at any place of it: also in a footer that can no longer be read."""
    rng = random.Random(5)
    for file in Release(copy).head.files:
        path = copy / file.path
        for bit in (rng.randrange(8 * file.bytes), 8 * file.bytes - 40):
            flip(path, bit)
            (fault,) = verify(Release(copy))
            assert fault.startswith(f"{file.path} is altered: sha256 ")
            flip(path, bit)
    assert verify(Release(copy)) == ()


def test_one_flipped_bit_of_the_manifest_shows(copy):
    """It can't be read any more, or its content is not what its own digest says."""
    path, rng = copy / "manifest.json", random.Random(6)
    for bit in [rng.randrange(8 * path.stat().st_size) for _ in range(150)]:
        flip(path, bit)
        said = ""
        try:
            said = " ".join(verify(Release(copy)))
        except ReleaseError as error:
            said = str(error)
        assert "manifest.json" in said or "is not in the manifest" in said, bit
        flip(path, bit)


def test_a_folder_without_manifest_is_no_release(tmp_path):
    """There is nothing to check against."""
    with pytest.raises(ReleaseError, match=r"has no manifest\.json"):
        Release(tmp_path)


def test_a_pin_is_the_manifest_and_nothing_else(release, second):
    """Eight digits or more of it; another version, or too short a pin, is refused."""
    pin = Release(release).pin
    assert Release(release, pin=pin[:8]).pin == pin
    for wrong in (Release(second).pin, pin[:7], "0" * 64):
        with pytest.raises(ReleaseError, match="pinned is"):
            Release(release, pin=wrong)


def test_a_flipped_bit_on_s3_is_named(release, bucket):
    """The bytes are read where they lie."""
    push(Release(release), bucket.url)
    there = Release(f"{bucket.url}/yard-v1")
    assert verify(there) == ()
    path = there.path(there.files("tubes")[0])
    content = bytearray(fsspec.filesystem("s3").cat_file(path))
    content[100] ^= 4
    fsspec.filesystem("s3").pipe_file(path, bytes(content))
    (fault,) = verify(there)
    assert fault.startswith("tables/tubes.parquet is altered")
