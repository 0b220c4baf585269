"""Processes that meet at bad moments: making one workspace, reading what is compacted away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from earshot.errors import EarshotError, PartGoneError, WorkspaceError
from earshot.schemas.caption import Caption
from earshot.store.gc import Kept, collect
from earshot.store.parts import drop_part, list_parts
from earshot.store.plan import Selection, plan
from earshot.store.workspace import Workspace
from tests.store.toy import run_all, toy_entry, toy_snapshot

ENTRIES = [toy_entry(name) for name in "abcd"]


def together(*works: Callable[[], object]) -> list[EarshotError]:
    """Do all at once, in threads; return what was raised."""
    start, raised = threading.Barrier(len(works)), list[EarshotError]()

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except EarshotError as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_builds_may_make_one_workspace(tmp_path: Path) -> None:
    """The file that the other is just writing is no reason to refuse the folder."""
    for number in range(60):
        root = tmp_path / str(number)
        works = [lambda root=root: Workspace.open(root, create=True)] * 4  # type: ignore[misc]
        assert together(*works) == []
    root = tmp_path / "foreign"
    root.mkdir()
    (root / ".tmp-other").touch()
    with pytest.raises(WorkspaceError, match="not empty"):
        Workspace.open(root, create=True)


def test_a_part_that_is_gone_is_no_damaged_part(tmp_path: Path) -> None:
    """A reader is told to look again, and `steady` does so by itself."""
    snapshot = toy_snapshot(tmp_path / "w", ENTRIES)
    for entry in ENTRIES:
        run_all(snapshot, Selection(videos=frozenset({entry.video_id})))
    before = snapshot.table(Caption)
    reader = toy_snapshot(tmp_path / "w", ENTRIES)
    reader.latest("captions", "a")
    collect(snapshot.workspace, Kept(frozenset({snapshot.build.build_id}), (snapshot,)), 0)
    with pytest.raises(PartGoneError, match="run the same command again"):
        reader.table(Caption)
    assert reader.steady(lambda: reader.table(Caption)).equals(before)
    assert reader.damaged == {}
    (part,) = list_parts(snapshot.workspace, "captions")
    drop_part(part)
    with pytest.raises(PartGoneError):
        reader.steady(lambda: part.read("captions"))


def test_readers_beside_compaction_see_all(tmp_path: Path) -> None:
    """Plans and tables that are read while parts come and go are right, every time."""
    root = tmp_path / "w"
    run_all(toy_snapshot(root, ENTRIES))
    done = threading.Event()
    seen: set[tuple[int, ...]] = set()

    def compact() -> None:
        try:
            for number in range(6):
                force = frozenset({"captions"})
                for entry in ENTRIES:
                    one = frozenset({entry.video_id})
                    run_id = f"{number}{entry.video_id}"
                    again = Selection(force=force, videos=one, run_id=run_id)
                    run_all(toy_snapshot(root, ENTRIES), again, run_id)
                opened = toy_snapshot(root, ENTRIES)
                collect(opened.workspace, Kept(frozenset({opened.build.build_id}), (opened,)), 0)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            opened = toy_snapshot(root, ENTRIES)
            rows = opened.steady(lambda opened=opened: opened.table(Caption)).num_rows  # type: ignore[misc]
            plans = opened.steady(lambda opened=opened: plan(opened, Selection()))  # type: ignore[misc]
            seen.add((rows, *(one.fresh for one in plans)))

    assert together(compact, read) == []
    assert seen == {(4, 4, 4, 4)}
