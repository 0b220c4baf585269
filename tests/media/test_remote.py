"""Fetching from places that refuse, stall, break off and change."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest

from earshot.errors import ItemError
from earshot.media import remote as remote_module
from earshot.media.fetch import Limits, content_sha256, identity, local_path
from earshot.media.remote import Patience, look, shown
from tests.media.web import Site, serve

HASTY = Limits(patience=Patience(request_s=5, attempts=3, wait_s=0.01))
CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture
def site() -> Iterator[Site]:
    """A well-behaved server of 300 kB."""
    with serve(Site(CONTENT)) as site:
        yield site


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three requests a file, so that there is something to continue."""
    monkeypatch.setattr(remote_module, "CHUNK_BYTES", 100_000)


def get(url: str, cache: Path, **options: object) -> bytes:
    """What is fetched of a URL."""
    return local_path(url, "/", cache, **{"limits": HASTY, **options}).read_bytes()  # type: ignore[arg-type]


def code_of(url: str, cache: Path, **options: object) -> str:
    """The code of the fault that fetching raises."""
    with pytest.raises(ItemError) as caught:
        get(url, cache, **options)
    return caught.value.code


def test_file_comes_in_ranges_and_once(site: Site, tmp_path: Path) -> None:
    """A large file comes in bounded requests; the second time only its identity is asked."""
    assert get(site.url, tmp_path) == CONTENT
    assert [r for r in site.gets if r] == [
        "bytes=299999-299999",
        "bytes=0-99999",
        "bytes=100000-199999",
        "bytes=200000-299999",
    ]
    before = len(site.gets)
    assert get(site.url, tmp_path) == CONTENT
    assert len(site.gets) == before


@pytest.mark.parametrize("says_size", [True, False])
def test_server_without_ranges(tmp_path: Path, says_size: bool) -> None:
    """A server that ignores ranges, or tells no size, sends the whole in one stream."""
    with serve(Site(CONTENT, serves_ranges=False, says_size=says_size)) as site:
        assert get(site.url, tmp_path) == CONTENT
        assert code_of(site.url, tmp_path / "other", max_bytes=1000) == "too_large"


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([404] * 9, "not_found"),
        ([410] * 9, "not_found"),
        ([403] * 9, "forbidden"),
        ([401] * 9, "forbidden"),
        ([503] * 9, "fetch_failed"),
        ([504] * 9, "timeout"),
    ],
)
def test_refusals_have_reasons(site: Site, tmp_path: Path, statuses: list[int], code: str) -> None:
    """Each refusal has its own reason; only those that may pass are asked again."""
    site.statuses = statuses
    assert code_of(site.url, tmp_path) == code
    # One try is a HEAD and a GET.
    assert len(site.asked) == (6 if code in ("fetch_failed", "timeout") else 2)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".mp4", ".~part")]


def test_passing_refusals_are_retried(site: Site, tmp_path: Path) -> None:
    """A server that is busy twice costs two waits, not the video."""
    site.statuses = [503, 503, 429, 503]
    assert get(site.url, tmp_path) == CONTENT


def test_broken_connection_costs_one_request(site: Site, tmp_path: Path) -> None:
    """A connection that breaks off in the middle is asked again for that stretch only."""
    site.cut_after = 50_000
    assert get(site.url, tmp_path) == CONTENT
    assert site.gets.count("bytes=0-99999") == 2
    assert site.gets.count("bytes=100000-199999") == 1


def test_stalling_server_is_a_timeout(site: Site, tmp_path: Path) -> None:
    """A server that accepts and says nothing is given up, with its reason."""
    site.stalls = True
    patience = Patience(request_s=0.3, attempts=1)
    assert code_of(site.url, tmp_path, limits=Limits(patience=patience)) == "timeout"


def test_nobody_listens(tmp_path: Path) -> None:
    """A port or a host that is not there is no missing file: it may come back."""
    for url in ("http://127.0.0.1:9/a.mp4", "http://nowhere.invalid/a.mp4"):
        assert code_of(url, tmp_path) == "fetch_failed"


def test_killed_fetch_goes_on(site: Site, tmp_path: Path) -> None:
    """What came before the end of a process is not asked for again."""
    site.statuses = []
    original = remote_module._range

    def failing(remote: object, start: int, *rest: object) -> bytes:
        if start >= 100_000:
            raise KeyboardInterrupt
        return original(remote, start, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_module, "_range", failing)
        with pytest.raises(KeyboardInterrupt):
            get(site.url, tmp_path)
    before = len(site.gets)
    assert get(site.url, tmp_path) == CONTENT
    assert "bytes=0-99999" not in site.gets[before:]


