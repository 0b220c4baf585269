"""Compares two releases row by row: added, removed, changed, and in which columns.

Rows are matched by stable id and told apart by digest, in DuckDB over the ids alone; only changed
rows are read whole. Never loads a table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.errors import ReleaseError
from earshot.schemas.base import STRINGS, opt, req
from earshot.tasks.publish_release.source import KINDS
from earshot.tasks.releases.release import Release

Change = Literal["added", "removed", "changed"]
CHANGES: tuple[Change, ...] = ("added", "removed", "changed")

SCHEMA = pa.schema(
    [
        req("table", pa.string()),
        req("id", pa.string()),
        req("change", pa.string()),
        req("columns", STRINGS),
        opt("before_json", pa.string()),
        opt("after_json", pa.string()),
    ]
)
"""Of `columns` the JSON has what they held; both are null for rows that are on one side only."""


class Counts(NamedTuple):
    """Rows of one table."""

    table: str
    added: int
    removed: int
    changed: int
    unchanged: int


class Comparison(NamedTuple):
    """The differing rows (`SCHEMA`), and the numbers of all tables."""

    rows: pa.Table
    counts: tuple[Counts, ...]


def compare_releases(
    before: Release, after: Release, tables: Sequence[str] | None = None
) -> Comparison:
    """Return what `after` adds, removes and changes against `before`.

    Args:
        before: any release.
        after: any other.
        tables: the names of some tables; all if not given.

    Raises:
        ReleaseError: neither has such a table.
        ItemError: a place does not answer.
    """
    known = [name for name in KINDS if before.files(name) or after.files(name)]
    for name in tables or ():
        if name not in known:
            raise ReleaseError(f"there is no table {name!r}; expected of {', '.join(known)}")
    found: list[pa.Table] = []
    counts: list[Counts] = []
    for name in tables or known:
        rows, unchanged = _compare(name, before, after)
        found.append(rows)
        added, removed, changed = (
            int(pc.sum(pc.equal(rows["change"], each)).as_py() or 0) for each in CHANGES
        )
        counts.append(Counts(name, added, removed, changed, unchanged))
    return Comparison(pa.concat_tables([SCHEMA.empty_table(), *found]), tuple(counts))


def _compare(name: str, before: Release, after: Release) -> tuple[pa.Table, int]:
    key = KINDS[name].KEY
    with duckdb.connect() as db:
        db.register("old", _ids(before, name, key))
        db.register("new", _ids(after, name, key))
        db.execute(
            "CREATE TABLE both_sides AS SELECT coalesce(old.id, new.id) AS id, CASE "
            "WHEN old.id IS NULL THEN 'added' WHEN new.id IS NULL THEN 'removed' "
            "WHEN old.digest <> new.digest THEN 'changed' END AS change "
            "FROM old FULL JOIN new USING (id)"
        )
        (unchanged,) = db.execute("SELECT count(*) FROM both_sides WHERE change IS NULL").fetchall()
        differing = db.execute(
            "SELECT id, change FROM both_sides WHERE change IS NOT NULL ORDER BY change, id"
        ).fetchall()
    changed = [row for row, change in differing if change == "changed"]
    details = _details(name, before, after, changed) if changed else {}
    nothing: tuple[list[str], None, None] = ([], None, None)
    rows = [(name, row, change, *details.get(row, nothing)) for row, change in differing]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA), int(unchanged[0])


def _ids(release: Release, name: str, key: Sequence[str]) -> pa.Table:
    """Return id and digest of all rows; a key of several columns is joined with `+`."""
    if not release.files(name):
        return pa.table({"id": pa.array([], pa.string()), "digest": pa.array([], pa.string())})
    rows = release.read(name, columns=[*key, "digest"])
    return pa.table({"id": _joined(rows, key), "digest": rows["digest"]})


def _joined(rows: pa.Table | pa.RecordBatch, key: Sequence[str]) -> pa.ChunkedArray | pa.Array:
    parts = [pc.cast(rows[column], pa.string()) for column in key]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "+")


Details = dict[str, tuple[list[str], str, str]]


def _details(name: str, before: Release, after: Release, ids: Sequence[str]) -> Details:
    """Return of each changed row the columns that differ, and both sides of them as JSON."""
    old, new = (dict(_rows(release, name, ids)) for release in (before, after))
    found: Details = {}
    for row in ids:
        columns = [c for c in {**old[row], **new[row]} if c != "digest"]
        differing = [c for c in columns if old[row].get(c) != new[row].get(c)]
        found[row] = (differing, _json(old[row], differing), _json(new[row], differing))
    return found


def _rows(release: Release, name: str, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    wanted, key = pa.array(ids, pa.string()), KINDS[name].KEY
    for file in release.files(name):
        with pq.ParquetFile(release.path(file), filesystem=release.fs) as shard:
            for batch in shard.iter_batches(batch_size=8192):
                joined = _joined(batch, key)
                mine = pc.is_in(joined, wanted)
                yield from zip(
                    joined.filter(mine).to_pylist(), batch.filter(mine).to_pylist(), strict=True
                )


def _json(row: dict[str, Any], columns: Sequence[str]) -> str:
    return json.dumps({c: row.get(c) for c in columns}, ensure_ascii=False, default=str)
