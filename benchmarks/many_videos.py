"""A release of any size to measure with: the videos of the tests' world, many times over.

Takes a number of questions, gives a source whose tables lie on the disk; all rows pass the gates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earshot.tasks.publish_release.source import ReleaseSource
from earshot.tasks.publish_release.spool import collected

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.tasks.publish_release.conftest import make_rows, make_source

VIDEOS, PER_VIDEO = 200, 3
NO_IDS = ("template_id",)


def many(questions: int) -> ReleaseSource:
    """Return a source of at least so many questions, three a video."""
    source = make_source(make_rows(VIDEOS, seed=5), absent=())
    times = -(-questions // (VIDEOS * PER_VIDEO))
    tables = {
        name: collected(_repeated(table.combine_chunks(), times), table.schema)
        for name, table in source.tables.items()
    }
    return replace(source, tables=tables)


def _repeated(table: pa.Table, times: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows again and again, each time with ids of their own."""
    for time in range(times):
        for batch in table.to_batches():
            columns = [
                _renamed(column, f"r{time:06d}-", _is_id(name))
                for column, name in zip(batch.columns, batch.schema.names, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _is_id(name: str) -> bool:
    return name.endswith(("_id", "_ids")) and name not in NO_IDS


def _renamed(array: pa.Array, prefix: str, is_id: bool) -> pa.Array:
    kind = array.type
    if pa.types.is_string(kind):
        return pc.binary_join_element_wise(prefix, array, "") if is_id else array
    if pa.types.is_list(kind) and not array.null_count:
        values = _renamed(array.values, prefix, is_id)
        return pa.ListArray.from_arrays(array.offsets, values, kind)
    if pa.types.is_struct(kind):
        parts = [
            _renamed(array.field(nth), prefix, _is_id(kind.field(nth).name))
            for nth in range(kind.num_fields)
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    return array
