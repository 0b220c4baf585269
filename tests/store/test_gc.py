"""Compaction: the same rows in fewer parts, nothing that is referred to goes, killed or not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from earshot.schemas.caption import Caption
from earshot.schemas.video import Video
from earshot.store import gc, parts
from earshot.store.builds import build_ids
from earshot.store.gc import Kept, Swept, collect, kept_ids
from earshot.store.lease import lease
from earshot.store.ledger import count_stages, reconcile
from earshot.store.parts import all_parts, list_parts
from earshot.store.plan import Selection, plan
from earshot.store.quarantine import Decision, decide
from earshot.store.snapshot import Snapshot
from tests.store.toy import TOY_STAGES, ToyProbe, run_all, toy_entry, toy_snapshot

NAMES = [stage.name for stage in TOY_STAGES]
ENTRIES = [toy_entry("a"), toy_entry("b", "bad:x"), toy_entry("c"), toy_entry("d", text="short")]


class KilledError(BaseException):
    """What stands for a kill: nothing in the code may catch it."""


def built(root: Path) -> Snapshot:
    """A workspace with a part a video and stage, and one state that was computed twice."""
    snapshot = toy_snapshot(root, ENTRIES)
    for entry in ENTRIES:
        run_all(snapshot, Selection(videos=frozenset({entry.video_id})))
    forced = Selection(force=frozenset({"probe"}), videos=frozenset({"a"}), run_id="forced")
    run_all(snapshot, forced, "forced")
    return snapshot


def keep(*snapshots: Snapshot) -> Kept:
    """What stays where these builds stay."""
    return Kept(frozenset(s.build.build_id for s in snapshots), snapshots)


def sweep_all(snapshot: Snapshot, *more: Snapshot, wait_s: float = 0.0) -> Swept:
    """Collect, as a process does that opened these builds."""
    return collect(snapshot.workspace, keep(*more, snapshot), wait_s)


def content(snapshot: Snapshot) -> list[object]:
    """All that a reader sees of a build."""
    snapshot.refresh()
    tables = [snapshot.table(kind).to_pylist() for kind in (Video, Caption)]
    ledgers = [
        snapshot.ledger(name, snapshot.reach(name)).sort_by("item_id").to_pylist() for name in NAMES
    ]
    return [tables, ledgers, [count.to_json() for count in count_stages(snapshot)]]


def anew(root: Path) -> Snapshot:
    """The workspace as another process opens it."""
    return toy_snapshot(root, ENTRIES)


def test_compaction_changes_nothing_for_readers(tmp_path: Path) -> None:
    """One part a stage is left, rows and counts are the same, nothing has to be computed."""
    snapshot = built(tmp_path / "w")
    before = content(snapshot)
    swept = sweep_all(snapshot)
    assert [len(list_parts(snapshot.workspace, name)) for name in NAMES] == [1, 1, 1]
    assert [one.parts_before for one in swept.stages] == [5, 3, 3]
    assert swept.bytes_freed > 0
    for reader in (snapshot, anew(tmp_path / "w")):
        assert content(reader) == before
        assert run_all(reader) == []
        reconcile(count_stages(reader))


def test_what_is_compact_is_left_alone(tmp_path: Path) -> None:
    """A second time there is nothing to do, and new parts are taken in later."""
    snapshot = built(tmp_path / "w")
    sweep_all(snapshot)
    names = [list_parts(snapshot.workspace, name) for name in NAMES]
    again = sweep_all(snapshot)
    assert [one.parts_rewritten for one in again.stages] == [0, 0, 0]
    assert [list_parts(snapshot.workspace, name) for name in NAMES] == names
    run_all(snapshot, Selection(force=frozenset(NAMES), run_id="f"), "f")
    before = content(snapshot)
    sweep_all(snapshot)
    assert content(anew(tmp_path / "w")) == before


def test_what_is_committed_meanwhile_stays_the_later_one(tmp_path: Path) -> None:
    """The compacted part takes the place of the parts that it stands for, not the last place."""
    snapshot = built(tmp_path / "w")
    place = gc.compacted_id(list_parts(snapshot.workspace, "probe")[-1])
    run_all(snapshot, Selection(force=frozenset({"probe"}), run_id="f"), "f")
    later = list_parts(snapshot.workspace, "probe")[-1]
    assert place < later.part_id


def test_rows_that_no_kept_build_refers_to_go(tmp_path: Path) -> None:
    """Old captions go with their build; those of a kept build stay, and are fresh then."""
    root = tmp_path / "w"
    texts = ("A dog barks.", "A cat meows.", "A cow moos.")
    builds = [toy_snapshot(root, [toy_entry("a", text=text)]) for text in texts]
    for one in builds:
        run_all(one)
    swept = sweep_all(builds[2], builds[1])
    assert swept.builds_dropped == (builds[0].build.build_id,)
    assert [one.rows_dropped for one in swept.stages] == [0, 1, 1]
    assert build_ids(builds[0].workspace) == [one.build.build_id for one in builds[1:]]
    back = toy_snapshot(root, [toy_entry("a", text=texts[1])])
    assert run_all(back) == []
    gone = toy_snapshot(root, [toy_entry("a", text=texts[0])])
    assert [receipt.stage for receipt in run_all(gone)] == ["captions", "filter"]


def test_the_latest_builds_and_those_that_work_are_kept(tmp_path: Path) -> None:
    """Three by default; one that holds a lease is kept however old it is."""
    root = tmp_path / "w"
    ids = [toy_snapshot(root, [toy_entry("a", text=str(n))]).build.build_id for n in range(5)]
    opened = toy_snapshot(root, [toy_entry("a", text="4")])
    assert kept_ids(opened.workspace, 3) == ids[2:]
    with lease(opened.workspace, "probe", ["a"], ids[0]):
        assert kept_ids(opened.workspace, 2) == [ids[0], *ids[3:]]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It says what would go."""
    snapshot = built(tmp_path / "w")
    before = sorted(path for path in (tmp_path / "w").rglob("*"))
    swept = collect(snapshot.workspace, keep(snapshot), dry_run=True)
    assert [one.parts_after for one in swept.stages] == [1, 1, 1]
    assert sorted(path for path in (tmp_path / "w").rglob("*")) == before


