"""Reads lists of benchmark videos and says which videos of a release stand on them.

A list is a text file, one entry a line, `#` starts a comment; or the benchmark's own annotation
file: JSON by video or with a field that names it, or a table with such a column. An entry is a
video id, the name of its file without suffix, or the sha256 of the file::

    # UnAV-100, test
    -8mcyL3kWNQ
    3f1d0c...9a  # the same clip under another name
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa

from earshot.errors import ConfigError
from earshot.schemas.release import Dropped
from earshot.tasks.publish_release.spool import dicts_of

FIELDS = (
    "video_id",
    "videoid",
    "video_name",
    "video",
    "vid",
    "filename",
    "file",
    "youtube_id",
    "id",
)
"""How annotation files call the field that names a video, in lower case, the surest first."""

CONTAINERS = ("database", "videos", "video_ids", "annotations", "data")
"""Keys of annotation files under which all videos stand, the surest first."""

_MARKS = ("\t", ",", ";", "&")
"""What may stand between the columns of a table."""

_CLIP = re.compile(r"(?:v_)?([A-Za-z0-9_-]{11})(?:_\d+(?:\.\d+)?){0,2}")
"""A YouTube id, with the prefix of ActivityNet or the seconds that VGG-Sound, AVE, LLP append."""


@dataclass(frozen=True)
class Overlap:
    """What a release shares with a benchmark.

    Attributes:
        video_ids: published although they stand on the list; the gate `excluded` refuses them.
        left_out: would have been, and were left out.
    """

    benchmark: str
    entries: int
    video_ids: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """The videos of a list, under every name that they go by."""

    name: str
    entries: int
    names: frozenset[str]

    def among(self, videos: pa.Table) -> frozenset[str]:
        """Return the ids of those videos that stand on the list, by id, file name or content."""
        return frozenset(
            row["video_id"]
            for row in dicts_of(videos, ["video_id", "uri", "sha256"])
            if row["sha256"] in self.names
            or not self.names.isdisjoint(_names(row["video_id"]))
            or not self.names.isdisjoint(_names(PurePosixPath(row["uri"]).stem))
        )


def read_lists(lists: Iterable[str]) -> tuple[Listed, ...]:
    """Return the lists of `release.exclusion_lists`: `[NAME=]PATH[#SUBSET]`, PATH also a URL.

    Raises:
        ConfigError: if a list is missing, of no known form, or has no entry.
    """
    return tuple(read_list(each, "exclusion_lists") for each in lists)


def read_list(told: str, setting: str) -> Listed:
    """Return one list; see `read_lists`."""
    name, path, subset = _parts(told)
    try:
        # Spreadsheets write a byte order mark, which would hide the first entry.
        with fsspec.open(path, "rt", encoding="utf-8-sig") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise ConfigError(
            f"release.{setting}: {path!r} is not there; expected a text file with a video "
            "id a line. Mend the path or take it out of the configuration"
        ) from error
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"release.{setting}: {path!r} can't be read ({error}); expected UTF-8 text"
        ) from error
    entries = frozenset(_entries(text, path, subset, setting))
    if not entries:
        raise ConfigError(
            f"release.{setting}: {told!r} has no entry, so it guards nothing; expected a "
            "video id a line. Fill it or take it out of the configuration"
        )
    names = frozenset(name for entry in entries for name in _names(entry))
    return Listed(name or PurePosixPath(path).stem, len(entries), names)


def find_overlaps(
    lists: Iterable[Listed],
    videos: pa.Table,
    asked: frozenset[str],
    dropped: Iterable[Dropped] = (),
) -> tuple[Overlap, ...]:
    """Return one overlap a list, also where it is empty.

    Args:
        lists: as `read_lists` gives them.
        videos: gives uri and sha256 of the videos.
        asked: ids of the videos that have a question.
        dropped: what was left out, among it such videos.
    """
    out = {row.video_id for row in dropped if row.reason_code == "excluded"}
    on = [(each, each.among(videos)) for each in lists]
    return tuple(
        Overlap(each.name, each.entries, tuple(sorted(ids & asked)), tuple(sorted(ids & out)))
        for each, ids in on
    )


def _parts(told: str) -> tuple[str, str, str]:
    name, mark, path = told.partition("=")
    if not mark or "/" in name or ":" in name:
        name, path = "", told
    path, _, subset = path.partition("#")
    return name.strip(), path.strip(), subset.strip().lower()


def _names(entry: str) -> tuple[str, ...]:
    clip = _CLIP.fullmatch(entry)
    return (entry,) if clip is None else (entry, clip[1])


def _entries(text: str, path: str, subset: str, setting: str) -> Iterator[str]:
    begins = text.lstrip()[:1]
    if begins in ("{", "["):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ConfigError(
                f"release.{setting}: {path!r} begins like JSON and is none: {error}; mend it"
            ) from error
        yield from _of_json(found, subset)
        return
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    table = _table(lines)
    if table is not None:
        yield from (value for row in table if _is_in(row, subset) and (value := _named(row)))
    elif lines and any(all(mark in line for line in lines) for mark in _MARKS):
        raise ConfigError(
            f"release.{setting}: {path!r} looks like a table, and no column names a video: it "
            f"begins {lines[0][:80]!r}; expected a head with one of {', '.join(FIELDS)}"
        )
    else:
        # Only a free-standing # is a comment.
        yield from (entry for line in lines if (entry := line.split(" #")[0].strip()))


def _of_json(found: Any, subset: str) -> Iterator[str]:
    if isinstance(found, dict):
        held = (found.get(key) for key in CONTAINERS)
        inner = next((each for each in held if isinstance(each, (dict, list))), None)
        if inner is not None:
            yield from _of_json(inner, subset)
            return
        yield from (str(key) for key, value in found.items() if _is_in(value, subset))
        return
    for each in found:
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict) and _is_in(each, subset) and (value := _named(each)):
            yield value


def _table(lines: list[str]) -> list[dict[str, str]] | None:
    """Return the rows of a table with a column of videos, or None for plain lines.

    Its head names the column. VGG-Sound, AudioSet and AVE have no head: there it is the one in
    which every row has a YouTube id.
    """
    for mark in _MARKS:
        if not lines or mark not in lines[0]:
            continue
        rows = list(csv.DictReader(lines, delimiter=mark))
        if rows and _named(rows[0]):
            return rows
        cells = list(csv.reader(lines, delimiter=mark))
        columns = list(zip(*cells, strict=False))  # those that every row has
        ids = [column for column in columns if all(_CLIP.fullmatch(c.strip()) for c in column)]
        if len(ids) == 1:
            return [{"video_id": value.strip()} for value in ids[0]]
    return None


def _named(row: Mapping[str, Any]) -> str | None:
    by_name = {str(key).strip().lower(): value for key, value in row.items()}
    return next((str(by_name[field]) for field in FIELDS if by_name.get(field)), None)


def _is_in(row: object, subset: str) -> bool:
    return not subset or (isinstance(row, dict) and str(row.get("subset", "")).lower() == subset)
