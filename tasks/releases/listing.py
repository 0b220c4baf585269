"""Lists the releases of a place: every version of every dataset that is there whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from earshot.places import open_place, tried
from earshot.schemas.release import MANIFEST
from earshot.tasks.releases.release import ATTEMPTS, REQUEST_S, WAIT_S, Release

_VERSION = re.compile(r"(.+)-v([1-9][0-9]*)")


@dataclass(frozen=True)
class Listed:
    """A version in a list, in numbers."""

    name: str
    version: int
    place: str
    published_at: str
    licence: str
    questions: int
    bytes: int
    pin: str


def list_releases(place: str | Path) -> list[Listed]:
    """Return the releases under a folder or URL, by name and version; none where it is empty.

    Raises:
        ItemError: `not_found` where there is no such place, or it does not answer.
        ReleaseError: a manifest can't be read.
    """
    root = str(place).rstrip("/")
    fs, inner = open_place(root, REQUEST_S)
    inner = str(inner).rstrip("/")

    def names() -> list[str]:
        fs.invalidate_cache()
        found = fs.ls(inner, detail=False)
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in found]

    matches = [
        m for name in tried(names, root, ATTEMPTS, WAIT_S) if (m := _VERSION.fullmatch(name))
    ]
    versions = sorted(matches, key=lambda m: (m[1], int(m[2])))
    there = [m[0] for m in versions if fs.exists(f"{inner}/{m[0]}/{MANIFEST}")]
    return [_listed(Release(f"{root}/{name}")) for name in there]


def _listed(release: Release) -> Listed:
    head = release.head
    return Listed(
        name=head.name,
        version=head.version,
        place=release.place,
        published_at=head.published_at.isoformat() if head.published_at else "",
        licence=head.licence,
        questions=sum(sum(tasks.values()) for tasks in head.questions.values()),
        bytes=sum(file.bytes for file in head.files),
        pin=release.pin,
    )
