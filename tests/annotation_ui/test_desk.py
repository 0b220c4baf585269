"""Projects are known by their titles, also where the server takes fewer letters than they have."""

from __future__ import annotations

from pathlib import Path

from earshot.annotation_ui.desk import ROLES, _title
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


def test_workspaces_of_one_name_share_no_project_of_a_team(tmp_path: Path) -> None:
    """One would delete the other's open tasks; on a server of its own the name is enough."""
    mine, theirs = (Workspace.open(tmp_path / who / "w", create=True) for who in ("a", "b"))
    team = LabelStudioConfig(url="https://label.example.org", media_root="/srv")
    titles = {_title(place, team, role) for place in (mine, theirs) for role in ROLES}
    assert len(titles) == 2 * len(ROLES)
    assert _title(mine, team, "first") == _title(mine, team, "first")
    assert _title(mine, LabelStudioConfig(), "first") == "earshot w"
