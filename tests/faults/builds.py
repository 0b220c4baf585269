"""Builds in processes of their own, which tests kill, and what they left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earshot.schemas.base import Record
from earshot.schemas.question import Question
from earshot.store.parts import list_parts
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import STAGES, open_session
from earshot.tasks.publish_release.source import STAGE_KINDS

MARK = "EARSHOT_TEST_MARK"
# Small batches, so that many kills fall between two of them.
CONFIG = """
[run]
batch_size = 2
track_batch_size = 1
shard_size = 3
[release]
allow_empty = true
"""
KINDS: tuple[type[Record], ...] = (*STAGE_KINDS, Question)


@dataclass
class Command:
    """An `earshot build` over a workspace; its processes can be told by a mark of their own."""

    manifest: Path
    workspace: Path
    options: tuple[str, ...] = ("--no-prefect",)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, *, code: str = "") -> subprocess.Popen[bytes]:
        """Start the build, in a session of its own; `code` runs in it first."""
        config = self.workspace.with_suffix(".toml")
        config.write_text(CONFIG)
        arguments = ["build", "-i", str(self.manifest), "-w", str(self.workspace)]
        arguments += ["-c", str(config), "--json", *self.options]
        return start(arguments, self.mark, code)

    def run(self) -> dict[str, Any]:
        """Run the build to its end and return its report."""
        out, err = self.start().communicate(timeout=400)
        assert out, err.decode()
        report: dict[str, Any] = json.loads(out)
        return report

    def living(self) -> dict[int, str]:
        """Processes that belong to the build, with their command lines."""
        return living(self.mark)

    def wait_until_alone(self, limit_s: float = 40.0) -> None:
        """Wait until nothing of the build runs any more."""
        deadline = time.monotonic() + limit_s
        while left := self.living():
            assert time.monotonic() < deadline, f"still there after {limit_s} s: {left}"
            time.sleep(0.2)


def start(arguments: list[str], mark: str, code: str = "") -> subprocess.Popen[bytes]:
    """Start the command line in a marked session of its own; `code` runs in it first."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    script = f"{code}\nimport sys\nfrom earshot.cli import main\nsys.argv[0] = 'earshot'\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**env, MARK: mark}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def living(mark: str) -> dict[int, str]:
    """Processes whose environment has a mark, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(folder.name)] = line
        except OSError:
            continue
    return found


def kill(build: subprocess.Popen[bytes], *, group: bool) -> None:
    """SIGKILL a build: its whole group, or the parent alone."""
    (os.killpg if group else os.kill)(build.pid, signal.SIGKILL)
    build.communicate()


def content(workspace: Path) -> dict[str, Any]:
    """All current rows of the latest build, in every column, and what became of each item."""
    session = open_session(Workspace.open(workspace))
    found: dict[str, Any] = {k.TABLE: session.snapshot.table(k).to_pylist() for k in KINDS}
    columns = ["stage", "item_kind", "item_id", "status", "reason_code", "message", "value"]
    for stage in session.snapshot.stages:
        ledger = session.snapshot.ledger(stage, sorted(session.snapshot.entries))
        found[f"ledger {stage}"] = sorted(
            ledger.select(columns).to_pylist(), key=lambda row: (row["item_kind"], row["item_id"])
        )
    return found


def releases(workspace: Path) -> dict[str, str]:
    """What stands under releases/: content digest of each version, and whatever else there is."""
    found = {}
    for entry in sorted((workspace / "releases").iterdir()):
        manifest = entry / "manifest.json"
        found[entry.name] = (
            json.loads(manifest.read_text())["content_digest"] if manifest.exists() else ""
        )
    return found


def states(workspace: Path) -> list[dict[str, Any]]:
    """Every state that was ever committed."""
    place = Workspace.open(workspace)
    rows = []
    for stage in STAGES:
        for part in list_parts(place, stage.name):
            table = part.read("states")
            assert table is not None
            rows += table.to_pylist()
    return rows


def check_nothing_ran_twice(workspace: Path) -> None:
    """Each video was committed once in each stage, at the first attempt, as states and logs say."""
    committed = Counter((row["stage"], row["video_id"], row["key"]) for row in states(workspace))
    assert set(committed.values()) == {1}, committed.most_common(3)
    assert {row["attempts"] for row in states(workspace)} == {1}
    lines = [
        json.loads(line)
        for log in (workspace / "logs").glob("*.jsonl")
        for line in log.read_text().splitlines()
    ]
    done = Counter((r["stage"], r["video_id"]) for r in lines if r["event"] == "video_done")
    assert max(done.values()) == 1, done.most_common(3)
    assert list((workspace / "leases").iterdir()) == []


def check_no_leftovers(workspace: Path) -> None:
    """No half part, no folder of a publication, no temporary file of a stage is left."""
    assert list((workspace / "stages").rglob(".*")) == []
    assert list((workspace / "releases").glob(".*")) == []
