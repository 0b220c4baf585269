"""Each project has a title that fits, and the media root whole clips alone."""

from __future__ import annotations

from pathlib import Path

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.desk import CLIPS, ROLES, Desk, _title
from earshot.annotation_ui.push import clear_leftovers
from earshot.schemas.config import LabelStudioConfig
from earshot.store.workspace import Workspace


def test_projects_that_begin_alike_are_two(tmp_path: Path) -> None:
    """Each role of each workspace has a title of its own, of at most 50 letters."""
    place = Workspace.open(tmp_path / "w", create=True)
    names = ["yard", *(f"R-AVST inspection of the spring batch, part {part}" for part in "AB")]
    titles = [_title(place, LabelStudioConfig(project=n), role) for n in names for role in ROLES]
    assert len(set(titles)) == len(names) * len(ROLES)
    assert max(map(len, titles)) <= 50
    assert titles[:2] == ["yard", "yard - second opinions"]


def test_halves_of_clips_go_at_once_where_nobody_else_cuts(tmp_path: Path) -> None:
    """In the workspace's own media root; whole clips stay."""
    place = Workspace.open(tmp_path / "w", create=True)
    client, media = LabelStudio("http://127.0.0.1:1", "token"), tmp_path / "media"
    (media / CLIPS).mkdir(parents=True)
    for name in ("a.mp4", ".b.mp4", "..c.mp4.71.partial"):
        (media / CLIPS / name).touch()
    clear_leftovers(Desk(place, LabelStudioConfig(), client, media, 1))
    assert [file.name for file in (media / CLIPS).iterdir()] == ["a.mp4"]
