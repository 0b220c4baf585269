"""From a uri of the manifest to a local file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import fsspec
import pytest

from earshot.errors import ItemError
from earshot.media.fetch import content_sha256, identity, local_file, resolve


def code_of(uri: str, base: str | Path, cache: Path, max_bytes: int | None = None) -> str:
    """The code of the fault that fetching raises."""
    with pytest.raises(ItemError) as caught:
        local_path(uri, base, cache, max_bytes)
    return caught.value.code


def local_path(uri: str, base: str | Path, cache: Path, max_bytes: int | None = None) -> Path:
    """The file that a uri means, no longer held."""
    with local_file(uri, base, cache, max_bytes) as path:
        return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A file that stands for a video."""
    path = tmp_path / "in put" / "a b.mp4"
    path.parent.mkdir()
    path.write_bytes(b"picture and sound")
    return path


def test_local_uris(video: Path, tmp_path: Path) -> None:
    """Relative paths start at the manifest's folder; absolute ones and file:// stand alone."""
    folder = video.parent
    for uri in ("a b.mp4", str(video), video.as_uri()):
        assert local_path(uri, folder, tmp_path / "cache") == video
    assert local_path("a b.mp4", folder.as_uri(), tmp_path / "cache") == video
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("v/a.mp4", "s3://bucket/in/", "s3://bucket/in/v/a.mp4"),
        ("https://host/a.mp4", "s3://bucket", "https://host/a.mp4"),
        ("a.mp4", "/data", "/data/a.mp4"),
        ("a b#1?é.mp4", "/data", "/data/a b#1?é.mp4"),
        ("a b#1?.mp4", "s3://bucket", "s3://bucket/a b#1?.mp4"),
        ("a b#1?é.mp4", "http://host/in", "http://host/in/a%20b%231%3F%C3%A9.mp4"),
        ("a%20b.mp4", "http://host/in", "http://host/in/a%20b.mp4"),
    ],
)
def test_resolve(uri: str, base: str, expected: str) -> None:
    """A relative uri joins the base, a URL stays as it is."""
    assert resolve(uri, base) == expected


def test_faults_of_local_files(video: Path, tmp_path: Path) -> None:
    """Missing files, folders, too large files and what has no end have their own codes."""
    cache = tmp_path / "cache"
    assert code_of("gone.mp4", tmp_path, cache) == "not_found"
    assert code_of(".", tmp_path, cache) == "not_found"
    with pytest.raises(ItemError, match="is a folder; expected a video file"):
        identity(".", tmp_path, cache)
    assert code_of(str(video / "below"), tmp_path, cache) == "not_found"
    os.mkfifo(tmp_path / "pipe.mp4")
    for endless in ("pipe.mp4", "/dev/zero"):
        assert code_of(endless, tmp_path, cache) == "unreadable"
        with pytest.raises(ItemError, match="pipe or a device"):
            identity(endless, tmp_path, cache)
    assert code_of(str(video), tmp_path, cache, max_bytes=3) == "too_large"
    assert local_path(str(video), tmp_path, cache, max_bytes=17) == video


def test_remote_file_is_fetched_once(tmp_path: Path) -> None:
    """A URL is copied whole into the cache, keeps its suffix, and is not fetched again."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/clip.mp4", b"remote picture")
    path = local_path("memory://bucket/clip.mp4", tmp_path, tmp_path / "cache")
    assert (path.read_bytes(), path.suffix) == (b"remote picture", ".mp4")
    memory.rm("/bucket/clip.mp4")
    assert local_path("memory://bucket/clip.mp4", tmp_path, tmp_path / "cache") == path


def test_faults_of_remote_files(tmp_path: Path) -> None:
    """Missing, too large and unknown places have their own codes and leave no part behind."""
    cache = tmp_path / "cache"
    fsspec.filesystem("memory").pipe("/bucket/big.mp4", b"x" * 100)
    assert code_of("memory://bucket/gone.mp4", tmp_path, cache) == "not_found"
    assert code_of("memory://bucket/big.mp4", tmp_path, cache, max_bytes=99) == "too_large"
    assert code_of("nosuchplace://x/y.mp4", tmp_path, cache) == "bad_entry"
    assert not list(cache.rglob("*.~part"))


def test_digest_is_the_contents(video: Path, tmp_path: Path) -> None:
    """The digest is sha256 of the bytes, the first time and from the cache."""
    expected = hashlib.sha256(b"picture and sound").hexdigest()
    assert content_sha256(video, tmp_path / "cache") == expected
    assert content_sha256(video, tmp_path / "cache") == expected
    assert len(list((tmp_path / "cache" / "digests").iterdir())) == 1


def test_digest_follows_a_change(video: Path, tmp_path: Path) -> None:
    """New content has a new digest, also with the size it had."""
    cache = tmp_path / "cache"
    before = content_sha256(video, cache)
    video.write_bytes(b"PICTURE and sound")
    os.utime(video, ns=(1, video.stat().st_mtime_ns + 1))
    assert content_sha256(video, cache) != before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"path": "elsewhere"}'])
def test_broken_cache_entry_is_a_miss(video: Path, tmp_path: Path, content: str) -> None:
    """An entry that is cut or of another file is computed again."""
    cache = tmp_path / "cache"
    digest = content_sha256(video, cache)
    (entry,) = (cache / "digests").iterdir()
    entry.write_text(content)
    assert content_sha256(video, cache) == digest
    assert json.loads(entry.read_text())["sha256"] == digest


def test_digest_of_a_missing_file(tmp_path: Path) -> None:
    """There is no digest of what is not there."""
    with pytest.raises(ItemError) as caught:
        content_sha256(tmp_path / "gone.mp4", tmp_path / "cache")
    assert caught.value.code == "not_found"
