"""A full, read-only or limited disk: one clear message, nothing lost, the same command completes.

The disk is a real one, mounted for the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from earshot.errors import WorkspaceError
from earshot.media.sample_world import write_sample_world
from earshot.schemas.caption import Caption
from earshot.store.ledger import count_stages, reconcile
from earshot.store.parts import list_parts
from earshot.store.snapshot import Snapshot
from tests.faults.disks import Disk, small_disk
from tests.store.toy import TOY_STAGES, run_all, toy_entry, toy_snapshot

ENTRIES = [toy_entry(name) for name in "abcdef"]
ROOM = (0, 4096, 8192, 16384, 24576, 40960)
LIMITED = """
import resource, sys
from pathlib import Path
from tests.store.toy import run_all, toy_entry, toy_snapshot
from earshot.errors import WorkspaceError
snapshot = toy_snapshot(Path(sys.argv[1]), [toy_entry("a")])
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    run_all(snapshot)
except WorkspaceError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([receipt.counts for receipt in run_all(snapshot)])
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of a megabyte."""
    with small_disk(tmp_path / "disk", "1m") as mounted:
        yield mounted


def leftovers(snapshot: Snapshot) -> list[Path]:
    """Temporary files and folders in a workspace."""
    return list(snapshot.workspace.root.rglob(".*"))


def test_a_disk_that_fills_up_at_any_moment(disk: Disk) -> None:
    """However much room was left, the message names the remedy and no half part is there."""
    said = []
    for room in ROOM:
        root = disk.folder / f"w{room}"
        snapshot = toy_snapshot(root, ENTRIES)
        disk.fill(room)
        try:
            run_all(snapshot)
        except WorkspaceError as error:
            said.append(str(error))
        for name in (stage.name for stage in TOY_STAGES):
            for part in list_parts(snapshot.workspace, name):
                part.verify()
        disk.empty()
        assert leftovers(snapshot) == []
        run_all(snapshot, run_id="again")
        assert snapshot.table(Caption).num_rows == len(ENTRIES)
        counts = count_stages(snapshot)
        reconcile(counts)
        assert {status for count in counts for status in count.by_status} == {"done"}
    assert len(said) >= 3
    assert all("the disk is full: free some space, then run the same command" in s for s in said)


def test_a_read_only_disk_can_be_looked_at(disk: Disk) -> None:
    """Reading works, writing says what to do, and afterwards the same command completes."""
    snapshot = toy_snapshot(disk.folder / "w", ENTRIES[:3])
    run_all(snapshot)
    more = toy_snapshot(disk.folder / "w", ENTRIES)
    with disk.read_only():
        assert toy_snapshot(disk.folder / "w", ENTRIES).table(Caption).num_rows == 3
        with pytest.raises(WorkspaceError, match="read-only: mount it writable"):
            run_all(more)
    run_all(more, run_id="again")
    assert more.table(Caption).num_rows == len(ENTRIES)


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """`ulimit -f` is said as what it is, in a process that has it."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "w")],
        capture_output=True, text=True, check=True, cwd=root,
    )  # fmt: skip
    message, counts = done.stdout.splitlines()
    assert "raise the limit (ulimit -f), then run the same command again" in message
    assert counts == "[{'done': 1}, {'done': 1}, {'done': 1}]"


@pytest.mark.slow
def test_the_command_says_it_in_one_line_and_completes_later(tmp_path: Path) -> None:
    """`earshot build`, `plan` and `status` of real videos on a full and on a read-only disk."""
    world = write_sample_world(tmp_path / "world", 2, 3)

    def earshot(command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "earshot.cli", command, *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    with small_disk(tmp_path / "disk", "4m") as disk:
        workspace = str(disk.folder / "w")
        config = tmp_path / "c.toml"
        config.write_text("[release]\nallow_empty = true\n")
        both = ("-i", str(world.manifest), "-w", workspace, "-c", str(config))
        plain = (*both, "--no-prefect", "--json")
        said = []
        for room in (0, 40_000, 90_000, 200_000, 400_000):
            disk.fill(room)
            done = earshot("build", *plain)
            said.append(done.returncode)
            assert "Traceback" not in done.stderr, done.stderr
            if done.returncode:
                assert "the disk is full: free some space" in done.stderr.replace("\n", " ")
            disk.empty()
        assert said[0] == 1
        with disk.read_only():
            for command, options in (("status", ("-w", workspace)), ("plan", both)):
                done = earshot(command, *options)
                assert done.returncode == 0, done.stderr
            done = earshot("build", *plain)
            assert done.returncode == 1
            assert "read-only: mount it writable" in done.stderr.replace("\n", " ")
            assert "Traceback" not in done.stderr
        done = earshot("build", *plain)
        assert done.returncode == 0, done.stderr
        stages = json.loads(done.stdout)["stages"]
        assert all(not stage["quarantined"] and not stage["pending"] for stage in stages)
