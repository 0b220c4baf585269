"""The store end to end on toy stages: keys, parts, ledger, plan, quarantine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.errors import InputError, ReconcileError, WorkspaceError
from earshot.schemas.base import sha256_hex
from earshot.schemas.caption import Caption
from earshot.schemas.config import CaptionsConfig, Config, FilterConfig
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.ledger import StageCount, count_stages, reconcile
from earshot.store.parts import list_parts
from earshot.store.plan import Selection, plan, shard_of
from earshot.store.quarantine import Decision, decide
from earshot.store.rows import Rows
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Estimate, Reads, StageInput
from earshot.store.workspace import Workspace
from tests.store.toy import ToyCaptions, ToyFilter, ToyProbe, run_all, toy_entry, toy_snapshot


def statuses(snapshot: Snapshot, kind: str = "video") -> dict[str, dict[str, int]]:
    """Counts by status of each stage."""
    return {c.stage: c.by_status for c in count_stages(snapshot) if c.item_kind == kind}


def test_good_input_goes_on_beside_bad(tmp_path: Path) -> None:
    """A raise, a fault and a missing result stop three videos; the fourth reaches the end."""
    entries = [
        toy_entry("a"),
        toy_entry("b", "raise:x"),
        toy_entry("c", "bad:x"),
        toy_entry("d", "none:x"),
    ]
    snapshot = toy_snapshot(tmp_path / "w", entries)
    run_all(snapshot)
    counts = count_stages(snapshot)
    reconcile(counts)
    assert statuses(snapshot)["probe"] == {"done": 1, "quarantined": 3}
    assert counts[0].reasons == {"stage_error": 1, "unreadable": 1, "wrong_results": 1}
    assert statuses(snapshot)["filter"] == {"done": 1}
    rows = snapshot.ledger("probe", ["b"]).to_pylist()
    assert "RuntimeError: cannot do raise:x" in rows[0]["message"]
    file = rows[0]["message"].partition("[traceback: ")[2].rstrip("]")
    assert "RuntimeError" in (tmp_path / "w" / file).read_text()


def test_second_run_does_nothing(tmp_path: Path) -> None:
    """What is fresh is not computed again, also by a process that opens the folder anew."""
    entries = [toy_entry("a"), toy_entry("b")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    again = toy_snapshot(tmp_path / "w", entries)
    assert run_all(again) == []
    assert [one.fresh for one in plan(again, Selection())] == [2, 2, 2]


def test_same_things_are_the_same_build(tmp_path: Path) -> None:
    """A command run again goes on with its build; another config is another build."""
    entries = [toy_entry("a")]
    first = toy_snapshot(tmp_path / "w", entries).build
    assert toy_snapshot(tmp_path / "w", entries).build == first
    other = toy_snapshot(tmp_path / "w", entries, Config(filter=FilterConfig(max_events=1))).build
    assert other.build_id != first.build_id


def test_only_declared_fields_make_stale(tmp_path: Path) -> None:
    """A licence that no stage hashes changes nothing; a caption makes its own video stale."""
    entries = [toy_entry("a"), toy_entry("b")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    licensed = [entry.model_copy(update={"licence": "CC0-1.0"}) for entry in entries]
    assert all(one.fresh == 2 for one in plan(toy_snapshot(tmp_path / "w", licensed), Selection()))
    changed = [toy_entry("a", text="A cat meows."), entries[1]]
    plans = plan(toy_snapshot(tmp_path / "w", changed), Selection())
    assert plans[0].fresh == 2
    assert plans[1].stale == {"input": 1}
    assert plans[1].todo == ("a",)
    assert plans[2].behind == 1


def test_config_makes_its_own_stage_stale(tmp_path: Path) -> None:
    """A changed field makes stale the stage whose section it stands in, and says config."""
    entries = [toy_entry("a")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    config = Config(captions=CaptionsConfig(tolerance_s=1.0))
    plans = plan(toy_snapshot(tmp_path / "w", entries, config), Selection())
    assert [one.fresh for one in plans] == [1, 0, 0]
    assert plans[1].stale == {"config": 1}


def test_unchanged_output_stops_the_chain(tmp_path: Path) -> None:
    """A stage that gives the same rows again leaves what depends on it fresh."""
    entries = [toy_entry("a")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    config = Config(captions=CaptionsConfig(tolerance_s=1.0))
    receipts = run_all(toy_snapshot(tmp_path / "w", entries, config))
    assert [receipt.stage for receipt in receipts] == ["captions"]


def _written_without(workspace: Path, column: str) -> None:
    """Make the video table of `workspace` what a version without `column` would have written."""
    for file in workspace.glob("stages/probe/*/videos.parquet"):
        pq.write_table(pq.read_table(file).drop_columns([column]), file)
        manifest = file.with_name("part.json")
        said = json.loads(manifest.read_text())
        said["files"][file.name]["sha256"] = sha256_hex(file.read_bytes())
        manifest.write_text(json.dumps(said))


def test_a_column_that_came_later_is_null_in_what_was_written_before(tmp_path: Path) -> None:
    """Rows of an older version are read; one without what may not be null says who can read it."""
    entries = [toy_entry("a")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    _written_without(tmp_path / "w", "licence")
    snapshot = toy_snapshot(tmp_path / "w", entries)
    assert Rows(snapshot).records(Video, ["a"])["a"][0].licence is None
    assert snapshot.table(Video, ["a"]).column("licence").to_pylist() == [None]
    _written_without(tmp_path / "w", "fps")
    with pytest.raises(WorkspaceError, match=r"no column 'fps' in videos.*--only probe --force"):
        Rows(toy_snapshot(tmp_path / "w", entries)).records(Video, ["a"])


def test_going_back_finds_the_old_rows(tmp_path: Path) -> None:
    """Rows of an earlier config are still there when the config is set back."""
    entries = [toy_entry("a")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    run_all(toy_snapshot(tmp_path / "w", [toy_entry("a", text="A short one.")]))
    back = toy_snapshot(tmp_path / "w", entries)
    assert run_all(back) == []
    assert back.table(Caption).column("text").to_pylist() == ["A dog barks."]


def test_a_version_makes_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new stage version makes its videos stale and says code."""
    entries = [toy_entry("a")]
    run_all(toy_snapshot(tmp_path / "w", entries))
    monkeypatch.setattr(ToyCaptions, "version", "2")
    plans = plan(toy_snapshot(tmp_path / "w", entries), Selection())
    assert plans[1].stale == {"code": 1}


