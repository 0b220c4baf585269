"""Fetching from places that refuse, stall, break off and change."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import fsspec
import pytest

from earshot.errors import ItemError
from earshot.media import remote as remote_module
from earshot.media.fetch import content_sha256, identity, local_file
from earshot.media.remote import look
from earshot.places import shown, without_secrets
from earshot.schemas.config import FetchConfig
from tests.media.web import Site, serve

HASTY = FetchConfig(request_s=5, attempts=3, wait_s=0.01)
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


def local_path(url: str, base: str, cache: Path, **options: object) -> Path:
    """The copy of a URL, no longer held."""
    with local_file(url, base, cache, **{"fetch": HASTY, **options}) as path:  # type: ignore[arg-type]
        return path


def get(url: str, cache: Path, **options: object) -> bytes:
    """What is fetched of a URL."""
    return local_path(url, "/", cache, **options).read_bytes()


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


def test_redirects_without_end_are_no_missing_file(site: Site, tmp_path: Path) -> None:
    """A place that sends on to itself for ever is given up."""
    site.statuses = [302] * 500
    with pytest.raises(ItemError, match="TooManyRedirects") as caught:
        get(site.url, tmp_path)
    assert caught.value.code == "fetch_failed"


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
    hasty = FetchConfig(request_s=0.3, attempts=1)
    assert code_of(site.url, tmp_path, fetch=hasty) == "timeout"


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


def test_fetch_of_a_process_that_was_killed_goes_on(site: Site, tmp_path: Path) -> None:
    """SIGKILL in the middle of a file costs the stretch that was coming, and locks nobody out."""
    site.holds_from = 200_000
    script = (
        "import sys; from pathlib import Path; from earshot.media import fetch, remote\n"
        "remote.CHUNK_BYTES = 100_000\n"
        "with fetch.local_file(sys.argv[1], '/', Path(sys.argv[2])): pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, site.url, str(tmp_path)]) as child:
        deadline = time.monotonic() + 60
        while "bytes=200000-299999" not in site.gets and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
    site.holds_from = None
    before = len(site.gets)
    assert not list(tmp_path.rglob("*.mp4"))
    assert get(site.url, tmp_path) == CONTENT
    assert "bytes=200000-299999" in site.gets[before:]
    assert not {"bytes=0-99999", "bytes=100000-199999"} & {*site.gets[before:]}


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
    before = identity(site.url, "/", tmp_path, fetch=HASTY)
    assert not list(tmp_path.iterdir())
    assert get(site.url, tmp_path) == CONTENT
    assert identity(site.url, "/", tmp_path, fetch=HASTY) == before
    site.content = CONTENT[:1000]
    assert identity(site.url, "/", tmp_path, fetch=HASTY) != before
    assert get(site.url, tmp_path) == CONTENT[:1000]


def test_copy_serves_while_its_place_does_not_answer(site: Site, tmp_path: Path) -> None:
    """A file that is gone, or a server that is down, does not cost what was fetched before."""
    get(site.url, tmp_path)
    before = identity(site.url, "/", tmp_path, fetch=HASTY)
    site.statuses = [404] * 20
    assert get(site.url, tmp_path) == CONTENT
    assert identity(site.url, "/", tmp_path, fetch=HASTY) == before


def test_altered_copy_is_fetched_again(site: Site, tmp_path: Path) -> None:
    """A copy that something else wrote into, or cut, does not serve."""
    path = local_path(site.url, "/", tmp_path)
    path.write_bytes(b"cut")
    assert get(site.url, tmp_path) == CONTENT


def test_expected_digest(site: Site, tmp_path: Path) -> None:
    """Another content than the expected is fetched once more, then refused."""
    path = local_path(site.url, "/", tmp_path)
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
    """What was not used longest goes, however lately that was; what is held stays."""
    memory = fsspec.filesystem("memory")
    fetch = HASTY.model_copy(update={"cache_bytes": 2500})

    def hold(index: int) -> AbstractContextManager[Path]:
        memory.pipe(f"/bound/{index}.mp4", bytes([index]) * 1000)
        return local_file(f"memory://bound/{index}.mp4", "/", tmp_path, fetch=fetch)

    with hold(0) as first:
        for index in range(1, 6):
            with hold(index) as path:
                assert path.read_bytes() == bytes([index]) * 1000
                there = {copy.name[17:] for copy in tmp_path.rglob("*.mp4")}
                assert there == {"0.mp4", f"{index}.mp4"}
        assert first.read_bytes() == bytes(1000)
    with hold(6), hold(7):
        assert not first.exists()
    memory.pipe("/bound/8.mp4", b"8" * 2501)
    with pytest.raises(ItemError, match=r"fetch\.cache_bytes") as caught:
        get("memory://bound/8.mp4", tmp_path, fetch=fetch)
    assert caught.value.code == "too_large"


def test_new_content_waits_for_who_holds_the_old(site: Site, tmp_path: Path) -> None:
    """A file never changes under its reader; who wants the new one comes behind."""
    with ThreadPoolExecutor(1) as pool:
        with local_file(site.url, "/", tmp_path, fetch=HASTY) as path:
            site.content = CONTENT[::-1]
            later = pool.submit(get, site.url, tmp_path)
            with pytest.raises(TimeoutError):
                later.result(0.3)
            assert path.read_bytes() == CONTENT
        assert later.result(10) == CONTENT[::-1]


def test_many_readers_fetch_once(site: Site, tmp_path: Path) -> None:
    """Who wants the same file at the same time shares one copy."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: get(site.url, tmp_path), range(8)))
    assert found == [CONTENT] * 8
    assert site.gets.count("bytes=0-99999") == 1


