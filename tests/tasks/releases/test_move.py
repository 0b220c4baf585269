"""Releases go from place to place whole or not at all, whoever is killed or comes between."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import fsspec
import pytest

from earshot.errors import LeaseError, ReleaseError
from earshot.schemas.base import digest_of, sha256_hex
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from earshot.tasks.releases.listing import list_releases
from earshot.tasks.releases.move import _alone, pull, push
from earshot.tasks.releases.verify import verify
from tests import factories
from tests.tasks.publish_release.conftest import CONFIG, make_rows, make_source

# Dies by SIGKILL in the call number argv[3] of a function of a module.
DIE = """
import os, signal, sys
from earshot.tasks.releases import Release, move
from earshot.tasks.publish_release import upload
source, to, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
calls = 0
def dying(work):
    def run(*args, **kwargs):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*args, **kwargs)
    return run
if sys.argv[4] == "pull":
    move._AT_ONCE = 1
    move.download = dying(move.download)
    move.rename_whole = dying(move.rename_whole)
    move.pull(Release(source), __import__("pathlib").Path(to))
else:
    import s3fs
    s3fs.S3FileSystem.put_file = dying(s3fs.S3FileSystem.put_file)
    upload.create = dying(upload.create)
    move.push(Release(source), to)
"""


def killed(bucket, *arguments: str) -> None:
    """Run that code until it dies."""
    child = bucket.child(DIE, *arguments)
    _, err = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, err


def variant(release: Path, into: Path) -> str:
    """Another release of the same name: its card says something else."""
    folder = Path(shutil.copytree(release, into / release.name))
    manifest = json.loads((folder / "manifest.json").read_text())
    text = f"another card, in {into.name}".encode()
    (entry,) = [file for file in manifest["files"] if file["path"] == "README.md"]
    entry.update(bytes=len(text), sha256=sha256_hex(text))
    del manifest["manifest_digest"]
    manifest["manifest_digest"] = digest_of(manifest)
    for name, content in (("README.md", text), ("manifest.json", json.dumps(manifest).encode())):
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(content)
    return str(folder)


def test_there_and_back(release, bucket, tmp_path):
    """Pushed, pulled and whole: each byte as it was; again it is nothing new."""
    sent = push(Release(release), bucket.url)
    assert (sent.is_new, sent.kept, sent.note) == (True, 0, "")
    assert not push(Release(release), bucket.url).is_new
    came = pull(Release(f"{bucket.url}/yard-v1"), tmp_path)
    assert came.is_new
    assert not pull(Release(f"{bucket.url}/yard-v1"), tmp_path).is_new
    assert Release(came.place).pin == Release(release).pin
    assert verify(Release(came.place)) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["yard-v1"]
    assert not any(".claim" in name for name in bucket.names())


def test_push_to_a_folder_is_one_rename(release, tmp_path):
    """The same command for a shared disk."""
    assert push(Release(release), tmp_path / "disk").is_new
    assert verify(Release(tmp_path / "disk" / "yard-v1")) == ()


@pytest.mark.parametrize("step", [4, pytest.param(17, marks=pytest.mark.slow)])
def test_a_killed_pull_is_not_visible_and_goes_on(release, bucket, tmp_path, step):
    """Nothing under the release's name; files that had come are not fetched again."""
    push(Release(release), bucket.url)
    place = f"{bucket.url}/yard-v1"
    killed(bucket, place, str(tmp_path), str(step), "pull")
    assert list_releases(tmp_path) == []
    (staging,) = tmp_path.iterdir()
    assert staging.name.startswith(".pulling~yard-v1~")
    done = pull(Release(place), tmp_path)
    assert done.kept == step - 1
    assert verify(Release(done.place)) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["yard-v1"]


def test_a_pull_that_dies_before_its_rename_goes_on(release, bucket, tmp_path):
    """All is there but the name."""
    files = len(Release(release).head.files)
    killed(bucket, str(release), str(tmp_path), str(files + 1), "pull")
    assert list_releases(tmp_path) == []
    assert pull(Release(release), tmp_path).kept == files


def test_half_a_file_is_continued(release, bucket, tmp_path):
    """Its first bytes are kept; a part with other bytes is fetched anew, and checked."""
    push(Release(release), bucket.url)
    there = Release(f"{bucket.url}/yard-v1")
    staging = tmp_path / f".pulling~yard-v1~{there.pin[:16]}"
    staging.mkdir()
    content = (release / "README.md").read_bytes()
    (staging / "README.md.~part").write_bytes(content[:100])
    (staging / "media.parquet.~part").write_bytes(b"x" * 100)
    (staging / "gone.parquet").write_bytes(b"of another time")
    assert verify(Release(pull(there, tmp_path).place)) == ()