def test_filtered_videos_go_no_further_and_are_no_fault(tmp_path: Path) -> None:
    """A rule's rejection is counted as filtered with its reason."""
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a", text="A short one.")])
    run_all(snapshot)
    count = next(c for c in count_stages(snapshot) if c.stage == "filter")
    assert (count.by_status, count.reasons) == ({"filtered": 1}, {"too_short": 1})


def test_undeclared_fields_cannot_be_read(tmp_path: Path) -> None:
    """A stage that reads what its key does not know gets an error, not a value."""
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a")])
    run_all(snapshot)
    given = snapshot.inputs(snapshot.stages["captions"], ["a"])["a"]
    assert given.one(Video).duration_s == 10.0
    with pytest.raises(AttributeError):
        _ = given.one(Video).width


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "manifest"])
def test_a_damaged_part_is_a_miss(tmp_path: Path, damage: str) -> None:
    """A truncated, altered or incomplete part counts as not there and is computed again."""
    entries = [toy_entry("a"), toy_entry("b")]
    snapshot = toy_snapshot(tmp_path / "w", entries)
    run_all(snapshot)
    before = snapshot.table(Caption)
    (part,) = list_parts(snapshot.workspace, "captions")
    file = part.path / "captions.parquet"
    data = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif damage == "delete":
        file.unlink()
    else:
        (part.path / "part.json").write_text("{")
    # Another process, as checks of immutable parts are remembered in one.
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tests.store.toy import *\n"
        "s = toy_snapshot(Path(sys.argv[1]), [toy_entry('a'), toy_entry('b')])\n"
        "print([r.stage for r in run_all(s)])\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "w"), str(root)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "captions" in done.stdout
    assert str(part.path) in done.stderr
    shutil.rmtree(part.path)
    assert toy_snapshot(tmp_path / "w", entries).table(Caption).equals(before)


