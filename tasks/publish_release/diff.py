"""Compares the rows of a release with those of the version before, by stable id and digest.

Equal id and other digest means changed; for a changed question it says which fields, for a removed
one why its video is gone, if that is known.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from earshot.schemas.base import Frozen
from earshot.tasks.publish_release.bounded import bounded
from earshot.tasks.publish_release.shelf import Published
from earshot.tasks.publish_release.source import KINDS, STAGE_KINDS
from earshot.tasks.publish_release.spool import values_of


class ChangedRow(Frozen):
    """A question with the same id and other content."""

    id: str
    fields: tuple[str, ...] = Field(description="columns that differ")


class RemovedRow(Frozen):
    """A question that is gone."""

    id: str
    reason: str | None = Field(description="why its video is absent; null where it is not")


class TableDiff(Frozen):
    """Ids of one table; several key fields are joined with `+`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        """Whether both versions have the same rows."""
        return not (self.added or self.removed or self.changed)


class ReleaseDiff(Frozen):
    """The content of `diff.json`; without a version before everything is new and no id is named."""

    previous_version: int | None
    version: int
    tables: dict[str, TableDiff]
    changed_questions: tuple[ChangedRow, ...] = ()
    removed_questions: tuple[RemovedRow, ...] = ()

    @property
    def questions(self) -> TableDiff:
        """The diff of the questions."""
        return self.tables["questions"]


_COMPARE = """
CREATE TEMP TABLE compared AS
SELECT coalesce(old.id, new.id) AS id, CASE
  WHEN old.id IS NULL THEN 'added' WHEN new.id IS NULL THEN 'removed'
  WHEN old.digest <> new.digest THEN 'changed' ELSE 'same' END AS what
FROM old FULL JOIN new ON old.id = new.id
"""

COMPARED: tuple[str, ...] = ("questions", *(kind.TABLE for kind in STAGE_KINDS), "absent")


def compare(
    tables: Mapping[str, pa.Table], version: int, previous: Published | None
) -> ReleaseDiff:
    """Return what version `version` adds, removes and changes."""
    if previous is None:
        return ReleaseDiff(previous_version=None, version=version, tables={})
    diffs = {name: _compare_table(name, tables[name], previous) for name in COMPARED}
    return ReleaseDiff(
        previous_version=previous.head.version,
        version=version,
        tables=diffs,
        changed_questions=_changed(diffs["questions"].changed, tables["questions"], previous),
        removed_questions=_removed(diffs["questions"].removed, tables["absent"]),
    )


def stored_at(name: str) -> str:
    """Return where a table's files stand in a release: a folder or a file."""
    if name == "questions":
        return "data/"
    return f"tables/{name}.parquet" if _is_stage(name) else f"{name}.parquet"


def _is_stage(name: str) -> bool:
    return any(name == kind.TABLE for kind in STAGE_KINDS)


def _compare_table(name: str, table: pa.Table, previous: Published) -> TableDiff:
    columns = [*KINDS[name].KEY, "digest"]
    before = previous.read(stored_at(name), columns)
    with bounded() as sql:
        for which, rows in (("old", before), ("new", table)):
            sql.register(f"{which}_rows", table.slice(0, 0) if rows is None else rows)
            sql.table(f"{which}_rows").project(
                " || '+' || ".join(KINDS[name].KEY) + " AS id, digest"
            ).create_view(which)
        sql.execute(_COMPARE)
        found = {
            what: tuple(row[0] for row in rows)
            for what in ("added", "removed", "changed")
            if (rows := sql.table("compared").filter(f"what = '{what}'").order("id").fetchall())
        }
        (unchanged,) = sql.table("compared").filter("what = 'same'").count("*").fetchall()[0]
    return TableDiff(
        added=found.get("added", ()),
        removed=found.get("removed", ()),
        changed=found.get("changed", ()),
        unchanged=unchanged,
    )


def _changed(
    ids: tuple[str, ...], questions: pa.Table, previous: Published
) -> tuple[ChangedRow, ...]:
    old = previous.read(stored_at("questions")) if ids else None
    if old is None:
        return ()
    before, after = _rows(old, ids), _rows(questions, ids)
    return tuple(
        ChangedRow(
            id=row,
            fields=tuple(
                name
                for name in questions.column_names
                if name != "digest" and before[row].get(name) != after[row][name]
            ),
        )
        for row in ids
    )


def _rows(questions: pa.Table, ids: tuple[str, ...]) -> dict[str, dict[str, object]]:
    kept = questions.filter(pc.is_in(questions["question_id"], pa.array(ids, pa.string())))
    return {str(row["question_id"]): row for row in kept.to_pylist()}


def _removed(ids: tuple[str, ...], absent: pa.Table) -> tuple[RemovedRow, ...]:
    columns = ("video_id", "stage", "status", "reason_code")
    reasons = {
        video_id: f"{stage}: {status} ({code})"
        for video_id, stage, status, code in values_of(absent, columns)
    }
    return tuple(RemovedRow(id=row, reason=reasons.get(row.split("/", 1)[0])) for row in ids)
