"""What a release is made of: takes the tables as the workspace has them, checks their form.

Knows nothing of the workspace's inner workings and never touches a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from earshot.errors import ReleaseError
from earshot.schemas.arrow import table_schema
from earshot.schemas.base import Record, canonical_json, digest_of
from earshot.schemas.build import Build
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.inspection import Inspection
from earshot.schemas.inspection_report import InspectionReport
from earshot.schemas.mention import Mention
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.schemas.release import (
    Absent,
    Dropped,
    LedgerCount,
    Media,
    ReleaseCost,
    SplitAssignment,
)
from earshot.schemas.tube import RevisedTube, ShownTube, Tube, TubeMasks
from earshot.schemas.video import Video
from earshot.tasks.publish_release.bounded import bounded

STAGE_KINDS: tuple[type[Record], ...] = (
    Video,
    Caption,
    Event,
    Mention,
    Object,
    EventObject,
    Tube,
    TubeMasks,
    Inspection,
    RevisedTube,
    ShownTube,
)
"""Tables that stand under `tables/`, in the order of the data's way."""

_OTHERS: tuple[type[Record], ...] = (Question, Media, Absent, Dropped, SplitAssignment)

KINDS: dict[str, type[Record]] = {kind.TABLE: kind for kind in STAGE_KINDS + _OTHERS}
"""Every table of a release by its name."""

_FEW = 50_000
"""So many digests are sorted in memory."""


@dataclass(frozen=True)
class ReleaseSource:
    """The current rows of a build and what is known about them.

    Attributes:
        tables: a table for each of `STAGE_KINDS` and for `questions`, by `TABLE` name; schema
            `schemas.arrow.table_schema(kind)`, in any order of rows.
        absent: source videos that are not in the release, and why.
        ledger_counts: one row a stage and item kind.
        build: what computed the rows.
        upstream_digests: what the rows were made from, such as the input manifest or weights.
        cost: what language models took; None where none was asked.
        inspection: what people's work came to; None where nothing is known of it.
        rejected: why people rejected a question, by its id.
    """

    tables: Mapping[str, pa.Table]
    absent: tuple[Absent, ...]
    ledger_counts: tuple[LedgerCount, ...]
    build: Build
    upstream_digests: Mapping[str, str]
    cost: ReleaseCost | None = None
    inspection: InspectionReport | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)


def check_tables(tables: Mapping[str, pa.Table]) -> None:
    """Check that every table is there and has exactly its record's schema.

    Raises:
        ReleaseError: naming the tables that are missing, unknown or of another schema.
    """
    names = [*(kind.TABLE for kind in STAGE_KINDS), Question.TABLE]
    expected = {name: KINDS[name] for name in names}
    if tables.keys() != expected.keys():
        raise ReleaseError(
            f"tables {sorted(tables)}: missing {sorted(expected.keys() - tables.keys())}, unknown "
            f"{sorted(tables.keys() - expected.keys())}; pass one table for each of "
            f"{sorted(expected)}, without rows where there are none"
        )
    for name, kind in expected.items():
        if not tables[name].schema.equals(table_schema(kind)):
            raise ReleaseError(
                f"table {name!r} has the schema\n{tables[name].schema}\nexpected\n"
                f"{table_schema(kind)}\nmake it with schemas.arrow.to_table"
            )


def schema_digest(schema: pa.Schema) -> str:
    """Return the sha256 over names, types and nullability of the columns."""
    return digest_of([[field.name, str(field.type), field.nullable] for field in schema])


def content_digest(tables: Mapping[str, pa.Table], licence: str) -> str:
    """Return the digest of all that makes a release another release: rows, schemas, licence.

    Row order, compression, writer versions and the time of publication don't matter: each row
    comes in by its own `digest`.
    """
    schemas = {name: schema_digest(table.schema) for name, table in tables.items()}
    empty = canonical_json({"licence": licence, "rows": {}, "schemas": schemas})
    head, tail = empty.split(b'"rows":{}', 1)
    # The canonical JSON of all, of which no more than a batch is there at a time.
    said = hashlib.sha256(head + b'"rows":{')
    for nth, (name, table) in enumerate(sorted(tables.items())):
        said.update(b"," * bool(nth) + canonical_json(name) + b":[")
        for at, batch in enumerate(_sorted_digests(table)):
            said.update(b"," * bool(at) + canonical_json(batch)[1:-1])
        said.update(b"]")
    said.update(b"}" + tail)
    return said.hexdigest()


def _sorted_digests(table: pa.Table) -> Iterator[list[str]]:
    if table.num_rows <= _FEW:
        yield sorted(table.column("digest").to_pylist())
        return
    with bounded() as sql:
        sql.register("rows", table)
        for batch in sql.table("rows").project("digest").order("digest").to_arrow_reader(_FEW):
            yield batch["digest"].to_pylist()
