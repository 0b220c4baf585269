"""Reads files of any fsspec file system, in requests that are bounded, retried and resumed.

Takes a URL, gives what the file is without opening it, or its bytes appended to a local part. Never
keeps more than one chunk in memory.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any, TypeVar

from fsspec.spec import AbstractFileSystem

from earshot.errors import ItemError, WorkspaceError
from earshot.places import open_place, shown, tried
from earshot.schemas.config import FetchConfig

T = TypeVar("T")

CHUNK_BYTES = 4 << 20

# What a store says of a file's content (first choice), or of its last change.
_TAGS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "Content-MD5", "crc32c", "checksum")
_DATES = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "modified")


@dataclass(frozen=True)
class Remote:
    """A file as its place describes it.

    Attributes:
        url: where it is.
        size: bytes, or None where the place does not tell.
        identity: changes when the content does, as far as the place tells.
        is_sure: whether `identity` has more than the size, so that a part may be continued.
    """

    url: str
    size: int | None
    identity: str
    is_sure: bool
    has_ranges: bool


def look(url: str, fetch: FetchConfig) -> Remote:
    """Return what the place says of a file; nothing of it is read.

    Raises:
        ItemError: `not_found`, `forbidden`, `timeout`, `fetch_failed` or `bad_entry`.
    """

    def ask() -> Mapping[str, Any]:
        filesystem, inner = open_place(url, fetch.request_s)
        filesystem.invalidate_cache(inner)
        found: Mapping[str, Any] = filesystem.info(inner, **_limit(filesystem, fetch))
        if found.get("type") == "directory":
            raise FileNotFoundError(f"{inner} is a folder")
        return found

    info = _tried(ask, url, fetch)
    seen = {key: str(info[key]) for key in _TAGS if info.get(key)}
    seen = seen or {key: str(info[key]) for key in (*_DATES, "created") if info.get(key)}
    said = json.dumps({**seen, "size": info.get("size")}, sort_keys=True)
    return Remote(
        url=url,
        size=info.get("size"),
        identity=hashlib.sha256(said.encode()).hexdigest(),
        is_sure=bool(seen),
        has_ranges=info.get("partial", True),
    )


def download(remote: Remote, part: Path, fetch: FetchConfig, max_bytes: int | None) -> None:
    """Make `part` whole: bytes that it has are kept where the place serves ranges.

    Raises:
        ItemError: as `look`, or `too_large`, or `checksum` where the place gives another number of
            bytes than it said.
    """
    if remote.size is not None and _serves_ranges(remote, fetch):
        _by_ranges(remote, remote.size, part, fetch)
    else:
        _tried(lambda: _as_stream(remote, part, fetch, max_bytes), remote.url, fetch)
    if remote.size is not None and part.stat().st_size != remote.size:
        raise ItemError(
            "checksum",
            f"{shown(remote.url)} gave {part.stat().st_size} bytes; it said {remote.size}. "
            "Fetch it again.",
            str(part.stat().st_size),
        )


def check_size(
    place: str, size: int, max_bytes: int | None, field: str = "probe.max_bytes"
) -> None:
    """Raise ItemError `too_large` for more bytes than a field of the configuration allows."""
    if max_bytes is not None and size > max_bytes:
        raise ItemError(
            "too_large",
            f"{place} has {size} bytes; the limit is {max_bytes}. Raise {field} or leave the "
            "video out.",
            str(size),
        )


def _limit(filesystem: AbstractFileSystem, fetch: FetchConfig) -> dict[str, float]:
    """Return the argument that bounds a call; synchronous file systems have only their own."""
    return {"timeout": fetch.request_s} if filesystem.async_impl else {}


def _serves_ranges(remote: Remote, fetch: FetchConfig) -> bool:
    """Tell whether parts of a file can be asked for; HTTP servers may ignore it and send all."""
    if not remote.url.startswith(("http://", "https://")) or not remote.size:
        return True
    size = remote.size

    def ask() -> bool:
        filesystem, inner = open_place(remote.url, fetch.request_s)
        file = filesystem.open(inner, "rb", size=size, block_size=1, cache_type="none")
        file.seek(size - 1)
        try:
            return len(file.read(1)) == 1
        except ValueError:  # fsspec: "Got more bytes than requested"
            return False

    return remote.has_ranges and size > 1 and _tried(ask, remote.url, fetch)


def _by_ranges(remote: Remote, size: int, part: Path, fetch: FetchConfig) -> None:
    with part.open("ab") as out:
        if out.tell() > size:
            out.truncate(0)
        done = out.tell()
        while done < size:
            start, end = done, min(done + CHUNK_BYTES, size)
            chunk = _tried(lambda: _range(remote, start, end, fetch), remote.url, fetch)  # noqa: B023
            _write(out, chunk)
            done += len(chunk)


def _range(remote: Remote, start: int, end: int, fetch: FetchConfig) -> bytes:
    filesystem, inner = open_place(remote.url, fetch.request_s)
    if filesystem.async_impl:
        limit = _limit(filesystem, fetch)
        chunk: bytes = filesystem.cat_file(inner, start=start, end=end, **limit)
    else:
        with filesystem.open(inner, "rb") as file:
            file.seek(start)
            chunk = file.read(end - start)
    if len(chunk) != end - start:
        raise ConnectionError(f"{len(chunk)} bytes came of {end - start}")
    return chunk


def _as_stream(remote: Remote, part: Path, fetch: FetchConfig, max_bytes: int | None) -> None:
    filesystem, inner = open_place(remote.url, fetch.request_s)
    with filesystem.open(inner, "rb", block_size=0) as file, part.open("wb") as out:
        deadline_s, mark = time.monotonic() + fetch.request_s, CHUNK_BYTES
        while chunk := file.read(CHUNK_BYTES):
            _write(out, chunk)
            check_size(shown(remote.url), out.tell(), max_bytes)
            if out.tell() >= mark:
                deadline_s, mark = time.monotonic() + fetch.request_s, out.tell() + CHUNK_BYTES
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{out.tell()} bytes, too slow")
        if remote.size is not None and out.tell() < remote.size:
            raise ConnectionError(f"{out.tell()} bytes came of {remote.size}")


def _write(out: BufferedWriter, chunk: bytes) -> None:
    """Write to the local disk, whose faults are not the place's."""
    try:
        out.write(chunk)
    except OSError as error:
        raise WorkspaceError(f"{out.name} can't be written ({error}); make room.") from error


def _tried(work: Callable[[], T], url: str, fetch: FetchConfig) -> T:
    return tried(work, url, fetch.attempts, fetch.wait_s)
