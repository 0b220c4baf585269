"""Reads lists of benchmark videos and says which videos of a release stand on them.

A list is a text file: one entry a line, `#` starts a comment. An entry is a video id, the name of
its file without suffix, or the sha256 of the file::

    # UnAV-100, test
    -8mcyL3kWNQ
    3f1d0c...9a  # the same clip under another name
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa

from earshot.errors import ConfigError


@dataclass(frozen=True)
class Overlap:
    """What a release shares with a benchmark."""

    benchmark: str
    entries: int
    video_ids: tuple[str, ...]


def find_overlaps(
    lists: Iterable[str], videos: pa.Table, asked: frozenset[str]
) -> tuple[Overlap, ...]:
    """Return one overlap a list, also where it is empty.

    Args:
        lists: paths or fsspec URLs.
        videos: gives uri and sha256 of the videos.
        asked: ids of the videos that have a question.

    Raises:
        ConfigError: if a list is missing or has no entry.
    """
    return tuple(_overlap(path, videos, asked) for path in lists)


def _overlap(path: str, videos: pa.Table, asked: frozenset[str]) -> Overlap:
    entries = _read_list(path)
    shared = {video_id for video_id in asked if video_id in entries}
    shared |= {
        row["video_id"]
        for row in videos.select(["video_id", "uri", "sha256"]).to_pylist()
        if row["video_id"] in asked
        and (row["sha256"] in entries or PurePosixPath(row["uri"]).stem in entries)
    }
    return Overlap(PurePosixPath(path).stem, len(entries), tuple(sorted(shared)))


def _read_list(path: str) -> frozenset[str]:
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as lines:
            entries = frozenset(_entries(lines))
    except FileNotFoundError as error:
        raise ConfigError(
            f"release.exclusion_lists: {path!r} is not there; expected a text file with a video "
            "id a line. Mend the path or take it out of the configuration"
        ) from error
    if not entries:
        raise ConfigError(
            f"release.exclusion_lists: {path!r} has no entry, so it guards nothing; expected a "
            "video id a line. Fill it or take it out of the configuration"
        )
    return entries


def _entries(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # Only a free-standing # is a comment.
        entry = line.strip() if not line.lstrip().startswith("#") else ""
        entry = entry.split(" #")[0].strip()
        if entry:
            yield entry
