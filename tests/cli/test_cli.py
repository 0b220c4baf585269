"""The command line as a user types it: exit codes, messages, JSON, quick help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from earshot.cli import build, grpo, score
from earshot.cli.show import print_quarantine
from earshot.schemas.config import LlmConfig
from earshot.schemas.training import ExportConfig
from earshot.tasks.score_answers.record import ScoreReport


def earshot(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `earshot` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=300, check=False,
    )  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    """`earshot --help` pays for neither Prefect nor pandas nor matplotlib."""
    script = (
        "import sys\n"
        "sys.argv = ['earshot', '--help']\n"
        "from earshot.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'prefect', 'pandas', 'matplotlib', 'pyarrow', 'av', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "quarantine" in done.stdout


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    """A missing manifest ends with exit code 2, a message with the remedy and no traceback."""
    done = earshot("plan", "-i", str(tmp_path / "none.jsonl"), "-w", str(tmp_path / "w"))
    assert done.returncode == 2
    assert "none.jsonl' is not there: check the path" in done.stderr
    assert "Traceback" not in done.stderr
    shown = earshot("--debug", "plan", "-i", str(tmp_path / "no.jsonl"), "-w", str(tmp_path / "w"))
    assert "Traceback" in shown.stderr


def test_a_stopped_command_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """^C while rollouts are read, whose pipe opens when they are: code 130, one line, no file."""
    os.mkfifo(tmp_path / "rollouts.jsonl")
    out = tmp_path / "d.parquet"
    call = ["grpo", "difficulty", str(tmp_path / "rollouts.jsonl"), "--out", str(out)]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "earshot.cli", *call],
            stderr=subprocess.PIPE,
            text=True,
            # A background job of a shell is born deaf to ^C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as running,
        (tmp_path / "rollouts.jsonl").open("w"),
    ):
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.startswith("stopped; run the same command again")
    assert "Traceback" not in said
    assert not out.exists()


def test_thirty_quarantined_items_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """Each message is said once, and every item is one line with the value that was wrong."""

    def row(stage: str, item: str, code: str, value: str | None, message: str) -> dict[str, object]:
        kind = "caption" if "/" in item else "video"
        return {"stage": stage, "item_kind": kind, "item_id": item, "reason_code": code,
                "value": value, "message": message}  # fmt: skip

    said = "s: expected start < end [traceback: quarantine"
    reversed_times = [
        row("captions", f"v{n}/c0", "reversed_time", f"[{n}, 0]", f"[{n}, 0] {said}/{n}.txt]")
        for n in range(1, 30)
    ]
    folder = row("probe", "far", "not_found", "/in", "/in is a folder; expected a video file")
    print_quarantine([*reversed_times, folder])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "captions: 29 captions reversed_time",
        "  ... s: expected start < end",
        "    v1/c0   [1, 0]",
    ]
    assert lines[31:] == [
        "probe: 1 video not_found",
        "  far  /in is a folder; expected a video file",
        "`--json` has every message whole, and where its traceback lies",
    ]


def test_plan_leaves_nothing_where_no_workspace_is(tmp_path: Path) -> None:
    """A question makes no workspace, neither with a good manifest nor with one that is missing."""
    manifest, workspace = tmp_path / "m.jsonl", tmp_path / "w"
    for missing in (True, False):
        done = earshot("plan", "-i", str(manifest), "-w", str(workspace))
        assert (done.returncode, workspace.exists()) == (2 if missing else 0, False), done.stderr
        manifest.write_text('{"video_id": "a", "uri": "a.mp4"}\n')
    assert "probe" in done.stdout
    workspace.mkdir()
    earshot("plan", "-i", str(manifest), "-w", str(workspace))
    assert list(workspace.iterdir()) == []


def test_history_without_a_build_says_so(tmp_path: Path) -> None:
    """A workspace that no Prefect build has used says so, and starts no server for it."""
    assert earshot("init", str(tmp_path / "w")).returncode == 0
    done = earshot("history", "-w", str(tmp_path / "w"))
    assert done.returncode == 2
    assert "has no Prefect history" in done.stderr
    assert not (tmp_path / "w" / "prefect").exists()


def test_init_writes_a_config_that_check_accepts(tmp_path: Path) -> None:
    """The file that `init` writes is complete, and a changed value is said."""
    assert earshot("init", str(tmp_path / "w")).returncode == 0
    config = tmp_path / "w" / "config.toml"
    assert earshot("config", "check", str(config)).returncode == 0
    config.write_text(config.read_text().replace("max_events = 3", "max_events = 5"))
    done = earshot("config", "check", str(config))
    assert "filter.max_events = 5  (default 3)" in done.stdout


def test_config_errors_name_the_field(tmp_path: Path) -> None:
    """A misspelt field is answered with the near one, a wrong value with what was expected."""
    config = tmp_path / "c.toml"
    config.write_text("[filter]\nmax_event = 2\nmin_event_share = 3.0\n")
    done = earshot("config", "check", str(config))
    assert done.returncode == 2
    assert "filter.max_event: no such field (did you mean 'max_events'?)" in done.stderr
    assert "filter.min_event_share = 3.0: Input should be less than or equal to 1" in done.stderr


def test_config_check_refuses_a_pack_that_a_build_would_refuse(tmp_path: Path) -> None:
    """A template pack that is not there is not "fine"."""
    config = tmp_path / "c.toml"
    config.write_text('[questions]\npack = "nope"\n')
    done = earshot("config", "check", str(config))
    assert done.returncode == 2
    assert "questions.pack 'nope': expected one of earshot, r-avst" in done.stderr


def test_doctor_finds_what_the_core_needs() -> None:
    """Everything that the core needs is there after the installation."""
    done = earshot("doctor")
    assert done.returncode == 0, done.stdout
    assert "libx264" in done.stdout


def test_doctor_names_the_weights_that_the_configuration_needs(tmp_path: Path) -> None:
    """A model that is not here is missing only where the tracker that needs it is chosen."""
    config = tmp_path / "c.toml"
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    settings = f'detector = "nobody/nothing"\nsegmenter = "{tmp_path}"\n'
    config.write_text(f'[track]\nbackend = "grounded_sam2"\n{settings}')
    done = earshot("doctor", "--config", str(config))
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(" track.")]
    rows = {words[0]: words for words in lines}
    assert "missing" in rows["track.detector"]
    assert "ok" in rows["track.segmenter"]
    assert (
        "track.detector: not on this machine; run `hf download nobody/nothing`, or set "
        "track.detector to a folder"
    ) in done.stdout.splitlines()
    config.write_text(f"[track]\n{settings}")
    assert earshot("doctor", "--config", str(config)).returncode == 0


def test_only_models_are_calibrated() -> None:
    """A tracker without models says that there is nothing to measure, and which have."""
    done = earshot("doctor", "--calibrate")
    assert done.returncode == 2
    assert "expected grounded_sam2 or grounded_sam2_original" in done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sample world and a workspace that was built from it in a plain loop."""
    root = tmp_path_factory.mktemp("cli")
    done = earshot("sample", "--out", str(root / "sample"), "--videos", "3")
    assert done.returncode == 0, done.stderr
    manifest, workspace = root / "sample/input/manifest.jsonl", root / "w"
    with manifest.open("a") as file:
        file.write('{"video_id": "gone", "uri": "videos/gone.mp4", "captions": []}\n')
        file.write("no json\n")
    config = root / "c.toml"
    config.write_text("[run]\nfailure_share = 0.5\n[release]\nallow_empty = true\n")
    done = earshot(
        "build", "-i", str(manifest), "-w", str(workspace), "-c", str(config), "--no-prefect"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "probe" in done.stdout
    return manifest, workspace


def test_status_json_adds_up(built: tuple[Path, Path]) -> None:
    """The JSON of status has one row a stage and item kind, and each adds up."""
    done = earshot("status", "-w", str(built[1]), "--json")
    rows = json.loads(done.stdout)["stages"]
    names = ["manifest", "probe", "captions", "filter", "analyse", "objects", "track", "inspect"]
    assert [row["stage"] for row in rows if row["item_kind"] == "video"][:8] == names
    for row in rows:
        parts = ("done", "filtered", "rejected", "quarantined", "waiting")
        assert row["in"] == sum(row[part] for part in parts), row
    probe = next(row for row in rows if row["stage"] == "probe")
    assert (probe["in"], probe["reasons"]) == (4, {"not_found": 1})


def test_quarantine_lists_retries_and_drops(built: tuple[Path, Path]) -> None:
    """The missing video and the bad line are listed; a dropped video is no fault any more."""
    workspace = str(built[1])
    listed = json.loads(earshot("quarantine", "list", "-w", workspace, "--json").stdout)["items"]
    assert {(row["item_id"], row["reason_code"]) for row in listed} == {
        ("line 5", "bad_entry"),
        ("gone", "not_found"),
    }
    unknown = earshot("quarantine", "retry", "nobody", "-w", workspace)
    assert unknown.returncode == 2
    assert "'nobody' is not in quarantine" in unknown.stderr
    assert "1 left out" in earshot("quarantine", "drop", "gone", "-w", workspace).stdout
    rows = json.loads(earshot("status", "-w", workspace, "--json").stdout)["stages"]
    probe = next(row for row in rows if row["stage"] == "probe")
    assert (probe["quarantined"], probe["reasons"]) == (0, {"dropped": 1})


def test_plan_after_a_build_has_nothing_to_do(built: tuple[Path, Path]) -> None:
    """The same command finds everything fresh; a changed setting makes its stage stale."""
    manifest, workspace = map(str, built)
    config = str(built[1].parent / "c.toml")
    done = earshot("plan", "-i", manifest, "-w", workspace, "-c", config)
    assert "nothing to do but to publish" in done.stdout
    done = earshot("plan", "-i", manifest, "-w", workspace, "-c", config, "--to", "questions")
    assert "nothing to do\n" in done.stdout
    other = built[1].parent / "d.toml"
    other.write_text("[objects]\nmax_objects_per_event = 1\n")
    plans = json.loads(
        earshot("plan", "-i", manifest, "-w", workspace, "-c", str(other), "--json").stdout
    )["stages"]
    stale = {one["stage"]: one["stale"] for one in plans if one["stale"]}
    assert list(stale) == ["objects"]
    assert set(stale["objects"]) == {"config"}


def test_unknown_stage_and_item_are_told(built: tuple[Path, Path]) -> None:
    """--only and --items name what was expected."""
    manifest, workspace = map(str, built)
    done = earshot("build", "-i", manifest, "-w", workspace, "--only", "tarck", "--no-prefect")
    assert done.returncode == 2
    assert "expected one of probe, captions" in done.stderr
    done = earshot("build", "-i", manifest, "-w", workspace, "--items", "x", "--no-prefect")
    assert done.returncode == 2
    assert "'x' is not in the manifest" in done.stderr


@pytest.mark.parametrize("given", ["", ","])
def test_items_without_an_id_are_not_all_items(built: tuple[Path, Path], given: str) -> None:
    """A script's empty variable behind --items is refused: it does not mean every video."""
    manifest, workspace = map(str, built)
    for command in (["plan", "-i", manifest], ["build", "-i", manifest], ["sheet"]):
        done = earshot(*command, "-w", workspace, "--items", given)
        assert done.returncode == 2, done.stdout
        assert f"--items {given!r} names nothing: give ids" in done.stderr


def test_a_lost_input_comes_back_with_the_next_build(built: tuple[Path, Path]) -> None:
    """What a build kept of the manifest, damaged or lost, is written again by the same command."""
    manifest, workspace = map(str, built)
    for damage in (
        Path.unlink,
        lambda file: file.write_bytes(b"PAR1"),
        lambda f: f.write_text("[{}]"),
    ):
        for file in (built[1] / "inputs").iterdir():
            damage(file)
        assert "build again with --input" in earshot("status", "-w", workspace).stderr
        config = str(built[1].parent / "c.toml")
        command = ["build", "-i", manifest, "-w", workspace, "-c", config, "--no-prefect"]
        done = earshot(*command, "--no-release")
        assert done.returncode == 0, done.stderr
        assert earshot("status", "-w", workspace).returncode == 0


def test_run_logs_are_json_lines(built: tuple[Path, Path]) -> None:
    """Each run leaves a log of JSON lines in the workspace."""
    logs = sorted((built[1] / "logs").glob("*.jsonl"))
    events = [json.loads(line)["event"] for line in logs[0].read_text().splitlines()]
    assert events[-1] == "run_finished"
    assert "stage_started" in events


def test_square_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Paths, captions and remedies keep their brackets: nothing in them is read as a style."""
    from rich.table import Table

    from earshot.cli import show

    said = "pip install 'earshot[vision]', [/data/a.mp4], [bold]"
    table = Table("what")
    table.add_row(said)
    show.console.print(said, soft_wrap=True)
    show.console.print(table, soft_wrap=True)
    assert capsys.readouterr().out.count(said) == 2


@pytest.mark.parametrize(
    ("choices", "record", "field"),
    [
        (grpo.Dialect, ExportConfig, "dialect"),
        (grpo.Profile, ExportConfig, "profile"),
        (grpo.Objective, ExportConfig, "objective"),
        (grpo.Fault, ExportConfig, "on_fault"),
        (grpo.Budget, ExportConfig, "over_budget"),
        (grpo.Variance, ExportConfig, "zero_variance"),
        (build.LlmMode, LlmConfig, "mode"),
        (score.SplitName, ScoreReport, "split"),
        (score.Mode, ScoreReport, "mode"),
    ],
)
def test_options_offer_what_the_records_take(choices: Any, record: Any, field: str) -> None:
    """The choices are written again, since importing the records would make `--help` slow."""
    assert get_args(choices) == get_args(record.model_fields[field].annotation)