def test_part_of_another_content_is_not_continued(site: Site, tmp_path: Path) -> None:
    """A file that changed between two tries is fetched from its beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_module, "_range", partial(_interrupt_at, 100_000))
        with pytest.raises(KeyboardInterrupt):
            get(site.url, tmp_path)
    site.content = CONTENT[::-1]
    assert get(site.url, tmp_path) == site.content


def _interrupt_at(limit: int, remote: object, start: int, end: int, patience: object) -> bytes:
    if start >= limit:
        raise KeyboardInterrupt
    return CONTENT[start:end]


def test_file_that_changes_while_it_comes(site: Site, tmp_path: Path) -> None:
    """Halves of two contents are never put together."""
    original = remote_module._range

    def changing(remote: object, start: int, *rest: object) -> bytes:
        site.content = CONTENT[::-1] if start >= 200_000 else site.content
        return original(remote, start, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_module, "_range", changing)
        assert code_of(site.url, tmp_path) == "checksum"
    assert get(site.url, tmp_path) == CONTENT[::-1]


def test_new_content_is_fetched_and_has_a_new_identity(site: Site, tmp_path: Path) -> None:
    """A copy is as new as its place; asking for the identity downloads nothing."""
    before = identity(site.url, "/", tmp_path, limits=HASTY)
    assert not list(tmp_path.iterdir())
    assert get(site.url, tmp_path) == CONTENT
    assert identity(site.url, "/", tmp_path, limits=HASTY) == before
    site.content = CONTENT[:1000]
    assert identity(site.url, "/", tmp_path, limits=HASTY) != before
    assert get(site.url, tmp_path) == CONTENT[:1000]


def test_copy_serves_while_its_place_does_not_answer(site: Site, tmp_path: Path) -> None:
    """A file that is gone, or a server that is down, does not cost what was fetched before."""
    get(site.url, tmp_path)
    before = identity(site.url, "/", tmp_path, limits=HASTY)
    site.statuses = [404] * 20
    assert get(site.url, tmp_path) == CONTENT
    assert identity(site.url, "/", tmp_path, limits=HASTY) == before


def test_altered_copy_is_fetched_again(site: Site, tmp_path: Path) -> None:
    """A copy that something else wrote into, or cut, does not serve."""
    path = local_path(site.url, "/", tmp_path, limits=HASTY)
    path.write_bytes(b"cut")
    assert get(site.url, tmp_path) == CONTENT


def test_expected_digest(site: Site, tmp_path: Path) -> None:
    """Another content than the expected is fetched once more, then refused."""
    path = local_path(site.url, "/", tmp_path, limits=HASTY)
    right = content_sha256(path, tmp_path)
    assert get(site.url, tmp_path, sha256=right) == CONTENT
    stat = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (digest,) = (tmp_path / "digests").iterdir()
    digest.unlink()
    assert get(site.url, tmp_path, sha256=right) == CONTENT
    assert code_of(site.url, tmp_path, sha256="0" * 64) == "checksum"
    assert code_of(str(path), tmp_path, sha256="0" * 64) == "checksum"


def test_cache_is_bounded(tmp_path: Path) -> None:
    """What was not used longest goes; what was used lately stays, also beyond the bound."""
    memory = fsspec.filesystem("memory")
    limits = Limits(cache_bytes=2500, patience=HASTY.patience)
    paths = []
    for index in range(3):
        memory.pipe(f"/bound/{index}.mp4", bytes([index]) * 1000)
        url = f"memory://bound/{index}.mp4"
        paths.append(local_path(url, "/", tmp_path, limits=limits))
    assert all(path.exists() for path in paths)
    for age_s, path in zip((9000, 8000, 10), paths, strict=True):
        note = path.with_name(path.name + ".~copy")
        os.utime(note, (note.stat().st_mtime - age_s,) * 2)
    memory.pipe("/bound/3.mp4", b"3" * 1000)
    local_path("memory://bound/3.mp4", "/", tmp_path, limits=limits)
    assert [path.exists() for path in paths] == [False, False, True]
    memory.pipe("/bound/4.mp4", b"4" * 2501)
    assert code_of("memory://bound/4.mp4", tmp_path, limits=limits) == "too_large"


def test_signed_urls_are_not_shown() -> None:
    """Messages have neither password nor signature."""
    assert shown("https://me:secret@host/a.mp4?sig=1#x") == "https://host/a.mp4"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The endpoint of an S3 server with one file, and the credentials for it."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patch.setitem(fsspec.config.conf, "s3", {"endpoint_url": endpoint})
        store = fsspec.filesystem("s3")
        store.mkdir("films", region_name="eu-west-1")
        store.pipe("films/in/clip.mp4", CONTENT)
        yield endpoint
    server.stop()


def test_s3(bucket: str, tmp_path: Path) -> None:
    """A relative uri of a manifest on S3 is fetched, and follows what lies there."""
    path = local_path("clip.mp4", "s3://films/in", tmp_path, limits=HASTY)
    assert (path.read_bytes(), path.suffix) == (CONTENT, ".mp4")
    before = look("s3://films/in/clip.mp4", HASTY.patience)
    assert (before.size, before.is_sure) == (len(CONTENT), True)
    fsspec.filesystem("s3").pipe("films/in/clip.mp4", CONTENT[:10])
    assert identity("clip.mp4", "s3://films/in", tmp_path, limits=HASTY) != before.identity
    assert get("s3://films/in/clip.mp4", tmp_path) == CONTENT[:10]


def test_s3_refusals(bucket: str, tmp_path: Path) -> None:
    """A missing key, a missing bucket and a folder are not found."""
    for url in ("s3://films/in/gone.mp4", "s3://nowhere/a.mp4", "s3://films/in"):
        assert code_of(url, tmp_path) == "not_found"


def test_s3_without_credentials(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No credentials are a refusal that says so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        assert code_of("s3://films/in/clip.mp4", tmp_path) == "forbidden"
    finally:
        fsspec.filesystem("s3").clear_instance_cache()
