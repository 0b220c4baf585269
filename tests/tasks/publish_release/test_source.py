"""Tables are taken only in the form of their records, and digested by content."""

from __future__ import annotations

import pytest

from earshot.errors import ReleaseError
from earshot.schemas.question import Question
from earshot.tasks.publish_release.source import check_tables, content_digest


def test_a_missing_or_unknown_table_is_named(world):
    """Both in one message."""
    tables = dict(world.source().tables)
    tables["extra"] = tables.pop("tubes")
    with pytest.raises(ReleaseError, match=r"missing \['tubes'\], unknown \['extra'\]"):
        check_tables(tables)


def test_a_table_of_another_schema_is_refused(world):
    """A column too few is seen before anything is written."""
    tables = dict(world.source().tables)
    tables["events"] = tables["events"].drop_columns(["digest"])
    with pytest.raises(ReleaseError, match="table 'events' has the schema"):
        check_tables(tables)


def test_the_digest_is_of_the_rows_and_not_of_their_order(world):
    """One changed row changes it."""
    rows = world.rows()
    turned = {kind: records[::-1] for kind, records in rows.items()}
    changed = world.change(rows, Question, 3, question="?")
    first, second, third = (
        content_digest(world.source(each).tables, "mit") for each in (rows, turned, changed)
    )
    assert first == second != third
    assert content_digest(world.source(rows).tables, "other") != first