def test_decisions_about_quarantine_outlive_compaction(tmp_path: Path) -> None:
    """A video that was dropped stays dropped, and one that is to be tried again is."""
    snapshot = built(tmp_path / "w")
    found = snapshot.latest("probe", "b")
    assert found is not None
    decide(snapshot.workspace, Decision("drop", "probe", "b", found.state.key, 1))
    sweep_all(snapshot)
    reader = anew(tmp_path / "w")
    dropped = reader.latest("probe", "b")
    assert dropped is not None
    assert reader.status(dropped) == "filtered"
    decide(snapshot.workspace, Decision("retry", "probe", "b", found.state.key, 1))
    ToyProbe.ran.clear()
    run_all(anew(tmp_path / "w"), run_id="retry")
    assert ToyProbe.ran == ["b"]


def test_a_build_that_works_keeps_what_it_reads(tmp_path: Path) -> None:
    """Old parts stay while a build that looked before works, and go the next time."""
    snapshot = built(tmp_path / "w")
    before = content(snapshot)
    old = all_parts(snapshot.workspace, "probe")
    with lease(snapshot.workspace, "captions", ["a"], snapshot.build.build_id):
        swept = sweep_all(anew(tmp_path / "w"))
        assert [holder.stage for holder in swept.readers] == ["captions"]
        assert all(part.is_there() for part in old)
        # It never looked again, and reads on from the old ones.
        assert snapshot.table(Video).to_pylist() == before[0][0]  # type: ignore[index]
    swept = sweep_all(anew(tmp_path / "w"))
    assert swept.readers == ()
    assert not any(part.is_there() for part in old)
    assert content(anew(tmp_path / "w")) == before


def test_a_damaged_part_is_said_and_left(tmp_path: Path) -> None:
    """What can't be read is not compacted away: it may be mended; the rest is."""
    snapshot = built(tmp_path / "w")
    bad = list_parts(snapshot.workspace, "probe")[0]
    (bad.path / "videos.parquet").write_bytes(b"PAR1")
    parts._verify.cache_clear()
    swept = sweep_all(anew(tmp_path / "w"))
    assert len(swept.stages[0].damaged) == 1
    assert bad.is_there()
    assert len(list_parts(snapshot.workspace, "probe")) == 2


@contextmanager
def killed_at(step: int, patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the `step`-th change of the disk, and all after it, not happen any more."""
    steps = [0]

    def counted(real):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            steps[0] += 1
            if steps[0] >= step:
                raise KilledError
            return real(*args, **kwargs)

        return call

    with patch.context() as one:
        for name in ("rename", "replace", "mkdir", "unlink"):
            one.setattr(Path, name, counted(getattr(Path, name)))
        one.setattr(os, "fsync", counted(os.fsync))
        one.setattr(shutil, "rmtree", counted(shutil.rmtree))
        yield steps


def test_killed_at_any_step_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step is the last, readers see the same, and the next time completes it."""
    snapshot = built(tmp_path / "whole")
    before = content(snapshot)
    with killed_at(10_000, monkeypatch) as steps:
        sweep_all(anew(tmp_path / "whole"))
    total = steps[0]
    assert total > 30
    built(tmp_path / "again")
    for step in range(1, total + 1, 7):
        root = tmp_path / f"w{step}"
        shutil.copytree(tmp_path / "again", root)
        reader = anew(root)
        seen = content(reader)
        with killed_at(step, monkeypatch), pytest.raises(KilledError):
            sweep_all(anew(root))
        shutil.rmtree(root / "leases", ignore_errors=True)  # the process is this one: not gone
        assert content(anew(root)) == seen
        sweep_all(anew(root))
        after = anew(root)
        assert content(after) == seen
        assert [len(all_parts(after.workspace, name)) for name in NAMES] == [1, 1, 1]
        assert all(one.fresh or one.quarantined for one in plan(after, Selection()))
        shutil.rmtree(root)
    assert [len(one) for one in before] == [len(one) for one in seen]  # type: ignore[arg-type]
