"""What `cache/index` remembers of parts: it saves time, decides nothing, and may be lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from earshot.store import states
from earshot.store.parts import Part, list_parts
from earshot.store.plan import Selection, plan
from earshot.store.snapshot import Snapshot
from tests.store.toy import run_all, toy_entry, toy_snapshot

ENTRIES = [toy_entry(name) for name in "abcdef"]


@pytest.fixture(autouse=True)
def save_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few parts are much here."""
    monkeypatch.setattr(states, "SAVE_FROM", 1)


def commit(snapshot: Snapshot, names: str) -> None:
    """Compute some videos, each in parts of its own."""
    for name in names:
        run_all(snapshot, Selection(videos=frozenset({name})))


def fresh(root: Path) -> list[int]:
    """How many videos each stage is done with, as a new process sees it."""
    return [one.fresh for one in plan(toy_snapshot(root, ENTRIES), Selection())]


def test_what_is_remembered_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that was checked is opened once; one that came or went since is seen."""
    snapshot = toy_snapshot(tmp_path / "w", ENTRIES)
    commit(snapshot, "abc")
    snapshot.save()
    commit(snapshot, "d")
    checked: list[str] = []
    real = Part.verify
    monkeypatch.setattr(Part, "verify", lambda part: (checked.append(part.part_id), real(part)))
    assert fresh(tmp_path / "w") == [4, 4, 4]
    assert len(checked) == 3
    shutil.rmtree(list_parts(snapshot.workspace, "captions")[0].path)
    assert fresh(tmp_path / "w")[1:] == [3, 3]


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_lost_or_damaged_cache_costs_time_alone(tmp_path: Path, damage: bytes | None) -> None:
    """The parts themselves are read then."""
    snapshot = toy_snapshot(tmp_path / "w", ENTRIES)
    commit(snapshot, "abc")
    snapshot.save()
    files = list((snapshot.workspace.cache / "index").glob("*.parquet"))
    assert len(files) >= 3
    for file in files:
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
    assert fresh(tmp_path / "w") == [3, 3, 3]


def test_on_the_way_it_is_written_now_and_then(tmp_path: Path) -> None:
    """While a build runs only when half as much again is new: all writes together cost a few."""
    snapshot = toy_snapshot(tmp_path / "w", ENTRIES)
    file = snapshot.workspace.cache / "index" / "probe.parquet"
    written = []
    for name in "abcdef":
        commit(snapshot, name)
        before = file.read_bytes() if file.exists() else b""
        snapshot.save(on_the_way=True)
        written.append(file.exists() and file.read_bytes() != before)
    assert written == [True, True, True, True, False, True]
    assert fresh(tmp_path / "w") == [6, 6, 6]
