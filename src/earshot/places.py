"""Opens places by fsspec URL: what file systems raise becomes an ItemError with a reason code.

Takes URLs, gives file systems, answers that were asked for again where that may help, and texts
that messages may have: a signed URL or a password never stands in one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import fsspec
from fsspec.spec import AbstractFileSystem
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from earshot.errors import EarshotError, ItemError

T = TypeVar("T")

_LONGEST_WAIT_S = 20.0
_STATUS = {401: "forbidden", 403: "forbidden", 404: "not_found", 410: "not_found"}
_STATUS |= {408: "timeout", 504: "timeout"}
_TRY_AGAIN = frozenset({408, 425, 429})
_SECRETS = ((r"(?<=://)[^\s/'\"@?#]+@", ""), (r"(\w://[^\s'\"?]*)\?[^\s'\"<>)\]]*", r"\1"))
_EXTRAS = {"s3fs": "s3"}


class PlaceError(ItemError):
    """A fault of a place; `is_transient` says whether asking again may help."""

    def __init__(self, code: str, message: str, value: str, *, is_transient: bool) -> None:
        super().__init__(code, message, value)
        self.is_transient = is_transient


def shown(place: str) -> str:
    """Return a path or URL as messages may have it: without user, password and query.

    Only web addresses have queries: a key of an object store may have any character.
    """
    scheme, found, rest = place.partition("://")
    if not found:
        return place
    if scheme in ("http", "https"):
        rest = rest.partition("?")[0].partition("#")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def without_secrets(text: str) -> str:
    """Return a text with the passwords and queries of its URLs taken out."""
    for pattern, kept in _SECRETS:
        text = re.sub(pattern, kept, text)
    return text


def open_place(url: str, request_s: float) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a path or URL, and the path in it.

    Args:
        url: a path or any fsspec URL.
        request_s: how long an HTTP server may be silent.
    """
    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        # Here, since most runs read the local disk only.
        import aiohttp

        kept = fsspec.config.conf.get(urlsplit(url).scheme, {}).get("client_kwargs", {})
        # aiohttp's own limit of 5 minutes holds for a whole transfer, however large.
        timeout = aiohttp.ClientTimeout(None, sock_connect=request_s, sock_read=request_s)
        options["client_kwargs"] = {**kept, "timeout": timeout}
    return fsspec.core.url_to_fs(url, **options)  # type: ignore[no-any-return]


def tried(work: Callable[[], T], url: str, attempts: int, wait_s: float) -> T:
    """Return what `work` does; faults that may pass are waited for and tried again.

    Args:
        work: what asks the place.
        url: the place, for messages.
        attempts: tries in all.
        wait_s: the first wait; each next one may be twice as long, up to 20 s.

    Raises:
        ItemError: `not_found`, `forbidden`, `timeout`, `fetch_failed`, `bad_entry`, or what
            `work` raises of that kind.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=wait_s, max=_LONGEST_WAIT_S),
        retry=retry_if_exception(lambda e: isinstance(e, PlaceError) and e.is_transient),
        reraise=True,
    )

    def once() -> T:
        with faults(shown(url)):
            return work()

    return retrying(once)


@contextmanager
def faults(place: str) -> Iterator[None]:
    """Turn whatever a file system raises into an ItemError (each has errors of its own)."""
    try:
        yield
    except EarshotError:
        raise
    except Exception as error:
        raise _fault_of(error, place) from error


def _fault_of(error: Exception, place: str) -> PlaceError:
    """Return the fault that lies deepest: fsspec wraps every HTTP error in FileNotFoundError."""
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    found = next((code for code in map(_code, reversed(chain)) if code), "fetch_failed")
    status = next((status for status in map(_status, reversed(chain)) if status), 0)
    why = _why(chain[-1])
    message = {
        "not_found": f"{place} is not there; put it there or mend the uri.",
        "forbidden": f"{place} may not be read ({why}); check the credentials.",
        "timeout": f"{place} did not answer in time ({why}); try again later.",
        "bad_entry": f"{place} can't be fetched ({why}); mend the uri.",
        "fetch_failed": f"{place} could not be read ({why}); try again.",
    }[found]
    missing = (e.name for e in chain if isinstance(e, ImportError) and e.name)
    extra = next((_EXTRAS[name] for name in missing if name in _EXTRAS), None)
    if extra is not None:
        message = f"{place} needs a package that is missing: pip install 'earshot[{extra}]'."
    final = found not in ("timeout", "fetch_failed") or (
        400 <= status < 500 and status not in _TRY_AGAIN
    )
    return PlaceError(found, message, place, is_transient=not final)


def _why(error: BaseException) -> str:
    """Return an error in one line: an HTTP error's own text has the URL with its signature."""
    status, said = _status(error), getattr(error, "message", None)
    if status and isinstance(said, str):
        return f"HTTP {status} {said}".strip()
    lines = str(error).split("\n")
    text = f"{type(error).__name__}: {' '.join(line.strip() for line in lines if line.strip())}"
    return without_secrets(text.removesuffix(": "))


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
