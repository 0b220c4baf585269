"""The flows on a real server: a build through Prefect, its history, and deployments on a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from earshot.flows.api import post
from earshot.flows.history import list_flow_runs, read_flow_runs
from earshot.flows.server import workspace_server
from earshot.flows.setup_server import FLOWS
from earshot.media.sample_world import write_sample_world
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import run_build
from tests.flows.calls import clean_environment, environment_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"release": {"allow_empty": True}, "run": {"batch_size": 1, "track_batch_size": 1}}

pytestmark = pytest.mark.flows


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sample videos."""
    return write_sample_world(tmp_path_factory.mktemp("world"), 2, 3).manifest


def earshot(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `earshot` in a process of its own, without a server named by the environment."""
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True, text=True, env=clean_environment(), timeout=400, check=False,
    )  # fmt: skip


def test_build_leaves_every_task_run_in_its_history(manifest: Path, tmp_path: Path) -> None:
    """A build needs no running server, and its history opens again with all task runs."""
    config = tmp_path / "c.toml"
    config.write_text(
        "[run]\nbatch_size = 1\ntrack_batch_size = 1\n[release]\nallow_empty = true\n"
    )
    workspace = tmp_path / "w"
    options = ("-i", str(manifest), "-w", str(workspace), "-c", str(config), "--json")
    done = earshot("build", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    log = Path(report["log"]).read_text().splitlines()
    committed = [json.loads(line) for line in log if '"part_committed"' in line]
    assert not (workspace / "prefect" / "server.pid").exists()
    runs = {run.flow: run for run in list_flow_runs(workspace)}
    assert set(runs) == {
        "build-dataset", "annotate-videos", "annotate-shard", "collect-inspections",
        "publish-release",
    }  # fmt: skip
    assert {run.state for run in runs.values()} == {"Completed"}
    assert sum(run.task_runs for run in runs.values()) == len(committed) == 16
    assert earshot("history", "-w", str(workspace), "--list").stdout.count("Completed") == 5

    again = earshot("build", *options)
    assert json.loads(again.stdout)["was_fresh"]
    assert "starting the Prefect server" not in again.stderr


def test_prefect_and_the_plain_loop_make_the_same_rows(manifest: Path, tmp_path: Path) -> None:
    """Orchestration is apart from logic: both ways the questions and tubes are equal."""
    from earshot.schemas.question import Question
    from earshot.schemas.tube import Tube
    from earshot.store.workspace import Workspace
    from earshot.tasks.pipeline import open_session

    config = tmp_path / "c.toml"
    config.write_text("[release]\nallow_empty = true\n")
    for name, option in (("a", "--no-prefect"), ("b", "--no-release")):
        done = earshot(
            "build", "-i", str(manifest), "-w", str(tmp_path / name), "-c", str(config), option
        )
        assert done.returncode == 0, done.stderr
    one, other = (open_session(Workspace.open(tmp_path / name)).snapshot for name in "ab")
    for kind in (Tube, Question):
        assert one.table(kind).equals(other.table(kind))


def test_deployments_run_on_a_worker(manifest: Path, tmp_path: Path) -> None:
    """`prefect deploy --all` registers every flow, and a process worker runs one to its end."""
    workspace = tmp_path / "w"
    with workspace_server(tmp_path / "server") as url:
        env = environment_of(tmp_path / "server", url)

        def prefect(*arguments: str, cwd: Path) -> None:
            done = subprocess.run(
                [str(Path(sys.executable).with_name("prefect")), *arguments],
                cwd=cwd, env=env, text=True, capture_output=True,
                stdin=subprocess.DEVNULL, timeout=400, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr

        for pool in ("earshot-cpu", "earshot-gpu"):
            prefect("--no-prompt", "work-pool", "create", pool, "--type", "process", cwd=ROOT)
        prefect("--no-prompt", "deploy", "--all", cwd=ROOT)
        deployed = json.loads(post(url, "/deployments/filter", {}))
        # A shard is a part of a run of annotate-videos: nobody starts one alone.
        entrypoints = {one["entrypoint"].split(":")[1] for one in deployed}
        assert entrypoints | {"annotate_shard"} == {name.replace("-", "_") for name in FLOWS}
        request = {"workspace": str(workspace), "input": str(manifest), "config": CONFIG}
        prefect(
            "deployment", "run", "build-dataset/default", "-p", f"request={json.dumps(request)}",
            cwd=tmp_path,
        )  # fmt: skip
        prefect(
            "worker", "start", "--pool", "earshot-cpu", "--type", "process", "--run-once",
            cwd=tmp_path,
        )  # fmt: skip
        states = {run.flow: run.state for run in read_flow_runs(url)}
    assert states["build-dataset"] == "Completed"
    assert states["publish-release"] == "Completed"
    report = run_build(BuildRequest(workspace=str(workspace)))
    assert report.was_fresh
