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
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise ConfigError(
            f"release.{setting}: {path!r} is not there; expected a text file with a video "
            "id a line. Mend the path or take it out of the configuration"
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
    lines = [line for line in text.splitlines() if line.strip()]
    table = _table(lines)
    if table is None:
        yield from _of_lines(lines)
    else:
        yield from (value for row in table if _is_in(row, subset) and (value := _named(row)))


def _of_lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # Only a free-standing # is a comment.
        entry = line.strip() if not line.lstrip().startswith("#") else ""
        entry = entry.split(" #")[0].strip()
        if entry:
            yield entry


def _of_json(found: Any, subset: str) -> Iterator[str]:
    if isinstance(found, dict):
        videos = found.get("database", found)
        yield from (str(key) for key, value in videos.items() if _is_in(value, subset))
        return
    for each in found:
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict) and _is_in(each, subset) and (value := _named(each)):
            yield value


def _table(lines: list[str]) -> list[dict[str, str]] | None:
    """Return the rows of a table whose head names a column of videos, or None for plain lines."""
    for mark in ("\t", ",", "&"):
        if not lines or mark not in lines[0]:
            continue
        # AVE has no head: the column is the one that holds a YouTube id.
        first = lines[0].split(mark)
        ids = [n for n, value in enumerate(first) if mark == "&" and _CLIP.fullmatch(value)]
        head = ["video_id" if n in ids[:1] else f"#{n}" for n in range(len(first))] if ids else None
        rows = list(csv.DictReader(lines, head, delimiter=mark))
        return rows if rows and _named(rows[0]) else None
    return None


def _named(row: Mapping[str, Any]) -> str | None:
    by_name = {str(key).strip().lower(): value for key, value in row.items()}
    return next((str(by_name[field]) for field in FIELDS if by_name.get(field)), None)


def _is_in(row: object, subset: str) -> bool:
    return not subset or (isinstance(row, dict) and str(row.get("subset", "")).lower() == subset)