def test_signed_urls_are_not_shown() -> None:
    """Messages have neither password nor signature."""
    assert shown("https://me:secret@host/a.mp4?sig=1#x") == "https://host/a.mp4"
    assert shown("s3://bucket/is it a@b#1?.mp4") == "s3://bucket/is it a@b#1?.mp4"
    assert shown("ftp://me:secret@host/a.mp4") == "ftp://host/a.mp4"
    said = "403, url='https://me:secret@host/a.mp4?sig=1&x=%2F' is it? s3://k:s@b/c, a=b"
    assert without_secrets(said) == "403, url='https://host/a.mp4' is it? s3://b/c, a=b"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_messages_of_refusals_have_no_signature(site: Site, tmp_path: Path, status: int) -> None:
    """What the library says of a refusal has the whole URL; what is reported has not."""
    site.statuses = [status] * 9
    with pytest.raises(ItemError) as caught:
        get(f"{site.url}?sig=secret", tmp_path)
    assert "secret" not in f"{caught.value} {caught.value.value}"
    assert caught.value.value == site.url


def test_messages_about_a_copy_have_the_files_name(tmp_path: Path) -> None:
    """The copy is called as what it copies, as far as any file system takes it."""
    fsspec.filesystem("memory").pipe("/names/a bä.mp4", b"text")
    path = local_path("memory://names/a bä.mp4", "/", tmp_path)
    assert path.name.endswith("-a_b_.mp4")


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place whose library is not installed says which extra brings it."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    known = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(known, "s3", raising=False)
    with pytest.raises(ItemError, match=r"pip install 'earshot\[s3\]'") as caught:
        get("s3://bucket/a.mp4", tmp_path)
    assert caught.value.code == "bad_entry"


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
    path = local_path("clip.mp4", "s3://films/in", tmp_path)
    assert (path.read_bytes(), path.suffix) == (CONTENT, ".mp4")
    before = look("s3://films/in/clip.mp4", HASTY)
    assert (before.size, before.is_sure) == (len(CONTENT), True)
    fsspec.filesystem("s3").pipe("films/in/clip.mp4", CONTENT[:10])
    assert identity("clip.mp4", "s3://films/in", tmp_path, fetch=HASTY) != before.identity
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
