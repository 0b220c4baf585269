"""Reads files of any fsspec file system, in requests that are bounded, retried and resumed.

Takes a URL, gives what the file is without opening it, or its bytes appended to a local part. What
file systems raise becomes an ItemError. Never keeps more than one chunk in memory.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec.spec import AbstractFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from earshot.errors import ItemError

T = TypeVar("T")

CHUNK_BYTES = 4 << 20
_LONGEST_WAIT_S = 20.0

# What a store says of a file's content (first choice), or of its last change.
_TAGS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "Content-MD5", "crc32c", "checksum")
_DATES = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "modified")
_STATUS = {401: "forbidden", 403: "forbidden", 404: "not_found", 410: "not_found"}
_STATUS |= {408: "timeout", 504: "timeout"}
_TRY_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Patience:
    """How long a place is waited for.

    Attributes:
        request_s: limit of one request, and of each stretch of CHUNK_BYTES of a stream.
        attempts: tries of one request.
        wait_s: the first wait between them; each next one may be twice as long, up to 20 s.
    """

    request_s: float = 60.0
    attempts: int = 4
    wait_s: float = 0.5


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


class _PlaceError(ItemError):
    """A fault of the place; `is_transient` says whether asking again may help."""

    def __init__(self, code: str, message: str, value: str, *, is_transient: bool) -> None:
        super().__init__(code, message, value)
        self.is_transient = is_transient


def look(url: str, patience: Patience) -> Remote:
    """Return what the place says of a file; nothing of it is read.

    Raises:
        ItemError: `not_found`, `forbidden`, `timeout`, `fetch_failed` or `bad_entry`.
    """

    def ask() -> Mapping[str, Any]:
        filesystem, inner = _open_place(url, patience)
        filesystem.invalidate_cache(inner)
        found: Mapping[str, Any] = filesystem.info(inner, **_limit(filesystem, patience))
        if found.get("type") == "directory":
            raise FileNotFoundError(f"{inner} is a folder")
        return found

    info = _tried(ask, url, patience)
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


def download(remote: Remote, part: Path, patience: Patience, max_bytes: int | None) -> None:
    """Make `part` whole: bytes that it has are kept where the place serves ranges.

    Raises:
        ItemError: as `look`, or `too_large`, or `checksum` where the place gives another number of
            bytes than it said.
    """
    if remote.size is not None and _serves_ranges(remote, patience):
        _by_ranges(remote, remote.size, part, patience)
    else:
        _tried(lambda: _as_stream(remote, part, patience, max_bytes), remote.url, patience)
    if remote.size is not None and part.stat().st_size != remote.size:
        raise ItemError(
            "checksum",
            f"{shown(remote.url)} gave {part.stat().st_size} bytes; it said {remote.size}. "
            "Fetch it again.",
            str(part.stat().st_size),
        )


def check_size(place: str, size: int, max_bytes: int | None) -> None:
    """Raise ItemError `too_large` for more bytes than are allowed."""
    if max_bytes is not None and size > max_bytes:
        raise ItemError(
            "too_large",
            f"{place} has {size} bytes; the limit is {max_bytes}. Raise probe.max_bytes or leave "
            "the video out.",
            str(size),
        )


def shown(url: str) -> str:
    """Return a URL as messages may have it: without user, password and query (signed URLs)."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@contextmanager
def faults(place: str) -> Iterator[None]:
    """Turn whatever a file system raises into an ItemError (each has errors of its own)."""
    try:
        yield
    except ItemError:
        raise
    except Exception as error:
        raise _fault_of(error, place) from error


def _open_place(url: str, patience: Patience) -> tuple[AbstractFileSystem, str]:
    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        # Here, since most runs read the local disk only.
        import aiohttp

        limit_s = patience.request_s
        kept = fsspec.config.conf.get(urlsplit(url).scheme, {}).get("client_kwargs", {})
        # aiohttp's own limit of 5 minutes holds for a whole transfer, however large.
        timeout = aiohttp.ClientTimeout(None, sock_connect=limit_s, sock_read=limit_s)
        options["client_kwargs"] = {**kept, "timeout": timeout}
    return fsspec.core.url_to_fs(url, **options)  # type: ignore[no-any-return]


def _limit(filesystem: AbstractFileSystem, patience: Patience) -> dict[str, float]:
    """Return the argument that bounds a call; synchronous file systems have only their own."""
    return {"timeout": patience.request_s} if filesystem.async_impl else {}


