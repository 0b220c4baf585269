"""What a format is: a name, what it holds, how it is known, how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from earshot.store.manifests.boxes import FrameBoxes
from earshot.store.manifests.faults import Fault
from earshot.store.manifests.rows import Row
from earshot.store.manifests.source import Source


@dataclass(frozen=True)
class Format:
    """A kind of input file.

    Attributes:
        name: what `kind` takes.
        holds: what is in such a file, in a sentence without its full stop.
        sniff: whether a file is of this kind; of all formats at most one may say so.
    """

    name: str
    holds: str
    sniff: Callable[[Source], bool]


@dataclass(frozen=True)
class VideoFormat(Format):
    """A format whose rows are videos; `read` raises InputError for a file of another layout."""

    read: Callable[[Source], Iterator[Row | Fault]]


@dataclass(frozen=True)
class BoxFormat(Format):
    """A format whose rows are frames with boxes."""

    read: Callable[[Source], Iterator[FrameBoxes | Fault]]
