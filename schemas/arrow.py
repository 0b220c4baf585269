"""Records to Arrow tables and back, nulls staying nulls.

The `digest` column is added on the way out and checked for on the way in; nothing is guessed from
the data: the schema beside the record is the only source of types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from earshot.schemas.base import Record, req

R = TypeVar("R", bound=Record)

DIGEST = req("digest", pa.string())


def table_schema(kind: type[Record], extra: Sequence[pa.Field] = ()) -> pa.Schema:
    """Return the schema of a table of `kind`: its fields, `extra` fields, then `digest`."""
    return pa.schema([*kind.ARROW, *extra, DIGEST])


def to_table(
    kind: type[R],
    records: Iterable[R],
    extra: dict[str, tuple[pa.Field, Sequence[Any]]] | None = None,
) -> pa.Table:
    """Return an Arrow table of records, with optional extra columns parallel to them.

    Raises:
        pyarrow.ArrowInvalid: if a value does not fit the record's Arrow schema.
    """
    rows = [{**record.model_dump(), "digest": record.digest} for record in records]
    fields = []
    for name, (field, values) in (extra or {}).items():
        fields.append(field)
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return pa.Table.from_pylist(rows, schema=table_schema(kind, fields))


def from_table(kind: type[R], table: pa.Table) -> list[R]:
    """Return the records of a table; columns that the record does not have are left out.

    Raises:
        pydantic.ValidationError: if a row breaks the record's rules.
    """
    known = table.select(list(kind.model_fields))
    return [kind.model_validate(row) for row in known.to_pylist()]