def test_keys_do_not_depend_on_the_process(tmp_path: Path) -> None:
    """Another PYTHONHASHSEED and another folder give the same keys."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tests.store.toy import *\n"
        "s = toy_snapshot(Path(sys.argv[1]), [toy_entry('a'), toy_entry('b')])\n"
        "run_all(s)\n"
        "print({n: s.keys(n, ['a', 'b'])['a'].key for n in s.stages})\n"
    )
    root = Path(__file__).parents[2]
    keys = set()
    for seed in ("0", "1"):
        keys.add(
            subprocess.run(
                [sys.executable, "-c", script, str(tmp_path / seed), str(root)],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True, text=True, check=True,
            ).stdout
        )  # fmt: skip
    assert len(keys) == 1


def test_transient_faults_are_tried_again_and_not_for_ever(tmp_path: Path) -> None:
    """A fault that may be gone is tried in the next runs, up to run.max_attempts times."""
    entries = [toy_entry("a", "raise:x")]
    for run in range(5):
        ToyProbe.ran.clear()
        snapshot = toy_snapshot(tmp_path / "w", entries)
        run_all(snapshot, run_id=f"run{run}")
        assert bool(ToyProbe.ran) == (run < 3)
    found = snapshot.latest("probe", "a")
    assert found is not None
    assert found.state.attempts == 3


def test_quarantine_retry_and_drop(tmp_path: Path) -> None:
    """Retry computes exactly that video again; drop takes it out of the faults."""
    entries = [toy_entry("a", "bad:x"), toy_entry("b")]
    snapshot = toy_snapshot(tmp_path / "w", entries)
    run_all(snapshot)
    assert run_all(snapshot, run_id="later") == []
    found = snapshot.latest("probe", "a")
    assert found is not None
    decide(snapshot.workspace, Decision("retry", "probe", "a", found.state.key, 1))
    receipts = run_all(snapshot, run_id="retry")
    assert [receipt.counts for receipt in receipts] == [{"quarantined": 1}]
    found = snapshot.latest("probe", "a")
    assert found is not None
    assert found.state.attempts == 2
    decide(snapshot.workspace, Decision("drop", "probe", "a", found.state.key, 2))
    snapshot.refresh()
    counts = count_stages(snapshot)
    reconcile(counts)
    assert counts[0].by_status == {"filtered": 1, "done": 1}
    assert counts[0].reasons == {"dropped": 1}


def test_force_computes_again_once_a_run(tmp_path: Path) -> None:
    """--force computes fresh videos again, and a run that goes on does not do it twice."""
    entries = [toy_entry("a")]
    snapshot = toy_snapshot(tmp_path / "w", entries)
    run_all(snapshot)
    forced = Selection(force=frozenset({"captions"}), run_id="f")
    assert [r.stage for r in run_all(snapshot, forced, "f")] == ["captions"]
    assert run_all(snapshot, forced, "f") == []


def test_a_large_estimate_rests_on_a_sample_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where much is to be done, the input of some videos is read, and what they cost scaled up."""
    asked: list[int] = []

    def estimate(_stage: ToyFilter, batch: Sequence[StageInput]) -> Estimate:
        asked.append(len(batch))
        return Estimate(frames=10 * len(batch), gpu_s=0.5 * len(batch), basis="10 frames each")

    monkeypatch.setattr(ToyFilter, "estimate", estimate)
    monkeypatch.setattr("earshot.store.plan._ASKED", 4)
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry(f"v{at}") for at in range(9)])
    run_all(snapshot)
    asked.clear()  # in that run too
    (one,) = plan(snapshot, Selection(only="filter", force=frozenset({"filter"})))
    assert asked == [4]
    assert (one.cost.frames, one.cost.gpu_s) == (90, 4.5)
    assert one.cost.basis == "estimated from 4 of 9 videos; 10 frames each"
    few = Selection(only="filter", force=frozenset({"filter"}), videos=frozenset({"v1", "v2"}))
    (one,) = plan(snapshot, few)
    assert (one.cost.frames, one.cost.basis) == (20, "10 frames each")


