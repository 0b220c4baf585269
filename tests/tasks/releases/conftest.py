"""A published release to move and check, and an S3 server in a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import fsspec
import pytest

from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.tasks.publish_release.conftest import CONFIG, make_rows, make_source


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder of 24 questions in shards of 5 rows; not to be changed."""
    out = tmp_path_factory.mktemp("shelf")
    return Path(publish(make_source(), out, CONFIG, now=factories.NOW).folder)


@pytest.fixture(scope="session")
def second(release: Path) -> Path:
    """The version after, with one video more."""
    source = make_source(make_rows(9))
    return Path(publish(source, release.parent, CONFIG, now=factories.NOW).folder)


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """A copy of the release that may be spoilt."""
    return Path(shutil.copytree(release, tmp_path / "copies" / release.name))


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a running S3 server."""

    url: str
    environment: dict[str, str]

    def child(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python process that sees this server."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env={**os.environ, **self.environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def names(self) -> list[str]:
        """All keys, without the bucket."""
        fs = fsspec.filesystem("s3")
        fs.invalidate_cache()
        inner = self.url.removeprefix("s3://")
        return sorted(path.removeprefix(f"{inner}/") for path in fs.find(inner))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's S3 server, started as a process."""
    pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log, stderr=log,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urlopen(address, timeout=1).close()
                break
            except (URLError, OSError):
                assert server.poll() is None, Path(log.name).read_text()
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)
        log.close()


@pytest.fixture
def bucket(
    s3_server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    """A bucket of this test's own."""
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3")
    fs.clear_instance_cache()
    name = f"b{secrets.token_hex(6)}"
    fsspec.filesystem("s3").mkdir(name)
    return Bucket(f"s3://{name}/releases", environment)
