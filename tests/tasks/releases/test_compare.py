"""Two releases are compared row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earshot.errors import ReleaseError
from earshot.schemas.event import Event
from earshot.schemas.question import Question
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from earshot.tasks.releases.compare import compare_releases
from tests import factories
from tests.tasks.publish_release.conftest import CONFIG, change, make_rows, make_source


@pytest.fixture
def other(tmp_path: Path) -> Release:
    """Another build of the same world: a video less, one more, two rows with other content."""
    rows = make_rows(9)
    rows = {
        kind: [r for r in records if not r.model_dump_json().count('"v003')]
        for kind, records in rows.items()
    }
    rows = change(rows, Question, 0, question="When, please?", split="train")
    rows = change(rows, Event, 2, description="a big dog barks")
    folder = publish(make_source(rows), tmp_path, CONFIG, now=factories.NOW).folder
    return Release(folder)


def test_rows_added_removed_and_changed_are_told_apart(release, other):
    """By id; of a changed one the columns that differ are named, with both contents."""
    found = compare_releases(Release(release), other)
    rows = found.rows.to_pylist()
    asked = [row for row in rows if row["table"] == "questions"]
    videos = {
        c: {r["id"].split("/")[0] for r in asked if r["change"] == c} for c in ("added", "removed")
    }
    assert videos == {"added": {"v008"}, "removed": {"v003"}}
    (changed,) = [row for row in asked if row["change"] == "changed"]
    assert changed["columns"] == ["question"]
    assert json.loads(changed["after_json"]) == {"question": "When, please?"}
    (event,) = [r for r in rows if r["table"] == "events" and r["change"] == "changed"]
    assert event["columns"] == ["description"]
    (counts,) = [each for each in found.counts if each.table == "questions"]
    assert counts == ("questions", 3, 3, 1, 20)


def test_both_ways_are_mirrored(release, other):
    """What one adds the other removes."""
    there = compare_releases(Release(release), other, ["questions"]).counts[0]
    back = compare_releases(other, Release(release), ["questions"]).counts[0]
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)


def test_a_release_is_equal_to_itself(release):
    """No row differs, in any table."""
    found = compare_releases(Release(release), Release(release))
    assert found.rows.num_rows == 0
    assert {each.table for each in found.counts} >= {"questions", "tubes", "splits", "absent"}
    assert all(sum(each[1:4]) == 0 for each in found.counts)
    empty = {each.table for each in found.counts if not each.unchanged}
    assert empty == {"revised_tubes", "shown_tubes", "tube_masks", "dropped"}


def test_an_unknown_table_is_refused(release):
    """With the names of those that are there."""
    with pytest.raises(ReleaseError, match=r"no table 'boxes'; expected of videos"):
        compare_releases(Release(release), Release(release), ["boxes"])
