"""The number of a version says what it changes for those who measured on the one before."""

from __future__ import annotations

import pytest

from earshot.schemas.event import Event
from earshot.schemas.question import Question
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("added", "1.1.0"), ("removed", "2.0.0"), ("answer", "2.0.0"), ("event", "1.0.1"),
     ("licence", "2.0.0")],
)  # fmt: skip
def test_major_minor_and_patch(world, shelf, changed, expected):
    """Removed, changed or relicensed is major; added is minor; other tables alone are a patch."""
    rows, config = world.rows(9 if changed == "added" else 8), world.config
    if changed == "removed":
        rows = {**rows, Question: rows[Question][3:]}
    elif changed == "answer":
        rows = world.change(rows, Question, 0, question="When, please?")
    elif changed == "event":
        rows = world.change(rows, Event, 0, description="a big dog barks")
    elif changed == "licence":
        config = config.model_copy(update={"licence": "mit"})
    first = Release(shelf / "yard-v1").head.semver
    second = Release(publish(world.source(rows), shelf, config).folder).head.semver
    assert (first, second) == ("1.0.0", expected)
