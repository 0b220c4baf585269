"""Brings media to a local path and tells what lies there: its sha256, or its identity unopened.

Takes a uri as a manifest writes it, gives a local file; other places than the local disk are
copied into a bounded cache, whole or not at all. Never opens the media.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from earshot.errors import ItemError
from earshot.media.cache import MediaCache, name_of, write_whole
from earshot.media.remote import check_size, look
from earshot.places import faults, shown
from earshot.schemas.config import FetchConfig

_DEFAULTS = FetchConfig()
_LOOK_S = 10.0


@contextmanager
def local_file(
    uri: str,
    base: str | Path,
    cache: Path,
    max_bytes: int | None = None,
    *,
    sha256: str | None = None,
    fetch: FetchConfig = _DEFAULTS,
) -> Iterator[Path]:
    """Give the local file that a uri of the manifest means, fetching it where it is remote.

    A copy is fetched again when its place has another file now; where the place can't be asked, or
    has it no more, the copy serves. It stays until the block ends; later it may go to make room.

    Args:
        uri: an absolute or relative path, a file:// URL, or any fsspec URL.
        base: folder or URL that a relative path starts from.
        cache: folder for fetched files; each is there whole or not at all.
        max_bytes: larger files are refused before they are fetched or read.
        sha256: what the content must be; a copy that differs is fetched once more.
        fetch: size of the cache, waiting and repetition.

    Raises:
        ItemError: `not_found`, `forbidden`, `timeout`, `checksum`, `too_large`, `fetch_failed`,
            `unreadable` for what is no file, or `bad_entry` for a uri of an unknown kind.
    """
    place = resolve(uri, base)
    if "://" not in place:
        path = _present(place, max_bytes)
        _check_content(place, path, cache, sha256)
        yield path
        return
    copies = MediaCache(cache / "media", fetch)
    with copies.hold(place, max_bytes) as path:
        is_right = sha256 is None or content_sha256(path, cache) == sha256
        if is_right:
            yield path
    if not is_right:
        with copies.hold(place, max_bytes, anew=True) as path:
            _check_content(shown(place), path, cache, sha256)
            yield path


def identity(
    uri: str,
    base: str | Path,
    cache: Path,
    max_bytes: int | None = None,
    fetch: FetchConfig = _DEFAULTS,
) -> str:
    """Return what changes when the content of a uri does; nothing is downloaded.

    That is the sha256 of a local file, and a digest of what the place of a remote one says (its
    content tag and size, else the time of its last change). Where the place can't be asked, it is
    what the cached copy was known by. One try only, and a short one: a plan asks for many videos.

    Raises:
        ItemError: as `local_file`.
    """
    place = resolve(uri, base)
    if "://" not in place:
        return content_sha256(_present(place, max_bytes), cache)
    once = {"attempts": 1, "request_s": min(fetch.request_s, _LOOK_S)}
    try:
        remote = look(place, fetch.model_copy(update=once))
    except ItemError:
        known = MediaCache(cache / "media", fetch).identity(place)
        if known is None:
            raise
        return known
    check_size(shown(place), remote.size or 0, max_bytes)
    return remote.identity


def resolve(uri: str, base: str | Path) -> str:
    """Return a uri of the manifest as an absolute path or as a URL with `://`."""
    if uri.startswith("file://"):
        return unquote(urlsplit(uri).path)
    if "://" in uri or Path(uri).is_absolute():
        return uri
    if "://" in str(base) and not str(base).startswith("file://"):
        # What a path has of these would end it in a web address; `%20` and the like stay.
        path = quote(uri, safe="/%") if str(base).startswith(("http://", "https://")) else uri
        return f"{str(base).rstrip('/')}/{path}"
    folder = resolve(str(base), Path.cwd()) if str(base).startswith("file://") else str(base)
    return str(Path(folder).absolute() / uri)


def content_sha256(path: Path, cache: Path) -> str:
    """Return the sha256 of a local file, remembered by (path, size, mtime) under `cache`/digests.

    Raises:
        ItemError: `not_found` or `forbidden`.
    """
    with faults(str(path)):
        before = path.stat()
        known = cache / "digests" / f"{name_of(str(path.absolute()))}.json"
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
        write_whole(known, json.dumps({**stamp, "sha256": digest}))
    return digest


def _present(place: str, max_bytes: int | None) -> Path:
    path = Path(place)
    with faults(place):
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            message = f"{place} is a folder; expected a video file. Name the file in the uri."
            raise ItemError("not_found", message, place)
        if not stat.S_ISREG(kind):
            # Reading a pipe waits for ever, and a device may have no end.
            message = f"{place} is a pipe or a device; expected a file. Mend the uri."
            raise ItemError("unreadable", message, place)
        check_size(place, path.stat().st_size, max_bytes)
    return path


def _check_content(place: str, path: Path, cache: Path, sha256: str | None) -> None:
    found = None if sha256 is None else content_sha256(path, cache)
    if found != sha256:
        raise ItemError(
            "checksum",
            f"{place} has sha256 {found}; expected {sha256}. Put the expected file there, or "
            "build again from the probe on.",
            found,
        )


def _remembered(known: Path, stamp: dict[str, str | int]) -> str | None:
    try:
        entry = json.loads(known.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(entry, dict) or any(entry.get(key) != stamp[key] for key in stamp):
        return None
    found = entry.get("sha256")
    return found if isinstance(found, str) else None
