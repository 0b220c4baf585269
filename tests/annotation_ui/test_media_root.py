"""The media root has whole clips and nothing else."""

from __future__ import annotations

from pathlib import Path

from earshot.annotation_ui.client import LabelStudio
from earshot.annotation_ui.desk import CLIPS, Desk
from earshot.annotation_ui.media_root import clear_leftovers
from earshot.schemas.config import LabelStudioConfig
from earshot.store.workspace import Workspace


def test_halves_of_clips_go_at_once_where_nobody_else_cuts(tmp_path: Path) -> None:
    """In the workspace's own media root; whole clips stay."""
    place = Workspace.open(tmp_path / "w", create=True)
    client, media = LabelStudio("http://127.0.0.1:1", "token"), tmp_path / "media"
    (media / CLIPS).mkdir(parents=True)
    for name in ("a.mp4", ".b.mp4", "..c.mp4.71.partial"):
        (media / CLIPS / name).touch()
    clear_leftovers(Desk(place, LabelStudioConfig(), client, media, 1))
    assert [file.name for file in (media / CLIPS).iterdir()] == ["a.mp4"]