@pytest.mark.parametrize("step", [12, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_a_killed_push_is_not_visible_and_goes_on(release, bucket, step):
    """No manifest, so no release; the next push keeps what is there and sends the rest."""
    killed(bucket, str(release), bucket.url, str(step), "push")
    assert list_releases(bucket.url) == []
    done = push(Release(release), bucket.url)
    assert done.is_new
    # The first two calls are the claim and its test.
    assert done.kept == max(0, step - 3)
    assert verify(Release(f"{bucket.url}/yard-v1")) == ()
    assert not any(".claim" in name for name in bucket.names())


def test_of_many_publishers_one_wins(release, bucket, tmp_path):
    """Processes that publish different content at the same moment: one version, whole; the others
    are told to publish again.
    """
    folders = [variant(release, tmp_path / str(number)) for number in range(3)]
    code = (
        "import sys; from earshot.cli import main\n"
        "sys.argv = ['earshot', 'release', 'push', sys.argv[1], sys.argv[2]]; main()"
    )
    children = [bucket.child(code, folder, bucket.url) for folder in folders]
    ends = [child.communicate(timeout=120) for child in children]
    codes = [child.returncode for child in children]
    assert sorted(codes) == [0, 1, 1], ends
    winner = Release(folders[codes.index(0)])
    there = Release(f"{bucket.url}/yard-v1")
    assert there.pin == winner.pin
    assert verify(there) == ()
    for (_, err), code in zip(ends, codes, strict=True):
        assert code == 0 or "never changes" in err or "being published by process" in err
    assert not any(".claim" in name for name in bucket.names())


def test_publishing_straight_to_s3_counts_versions_there(bucket):
    """Numbers, inherited splits and the diff come from the place; equal content makes none."""
    first = publish(make_source(), bucket.url, CONFIG, now=factories.NOW)
    assert not publish(make_source(), bucket.url, CONFIG).is_new
    second = publish(make_source(make_rows(9)), bucket.url, CONFIG)
    assert (first.version, second.version) == (1, 2)
    assert all(warning.startswith("Blind answer") for warning in second.warnings)
    assert verify(Release(f"{bucket.url}/yard-v2")) == ()
    assert Release(f"{bucket.url}/yard-v2").head.previous.version == 1


def test_leftovers_of_another_content_are_replaced(release, bucket):
    """A dead publisher's files under the same number are not mixed in."""
    fs = fsspec.filesystem("s3")
    inner = bucket.url.removeprefix("s3://")
    fs.pipe_file(f"{inner}/yard-v1/README.md", b"other")
    fs.pipe_file(f"{inner}/yard-v1/data/train/old.parquet", b"other")
    assert push(Release(release), bucket.url).is_new
    assert verify(Release(f"{bucket.url}/yard-v1")) == ()


def test_a_published_version_never_changes(release, second, bucket, tmp_path):
    """Other content under the same name is refused on S3 and on disk, and nothing is touched."""
    other = variant(release, tmp_path)
    push(Release(release), bucket.url)
    for place in (bucket.url, str(release.parent)):
        with pytest.raises(ReleaseError, match="never changes"):
            push(Release(other), place)
    assert verify(Release(f"{bucket.url}/yard-v1")) == ()
    assert verify(Release(release)) == ()


def test_a_spoilt_release_is_neither_pushed_nor_pulled(copy, bucket, tmp_path):
    """The file is named, and nothing becomes visible."""
    push(Release(copy), bucket.url)
    path = copy / "README.md"
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(ReleaseError, match=r"is not pushed: README\.md is altered"):
        push(Release(copy), f"{bucket.url}/elsewhere")
    inner = bucket.url.removeprefix("s3://")
    fsspec.filesystem("s3").pipe_file(f"{inner}/yard-v1/README.md", b"other")
    with pytest.raises(ReleaseError, match=r"README\.md has sha256"):
        pull(Release(f"{bucket.url}/yard-v1"), tmp_path / "into")
    assert list_releases(tmp_path / "into") == []


def test_a_manifest_can_not_write_outside(copy, tmp_path):
    """A path of a foreign manifest that leads elsewhere is refused."""
    path = copy / "manifest.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"README.md"', '"../../README.md"'))
    with pytest.raises(ReleaseError, match="outside of the release"):
        pull(Release(copy), tmp_path / "into")


def test_two_pulls_of_one_release_do_not_meet(release, tmp_path):
    """The second is told to wait."""
    staging = tmp_path / f".pulling~yard-v1~{Release(release).pin[:16]}"
    staging.mkdir()
    with _alone(staging), pytest.raises(LeaseError, match="another process is filling"):
        pull(Release(release), tmp_path)


def test_a_place_without_conditional_put_says_so(release, monkeypatch):
    """Known from the protocol, or found out by asking twice."""
    fs = fsspec.filesystem("memory")
    monkeypatch.setattr("earshot.tasks.publish_release.upload._CONDITIONAL", frozenset())
    done = push(Release(release), "memory://bare")
    assert "no conditional put" in done.note
    monkeypatch.undo()
    heeding = type(fs).pipe_file
    monkeypatch.setattr(type(fs), "pipe_file", lambda self, p, v, mode=None: heeding(self, p, v))
    assert "no conditional put" in push(Release(release), "memory://deaf").note
    monkeypatch.undo()
    for name in ("/bare", "/deaf"):
        fs.rm(name, recursive=True)


@pytest.mark.slow
def test_sigkill_while_bytes_flow(release, bucket, tmp_path):
    """A command that is killed at any moment, not at a chosen line, leaves nothing half."""
    push(Release(release), bucket.url)
    place = f"{bucket.url}/yard-v1"
    code = "import sys; from earshot.cli import main; sys.argv[0] = 'earshot'; main()"
    for wait_s in (0.7, 1.2, 1.6):
        child = bucket.child(code, "release", "pull", place, str(tmp_path))
        try:
            child.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        for listed in list_releases(tmp_path):
            assert verify(Release(listed.place)) == ()
    assert verify(Release(pull(Release(place), tmp_path).place)) == ()
