"""An input file as formats look at it: its bytes, its text, its header, its JSON.

Reads the file once, from any fsspec URL; each view is made when it is first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from earshot.errors import InputError, ItemError
from earshot.places import open_place, shown, tried
from earshot.schemas.config import FetchConfig

# The configuration speaks of the videos; it may come from a workspace that is not made yet.
_FETCH = FetchConfig()


class Repeating(dict[str, object]):
    """A JSON object that has a key twice, which a plain dict would hide."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    @property
    def repeated(self) -> str:
        """The first key that stands twice."""
        keys = [key for key, _ in self.pairs]
        return next(key for at, key in enumerate(keys) if key in keys[:at])


def load_json(text: str) -> object:
    """Return a JSON value, objects that have a key twice as `Repeating`.

    Raises:
        ValueError: if the text is no JSON or nested too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeating(pairs)


@dataclass(frozen=True)
class Source:
    """An input file.

    Attributes:
        uri: as given, without password and query.
        data: the whole file.
        media_suffix: what follows a video's id in the name of its file, for annotation files that
            name none.
        folder: folder or URL where it lies.
    """

    uri: str
    data: bytes
    media_suffix: str = ".mp4"
    folder: str = ""

    @property
    def suffix(self) -> str:
        """The end of the file's name, such as `.csv`, in lower case."""
        return PurePosixPath(self.uri).suffix.lower()

    @cached_property
    def text(self) -> str:
        """The file as text, without a byte order mark.

        Raises:
            InputError: if it is not UTF-8.
        """
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.uri!r} is not UTF-8 ({error}): save it as UTF-8") from error

    @cached_property
    def header(self) -> str:
        """The first line of a text file."""
        return self.text.partition("\n")[0].rstrip("\r")

    @cached_property
    def json(self) -> object:
        """The file as one JSON value.

        Raises:
            InputError: if it is none.
        """
        try:
            return load_json(self.text)
        except ValueError as error:
            raise InputError(
                f"{self.uri!r} is no JSON ({error}); expected one JSON value. JSON lines go into a "
                ".jsonl file"
            ) from error

    @cached_property
    def annotations(self) -> list[tuple[str, object]]:
        """The (video_id, annotation) pairs of a JSON object; one id may stand twice.

        Raises:
            InputError: if the file is no JSON object.
        """
        found = self.json
        if isinstance(found, dict) and isinstance(found.get("database"), dict):
            found = found["database"]
        if not isinstance(found, dict):
            raise InputError(
                f"{self.uri!r} holds a JSON {type(found).__name__}; expected an object "
                "{video_id: annotation}: give another file or another kind"
            )
        return found.pairs if isinstance(found, Repeating) else list(found.items())

    def some_annotation_has(self, key: str) -> bool:
        """Whether the file is JSON, keyed by video, and an annotation has this key."""
        if self.suffix != ".json" or not isinstance(self.json, dict):
            return False
        return any(isinstance(found, dict) and key in found for _, found in self.annotations)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number, line) of a text file.

        Only line feeds end a line: JSON text may hold U+2028 and other separators.
        """
        for number, line in enumerate(self.text.split("\n"), start=1):
            yield number, line.removesuffix("\r")


def open_source(uri: str, media_suffix: str = ".mp4") -> Source:
    """Read a file from a path or any fsspec URL.

    Raises:
        InputError: if it is not there, can't be read, or is empty.
    """
    place = shown(uri)
    try:
        data = tried(lambda: _read(uri), uri, _FETCH.attempts, _FETCH.wait_s)
    except ItemError as fault:
        if fault.code == "not_found":
            raise InputError(f"{place!r} is not there: check the path") from fault
        raise InputError(f"the input can't be read: {fault}") from fault
    if not data.strip():
        raise InputError(f"{place!r} is empty: expected one row a video")
    return Source(place, data, media_suffix, folder_of(uri))


def folder_of(uri: str) -> str:
    """Return the folder or URL that a file lies in."""
    if "://" in uri:
        is_web = uri.startswith(("http://", "https://"))
        return (uri.partition("?")[0] if is_web else uri).rpartition("/")[0]
    return Path(uri).parent.absolute().as_posix()


def _read(uri: str) -> bytes:
    filesystem, inner = open_place(uri, _FETCH.request_s)
    try:
        with filesystem.open(inner, "rb") as file:
            data: bytes = file.read()
    except IsADirectoryError as error:
        raise InputError(f"{shown(uri)!r} is a folder: give the file in it") from error
    return data
