"""What changed between two versions is named by id."""

from __future__ import annotations

import json
from pathlib import Path

from earshot.schemas.event import Event
from earshot.schemas.question import Question
from earshot.schemas.release import Absent
from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish
from tests import factories


def _diff(world, shelf, rows, absent=()):
    source = world.source(rows, (world.absent, *absent))
    folder = Path(publish(source, shelf, world.config).folder)
    return json.loads((folder / "diff.json").read_text()), (folder / "README.md").read_text()


def _without(rows, video_id):
    return {
        kind: [r for r in records if not r.model_dump_json().count(f'"{video_id}')]
        for kind, records in rows.items()
    }


def test_the_first_version_names_no_ids(release):
    """Everything is new, so there is nothing to list."""
    diff = json.loads((release / "diff.json").read_text())
    assert (diff["previous_version"], diff["tables"]) == (None, {})


def test_added_removed_and_changed_questions_are_told_apart(world, shelf):
    """By id and digest; of a changed one the fields are named, of a removed one the reason."""
    rows = world.change(_without(world.rows(9), "v003"), Question, 0, question="When, please?")
    gone = Absent(
        video_id="v003", stage="filter", status="filtered", reason_code="too_long", message=None
    )
    diff, text = _diff(world, shelf, rows, [gone])
    questions = diff["tables"]["questions"]
    assert {q.split("/")[0] for q in questions["added"]} == {"v008"}
    assert {q.split("/")[0] for q in questions["removed"]} == {"v003"}
    assert questions["unchanged"] == 20
    changed = rows[Question][0].question_id
    assert diff["changed_questions"] == [{"id": changed, "fields": ["question"]}]
    assert diff["removed_questions"][0]["reason"] == "filter: filtered (too_long)"
    assert "Against v1: 3 questions added, 3 removed, 1 changed, 20 as they were" in text
    assert f"- changed `{changed}`: question" in text
    assert "its video is out, filter: filtered (too_long)" in text


def test_every_table_is_compared(world, shelf):
    """Rows without a question count as well; keys of two fields are joined with +."""
    rows = world.change(world.rows(), Event, 2, description="a big dog barks")
    rows[Video].append(factories.make_video("quiet"))
    diff, _ = _diff(world, shelf, rows)
    assert diff["tables"]["events"]["changed"] == [rows[Event][2].event_id]
    assert diff["tables"]["videos"]["added"] == ["quiet"]
    assert diff["tables"]["absent"]["added"] == ["quiet"]
    assert diff["tables"]["event_objects"]["unchanged"] == 8
    assert diff["tables"]["questions"]["unchanged"] == 24


def test_the_version_before_is_the_last_one(world, shelf):
    """Going back to old content is a new version with a diff of its own."""
    publish(world.source(world.rows(9)), shelf, world.config)
    third = publish(world.source(), shelf, world.config)
    diff = json.loads((Path(third.folder) / "diff.json").read_text())
    assert (third.version, diff["previous_version"]) == (3, 2)
    assert len(diff["tables"]["questions"]["removed"]) == 3
