"""A clock that steps back changes neither which rows are current nor which build is the latest."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from earshot.schemas.caption import Caption
from earshot.schemas.config import CaptionsConfig, Config
from earshot.store import builds, parts, runner
from earshot.store.builds import latest_build
from earshot.store.plan import Selection
from tests.store.toy import run_all, toy_entry, toy_snapshot


def test_the_later_commit_stays_the_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is computed, forced or built after the clock went back a day is what readers see."""
    root = tmp_path / "w"
    run_all(toy_snapshot(root, [toy_entry("a")]))

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(tz) - timedelta(days=1)  # type: ignore[arg-type]

    for module in (runner, builds):
        monkeypatch.setattr(module, "datetime", Yesterday)
    forced = toy_snapshot(root, [toy_entry("a")])
    run_all(forced, Selection(force=frozenset({"captions"}), run_id="f"), "f")
    found = toy_snapshot(root, [toy_entry("a")]).latest("captions", "a")
    assert found is not None
    assert (found.state.run_id, found.state.attempts) == ("f", 2)
    names = [part.part_id for part in parts.list_parts(forced.workspace, "captions")]
    assert names == sorted(names)

    config = Config(captions=CaptionsConfig(tolerance_s=1.0))
    later = toy_snapshot(root, [toy_entry("a", text="A cat meows.")], config)
    run_all(later)
    latest = latest_build(later.workspace)
    assert latest is not None
    assert latest.build_id == later.build.build_id
    assert latest.at < forced.build.at
    assert later.table(Caption).column("text").to_pylist() == ["A cat meows."]