def test_selection_refuses_unknown_names(tmp_path: Path) -> None:
    """Unknown stages and videos, and contradicting ranges, are told with what was expected."""
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a")])
    stages, videos = snapshot.stages, snapshot.entries
    with pytest.raises(InputError, match="expected one of probe, captions, filter"):
        Selection(start="tarck").check(stages, videos)
    with pytest.raises(InputError, match="'z' is not in the manifest"):
        Selection(videos=frozenset({"z"})).check(stages, videos)
    with pytest.raises(InputError, match="comes after"):
        Selection(start="filter", end="probe").check(stages, videos)
    with pytest.raises(InputError, match="stands alone"):
        Selection(only="probe", end="probe").check(stages, videos)


def test_a_range_leaves_the_rest_alone(tmp_path: Path) -> None:
    """--to and --items compute what they name and nothing else."""
    entries = [toy_entry("a"), toy_entry("b")]
    snapshot = toy_snapshot(tmp_path / "w", entries)
    plans = plan(snapshot, Selection(end="captions", videos=frozenset({"a"})))
    assert [(one.stage, one.todo) for one in plans] == [("probe", ("a",)), ("captions", ())]


def test_reconcile_names_the_stage_that_does_not_add_up() -> None:
    """A count that does not add up is an error with stage and numbers."""
    good = StageCount("probe", "video", 2, {"done": 1, "filtered": 1})
    bad = StageCount("track", "object", 3, {"done": 2})
    reconcile([good])
    with pytest.raises(ReconcileError, match="track/object: in 3"):
        reconcile([good, bad])


def test_a_foreign_folder_is_no_workspace(tmp_path: Path) -> None:
    """A folder with other files is refused, a missing one is told how to make it."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="not empty"):
        Workspace.open(tmp_path, create=True)
    with pytest.raises(WorkspaceError, match="earshot init"):
        Workspace.open(tmp_path / "none")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\x00"])
def test_a_damaged_marker_is_told(tmp_path: Path, content: str) -> None:
    """A workspace.json that holds something else is named, with what it should hold."""
    Workspace.open(tmp_path / "w", create=True)
    (tmp_path / "w" / "workspace.json").write_text(content)
    with pytest.raises(
        WorkspaceError, match=r'workspace.json is damaged .* expected {"format": 1}'
    ):
        Workspace.open(tmp_path / "w", create=True)


def test_a_part_that_fails_to_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk gives one clear error, no part, and the same command completes later."""
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a")])
    calls = []

    def full(handle: int) -> None:
        calls.append(handle)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match="disk is full"):
            run_all(snapshot)
    assert calls
    assert list_parts(snapshot.workspace, "probe") == []
    assert [receipt.counts for receipt in run_all(snapshot)] == [{"done": 1}] * 3


def test_wrong_results_are_a_fault_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that are not accounted for stop the video, with what is missing."""
    monkeypatch.setattr(ToyCaptions, "items", lambda self, given: ("a/c0", "a/c1"))
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a")])
    run_all(snapshot)
    counts = [c for c in count_stages(snapshot) if c.stage == "captions"]
    reconcile(counts)
    assert [c.by_status for c in counts] == [{"quarantined": 1}, {"quarantined": 2}]
    message = snapshot.ledger("captions", ["a"]).column("message").to_pylist()[0]
    assert "missing ['a/c1']" in message


def test_shards_are_even() -> None:
    """Shards keep the order, lose nothing and differ by at most one in size."""
    videos = [str(n) for n in range(1001)]
    shards = shard_of(videos, 500)
    assert [len(shard) for shard in shards] == [333, 334, 334]
    assert [video for shard in shards for video in shard] == videos


def test_the_run_log_is_json_lines(tmp_path: Path) -> None:
    """Every video and every commit is a line of JSON with a time."""
    snapshot = toy_snapshot(tmp_path / "w", [toy_entry("a")])
    run_all(snapshot)
    lines = [json.loads(x) for x in (tmp_path / "w/logs/run.jsonl").read_text().splitlines()]
    assert [x["event"] for x in lines] == ["part_committed", "video_done"] * 3
    assert all("at" in x for x in lines)


def test_reads_name_real_fields() -> None:
    """A stage's declaration names fields that the record has."""
    for reads in (*ToyProbe.reads, *ToyCaptions.reads):
        assert isinstance(reads, Reads)
        assert {*reads.fields, *reads.beside} <= {*reads.kind.model_fields, "digest"}
        assert issubclass(reads.kind, ManifestEntry | Video | Caption)
