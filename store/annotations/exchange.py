"""What can be converted into what: each format is read into tables, or written from them, or both.

The tables are written to a folder and read back on the way, so that nothing passes beside them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from earshot.errors import InputError
from earshot.schemas.imported import AnnotatedVideo
from earshot.store.annotations import r_avst
from earshot.store.annotations.tables import KINDS, Tables, check_new, read_tables, write_tables
from earshot.store.manifests.faults import Fault


@dataclass(frozen=True)
class Exchange:
    """A format of annotations.

    Attributes:
        name: what `--from` and `--to` take.
        holds: what is in it, in a sentence without its full stop.
        read: gives the tables of a place, and a fault for each video that it leaves out.
        write: writes tables to a place that is not there, and gives faults likewise.
    """

    name: str
    holds: str
    read: Callable[[str], tuple[Tables, list[Fault]]]
    write: Callable[[Tables, Path], list[Fault]]


@dataclass(frozen=True)
class Report:
    """What a conversion did: videos written, rows by table, videos left out."""

    videos: int
    rows: dict[str, int]
    faults: tuple[Fault, ...]


def _read_tables(place: str) -> tuple[Tables, list[Fault]]:
    return read_tables(Path(place)), []


def _write_tables(tables: Tables, place: Path) -> list[Fault]:
    write_tables(tables, place)
    return []


EXCHANGES: dict[str, Exchange] = {
    each.name: each
    for each in (
        Exchange(
            "r-avst",
            "R-AVST's questions and answers by video, one JSON file",
            r_avst.read,
            r_avst.write,
        ),
        Exchange(
            "tables",
            f"a folder of Parquet tables: {', '.join(kind.TABLE for kind in KINDS)}",
            _read_tables,
            _write_tables,
        ),
    )
}


def convert(
    source: str, read_as: str, out: Path, write_as: str, keep_tables: Path | None = None
) -> Report:
    """Convert annotations; bad videos are left out and reported, the others go on.

    Args:
        source: a path, or for a file any fsspec URL.
        read_as: a name of `EXCHANGES`.
        out: must not be there yet.
        write_as: a name of `EXCHANGES`.
        keep_tables: a new folder to keep the tables in.

    Raises:
        InputError: if the source can't be read at all or has no good video, or a place is taken.
    """
    for place in (out, keep_tables):
        if place is not None:
            check_new(place)
    tables, faults = EXCHANGES[read_as].read(source)
    if not tables.of(AnnotatedVideo):
        told = "".join(f"\n  {fault.message}" for fault in faults[:20])
        raise InputError(f"{source} has no video that can be converted{told}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep_tables or Path(temporary) / "tables"
        write_tables(tables, folder)
        kept = read_tables(folder)
    faults += EXCHANGES[write_as].write(kept, out)
    bad = {fault.video_id for fault in faults}
    written = [video for video in kept.of(AnnotatedVideo) if video.video_id not in bad]
    rows = {kind.TABLE: len(kept.of(kind)) for kind in KINDS}
    return Report(len(written), rows, tuple(faults))
