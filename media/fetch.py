"""Brings media to a local path and tells the sha256 of what lies there.

Takes a uri as a manifest writes it, gives a local file; other places than the local disk are
copied into the cache, whole or not at all. Never opens the media.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

import fsspec

from earshot.errors import ItemError

_CHUNK = 1 << 20


def local_path(uri: str, base: str | Path, cache: Path, max_bytes: int | None = None) -> Path:
    """Return the local file that a uri of the manifest means, fetching it where it is remote.

    Args:
        uri: an absolute or relative path, a file:// URL, or any fsspec URL.
        base: folder or URL that a relative path starts from.
        cache: folder for fetched files; each is there whole or not at all.
        max_bytes: larger files are refused before they are fetched or read.

    Raises:
        ItemError: `not_found`, `forbidden`, `too_large`, `fetch_failed`, or `bad_entry` for a
            uri of an unknown kind.
    """
    place = resolve(uri, base)
    if "://" in place:
        return _fetched(place, cache, max_bytes)
    path = Path(place)
    with _faults(place):
        if path.is_dir():
            raise FileNotFoundError(place)
        _check_size(place, path.stat().st_size, max_bytes)
        return path


def resolve(uri: str, base: str | Path) -> str:
    """Return a uri of the manifest as an absolute path or as a URL with `://`."""
    if uri.startswith("file://"):
        return unquote(urlsplit(uri).path)
    if "://" in uri or Path(uri).is_absolute():
        return uri
    if "://" in str(base) and not str(base).startswith("file://"):
        return f"{str(base).rstrip('/')}/{uri}"
    folder = resolve(str(base), Path.cwd()) if str(base).startswith("file://") else str(base)
    return str(Path(folder).absolute() / uri)


def content_sha256(path: Path, cache: Path) -> str:
    """Return the sha256 of a local file, remembered by (path, size, mtime) under `cache`/digests.

    Raises:
        ItemError: `not_found` or `forbidden`.
    """
    with _faults(str(path)):
        before = path.stat()
        known = cache / "digests" / f"{_name(str(path.absolute()))}.json"
        stamp: dict[str, str | int] = {
            "path": str(path.absolute()),
            "size": before.st_size,
            "mtime_ns": before.st_mtime_ns,
        }
        found = _remembered(known, stamp)
        if found is not None:
            return found
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        after = path.stat()
    # A file that changes while it is read must not be remembered under either state.
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        with _atomic(known) as out:
            out.write(json.dumps({**stamp, "sha256": digest}).encode())
    return digest


def _remembered(known: Path, stamp: dict[str, str | int]) -> str | None:
    try:
        entry = json.loads(known.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(entry, dict) or any(entry.get(key) != stamp[key] for key in stamp):
        return None
    found = entry.get("sha256")
    return found if isinstance(found, str) else None


def _fetched(url: str, cache: Path, max_bytes: int | None) -> Path:
    target = cache / "media" / f"{_name(url)}{PurePosixPath(urlsplit(url).path).suffix}"
    if target.exists():
        _check_size(url, target.stat().st_size, max_bytes)
        return target
    with _faults(url):
        filesystem, inner = fsspec.core.url_to_fs(url)
        size = filesystem.info(inner).get("size")
        _check_size(url, size or 0, max_bytes)
        with filesystem.open(inner, "rb") as source, _atomic(target) as out:
            done = 0
            while chunk := source.read(_CHUNK):
                done += len(chunk)
                _check_size(url, done, max_bytes)
                out.write(chunk)
    return target


def _check_size(place: str, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise ItemError(
            "too_large",
            f"{place} has {size} bytes; the limit is {max_bytes}. Raise probe.max_bytes or leave "
            "the video out.",
            str(size),
        )


@contextmanager
def _faults(place: str) -> Iterator[None]:
    """Turn what file systems raise into faults of the item."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ItemError(
            "not_found", f"{place} is not there; put it there or mend the uri.", place
        ) from None
    except PermissionError as error:
        raise ItemError(
            "forbidden", f"{place} may not be read ({error}); check the credentials.", place
        ) from error
    except (ValueError, ImportError) as error:
        raise ItemError(
            "bad_entry", f"{place} can't be fetched ({error}); mend the uri.", place
        ) from error
    except OSError as error:
        raise ItemError(
            "fetch_failed", f"{place} could not be read ({error}); try again.", place
        ) from error


@contextmanager
def _atomic(target: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that becomes `target` when the block ends well, else goes away."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as out:
        temporary = Path(out.name)
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
        except BaseException:
            temporary.unlink()
            raise
    temporary.replace(target)


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
