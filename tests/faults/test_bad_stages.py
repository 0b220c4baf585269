"""A stage that misbehaves on one video: a clear row for it, and everything else goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.errors import WorkspaceError
from earshot.store.ledger import count_stages, reconcile
from earshot.store.plan import Selection, todo
from earshot.store.runlog import RunLog
from earshot.store.runner import Receipt, RunStage, run_batch, run_here
from earshot.store.snapshot import Snapshot
from earshot.tasks.isolate import Isolator
from tests.faults.bad_stages import bad_snapshot

LIMIT_S = 1.5
GOOD = ("a:", "m:", "z:")
# What the uri says, the reason in the ledger, and what its message has to tell.
HERE = [
    ("raise", "stage_error", "RuntimeError: cannot do raise:"),
    ("none", "wrong_results", "gave no result for this video; expected exactly one"),
    ("other", "wrong_results", "but one for ['nobody']"),
    ("twice", "wrong_results", "two rows with the id twice-"),
    ("foreign", "wrong_results", "row nobody of another video"),
    ("reason", "wrong_results", "the reason 'because' for 'filtered'"),
    ("forbidden", "stage_error", "Permission denied"),
]
IN_CHILD = [
    *HERE[:3],
    ("hang", "timeout", "no result after 1.5 s"),
    ("die", "child_died", "ended with SIGKILL"),
    ("memory", "stage_error", "MemoryError"),
]


def run(snapshot: Snapshot, run_stage: RunStage, run_id: str = "run") -> Receipt:
    """Run what there is to do in one batch."""
    snapshot.refresh()
    work = todo(snapshot, "probe", Selection(run_id=run_id))
    log = RunLog(snapshot.workspace, run_id)
    receipt = run_batch(snapshot, snapshot.stages["probe"], work, run_id, log, run_stage)
    snapshot.refresh()
    return receipt


def check(snapshot: Snapshot, bad: list[tuple[str, str, str]]) -> None:
    """Each bad video has its one clear row, and the ledger adds up."""
    counts = count_stages(snapshot)
    reconcile(counts)
    assert counts[0].by_status == {"done": len(GOOD), "quarantined": len(bad)}
    for what, code, told in bad:
        (row,) = snapshot.ledger("probe", [f"{what}-"]).to_pylist()
        assert (row["status"], row["reason_code"]) == ("quarantined", code)
        assert told in row["message"]


def test_a_bad_video_costs_itself_alone(tmp_path: Path) -> None:
    """What a stage raises or gets wrong is in the ledger; the others of its batch are done."""
    uris = [*GOOD, *(f"{what}:" for what, _, _ in HERE)]
    snapshot = bad_snapshot(tmp_path / "w", uris)
    run(snapshot, run_here)
    check(snapshot, HERE)


@pytest.fixture(scope="module")
def isolated() -> Isolator:
    """Children with a short limit."""
    return Isolator(["probe"], LIMIT_S)


def test_in_a_child_a_hang_and_a_death_cost_one_video(tmp_path: Path, isolated: Isolator) -> None:
    """So do they in a child; and when the fault is gone, the same command completes."""
    uris = [*GOOD, *(f"{what}:" for what, _, _ in IN_CHILD)]
    snapshot = bad_snapshot(tmp_path / "w", uris)
    run(snapshot, isolated)
    check(snapshot, IN_CHILD)
    snapshot.workspace.cache.mkdir(exist_ok=True)
    (snapshot.workspace.cache / "mended").touch()
    assert run(snapshot, isolated, "again").counts == {"done": len(IN_CHILD)}
    found = snapshot.latest("probe", "hang-")
    assert found is not None
    assert (found.state.status, found.state.attempts) == ("done", 2)
    isolated.close()


def test_a_child_serves_the_next_batch_too(tmp_path: Path, isolated: Isolator) -> None:
    """One child does many batches, and another stage runs in this process."""
    first = bad_snapshot(tmp_path / "w", GOOD)
    run(first, isolated)
    (worker,) = isolated._idle
    run(bad_snapshot(tmp_path / "x", GOOD), isolated)
    assert isolated._idle == [worker]
    isolated.close()
    assert isolated._idle == []
    elsewhere = Isolator(["captions"], LIMIT_S)
    assert run(bad_snapshot(tmp_path / "y", GOOD), elsewhere).counts == {"done": 3}
    assert elsewhere._idle == []


def test_a_full_disk_is_no_videos_fault(tmp_path: Path, isolated: Isolator) -> None:
    """Here and in a child it ends the run with the remedy, and quarantines nothing."""
    for name, run_stage in (("here", run_here), ("child", isolated)):
        snapshot = bad_snapshot(tmp_path / name, ["a:", "disk:", "z:"])
        with pytest.raises(WorkspaceError, match="disk is full: free some space"):
            run(snapshot, run_stage)
        snapshot.workspace.cache.mkdir(exist_ok=True)
        (snapshot.workspace.cache / "mended").touch()
        assert run(snapshot, run_stage).counts == {"done": 3}
    isolated.close()
