"""What tasks showed is found again, however many pushes there were."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.annotation_ui import pushed
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.show import task_of
from tests.annotation_ui.events import shown_of, walking
from tests.factories import make_event


def test_many_small_files_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task is found before and after with its very tubes; large files stay as they are."""
    monkeypatch.setattr(pushed, "_MANY", 4)
    monkeypatch.setattr(pushed, "_ROWS", 2)
    kept, sent = PushedTasks(tmp_path), {}
    for number in range(5):
        shown = shown_of(walking(seed=number), event=make_event(label=f"event {number}"))
        sent[shown.uid] = shown
        kept.keep([(task_of(shown), shown.tubes)])
        if number == 2:
            kept.compact()
            assert len(list(tmp_path.iterdir())) == 3  # not many yet

    def check() -> None:
        found = kept.find([*sent, "unknown"])
        assert {uid: set(one.tubes.values()) for uid, one in found.items()} == {
            uid: set(one.tubes) for uid, one in sent.items()
        }
        assert kept.find([]) == {}
        assert kept.uids() == {uid: one.event.event_id for uid, one in sent.items()}

    check()
    kept.compact()
    assert len(list(tmp_path.iterdir())) == 1
    check()
    monkeypatch.setattr(pushed, "_SMALL_BYTES", 10)
    for _ in range(4):
        kept.keep([])
    kept.compact()
    assert len(list(tmp_path.iterdir())) == 5
