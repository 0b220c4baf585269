"""The tables that annotations are converted through: one Parquet file a kind of record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import InputError
from earshot.schemas.arrow import to_table
from earshot.schemas.base import Record
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.imported import AnnotatedVideo, RAvstRow, UnlinkedBoxes
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.store.tube_files import read_rows
from earshot.store.workspace import write_atomic

R = TypeVar("R", bound=Record)

KINDS: tuple[type[Record], ...] = (
    AnnotatedVideo, Event, Object, EventObject, Tube, UnlinkedBoxes, RAvstRow,
)  # fmt: skip


@dataclass
class Tables:
    """Records of each kind of `KINDS`, in the order in which they were added."""

    rows: dict[type[Record], list[Record]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def holding(cls, records: Iterable[Record]) -> Self:
        """Return tables with some records."""
        tables = cls()
        tables.add(records)
        return tables

    def add(self, records: Iterable[Record]) -> None:
        """Add records, each to the table of its kind."""
        for record in records:
            self.rows[type(record)].append(record)

    def of(self, kind: type[R]) -> list[R]:
        """Return the records of a kind."""
        return [row for row in self.rows.get(kind, ()) if isinstance(row, kind)]


def write_tables(tables: Tables, folder: Path) -> None:
    """Write one `<table>.parquet` a kind, also an empty one.

    Raises:
        InputError: if there is something in the folder: tables of two imports must not mix.
    """
    check_new(folder)
    for kind in KINDS:
        sink = pa.BufferOutputStream()
        pq.write_table(to_table(kind, tables.of(kind)), sink, compression="zstd")
        write_atomic(folder / f"{kind.TABLE}.parquet", sink.getvalue().to_pybytes())


def check_new(place: Path) -> None:
    """Raise InputError if something is there: nothing that a person may have edited is replaced."""
    is_taken = any(place.iterdir()) if place.is_dir() else place.exists()
    if is_taken:
        raise InputError(f"{place} is there already; name a new place, or move it away")


def read_tables(folder: Path) -> Tables:
    """Read a folder that `write_tables` wrote; digests are not looked at, since rows may be edited.

    Raises:
        InputError: if a table is missing, is no Parquet, or a row breaks its record's rules.
    """
    files = {kind: folder / f"{kind.TABLE}.parquet" for kind in KINDS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)}; expected a folder that `earshot convert --to "
            "tables` wrote"
        )
    tables = Tables()
    for kind, file in files.items():
        tables.add(read_rows(kind, file))
    return tables