def _serves_ranges(remote: Remote, patience: Patience) -> bool:
    """Tell whether parts of a file can be asked for; HTTP servers may ignore it and send all."""
    if not remote.url.startswith(("http://", "https://")) or not remote.size:
        return True
    size = remote.size

    def ask() -> bool:
        filesystem, inner = _open_place(remote.url, patience)
        file = filesystem.open(inner, "rb", size=size, block_size=1, cache_type="none")
        file.seek(size - 1)
        try:
            return len(file.read(1)) == 1
        except ValueError:  # fsspec: "Got more bytes than requested"
            return False

    return remote.has_ranges and size > 1 and _tried(ask, remote.url, patience)


def _by_ranges(remote: Remote, size: int, part: Path, patience: Patience) -> None:
    with part.open("ab") as out:
        if out.tell() > size:
            out.truncate(0)
        done = out.tell()
        while done < size:
            start, end = done, min(done + CHUNK_BYTES, size)
            chunk = _tried(lambda: _range(remote, start, end, patience), remote.url, patience)  # noqa: B023
            out.write(chunk)
            done += len(chunk)


def _range(remote: Remote, start: int, end: int, patience: Patience) -> bytes:
    filesystem, inner = _open_place(remote.url, patience)
    if filesystem.async_impl:
        limit = _limit(filesystem, patience)
        chunk: bytes = filesystem.cat_file(inner, start=start, end=end, **limit)
    else:
        with filesystem.open(inner, "rb") as file:
            file.seek(start)
            chunk = file.read(end - start)
    if len(chunk) != end - start:
        raise ConnectionError(f"{len(chunk)} bytes came of {end - start}")
    return chunk


def _as_stream(remote: Remote, part: Path, patience: Patience, max_bytes: int | None) -> None:
    filesystem, inner = _open_place(remote.url, patience)
    with filesystem.open(inner, "rb", block_size=0) as file, part.open("wb") as out:
        deadline_s, mark = time.monotonic() + patience.request_s, CHUNK_BYTES
        while chunk := file.read(CHUNK_BYTES):
            out.write(chunk)
            check_size(shown(remote.url), out.tell(), max_bytes)
            if out.tell() >= mark:
                deadline_s, mark = time.monotonic() + patience.request_s, out.tell() + CHUNK_BYTES
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{out.tell()} bytes, too slow")
        if remote.size is not None and out.tell() < remote.size:
            raise ConnectionError(f"{out.tell()} bytes came of {remote.size}")


def _tried(work: Callable[[], T], url: str, patience: Patience) -> T:
    retrying = Retrying(
        stop=stop_after_attempt(patience.attempts),
        wait=wait_random_exponential(multiplier=patience.wait_s, max=_LONGEST_WAIT_S),
        retry=retry_if_exception(lambda e: isinstance(e, _PlaceError) and e.is_transient),
        reraise=True,
    )

    def once() -> T:
        with faults(shown(url)):
            return work()

    return retrying(once)


def _fault_of(error: Exception, place: str) -> _PlaceError:
    """Return the fault that lies deepest: fsspec wraps every HTTP error in FileNotFoundError."""
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    found = next((code for code in map(_code, reversed(chain)) if code), "fetch_failed")
    status = next((status for status in map(_status, reversed(chain)) if status), 0)
    why = f"{type(error).__name__}: {error}" if error is chain[-1] else str(chain[-1])
    message = {
        "not_found": f"{place} is not there; put it there or mend the uri.",
        "forbidden": f"{place} may not be read ({why}); check the credentials.",
        "timeout": f"{place} did not answer in time ({why}); try again later.",
        "bad_entry": f"{place} can't be fetched ({why}); mend the uri.",
        "fetch_failed": f"{place} could not be read ({why}); try again.",
    }[found]
    final = found not in ("timeout", "fetch_failed") or (
        400 <= status < 500 and status not in _TRY_AGAIN
    )
    return _PlaceError(found, message, place, is_transient=not final)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an aiohttp or a botocore error."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    status = getattr(error, "status", response)
    return status if isinstance(status, int) else None


def _code(error: BaseException) -> str | None:
    status, name = _status(error), type(error).__name__
    if status is not None:
        return _STATUS.get(status, "fetch_failed")
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return "not_found"
    if isinstance(error, PermissionError) or "Credentials" in name:
        return "forbidden"
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return "timeout"
    if isinstance(error, ValueError | ImportError):
        return "bad_entry"
    return "fetch_failed" if isinstance(error, OSError) else None
