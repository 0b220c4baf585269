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
from earshot.tasks.publish_release.shelf import Published
from earshot.tasks.publish_release.source import KINDS, STAGE_KINDS


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
    key = list(KINDS[name].KEY)
    before = _digests(previous.read(stored_at(name), [*key, "digest"]), key)
    after = _digests(table, key)
    common = before.keys() & after.keys()
    changed = sorted(row for row in common if before[row] != after[row])
    return TableDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(changed),
        unchanged=len(common) - len(changed),
    )


def _digests(table: pa.Table | None, key: list[str]) -> dict[str, str]:
    if table is None:
        return {}
    keys = zip(*(table.column(name).to_pylist() for name in key), strict=True)
    return dict(zip(("+".join(parts) for parts in keys), table["digest"].to_pylist(), strict=True))


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
    reasons = {
        row["video_id"]: f"{row['stage']}: {row['status']} ({row['reason_code']})"
        for row in absent.to_pylist()
    }
    return tuple(RemovedRow(id=row, reason=reasons.get(row.split("/", 1)[0])) for row in ids)
