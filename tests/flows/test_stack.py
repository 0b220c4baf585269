"""A team's Prefect as in compose.yaml, on real PostgreSQL and Redis: what operators rely on."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from earshot.flows.api import post
from earshot.flows.settings import CLIENT_RETRIES, HEARTBEAT_S
from earshot.flows.setup_server import FLOWS
from earshot.media.sample_world import write_sample_world
from earshot.schemas.request import BuildRequest
from earshot.tasks.build import run_build
from tests.flows.stack import Stack, start_stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.flows, pytest.mark.slow]

SILENCE_S = 75
CONFIG = {"release": {"allow_empty": True}, "run": {"batch_size": 1, "track_batch_size": 1}}
GPU = "--pool earshot-gpu --type process --limit 1"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sample videos."""
    return write_sample_world(tmp_path_factory.mktemp("world"), 3, 3).manifest


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack, made ready by `earshot setup-server`; old runs are looked for each 5 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has another user
        often = {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "5"}
        with start_stack(Path(folder), **often) as started:
            setup(started, Path(folder))
            yield started


def setup(stack: Stack, collect: Path) -> str:
    """Run `earshot setup-server`."""
    options = ("--silence-s", str(SILENCE_S), "--collect", str(collect))
    return stack.run("earshot", "setup-server", *options)


def ask(stack: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the server."""
    return json.loads(post(stack.api_url, path, body or {}))


def runs(stack: Stack, *ids: str) -> list[dict[str, Any]]:
    """Flow runs, all or some."""
    chosen = {"flow_runs": {"id": {"any_": list(ids)}}} if ids else {}
    found: list[dict[str, Any]] = ask(stack, "/flow_runs/filter", chosen)
    return found


def submit(stack: Stack, deployment: str, request: dict[str, Any]) -> str:
    """Run a deployment as a user does; returns the flow run's id."""
    parameter = f"request={json.dumps(request)}"
    said = stack.run("prefect", "deployment", "run", deployment, "-p", parameter)
    return re.findall(r"UUID: (\S+)", said)[0]


def state(stack: Stack, run_id: str) -> str:
    """The state of a flow run."""
    (run,) = runs(stack, run_id)
    return str(run["state_name"])


def ended(stack: Stack, *ids: str) -> bool:
    """Whether flow runs are over."""
    return all(run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for run in runs(stack, *ids))


def test_a_deployment_runs_and_shows_what_it_made(
    stack: Stack, manifest: Path, tmp_path: Path
) -> None:
    """Every run completes, every task run is recorded, and progress, counts and links are there."""
    request = {"workspace": str(tmp_path / "w"), "input": str(manifest), "config": CONFIG}
    before = {run["id"] for run in runs(stack)}
    with stack.worker():
        run_id = submit(stack, "build-dataset/default", request)
        wait_for(lambda: ended(stack, run_id), "the build")
    assert state(stack, run_id) == "Completed"
    own = [run["id"] for run in runs(stack) if run["id"] not in before and run["start_time"]]
    report = run_build(BuildRequest(workspace=str(tmp_path / "w")))
    assert report.was_fresh
    committed = sum(
        '"part_committed"' in line
        for log in (tmp_path / "w" / "logs").glob("*.jsonl")
        for line in log.read_text().splitlines()
    )
    completed = {"subflow_runs": {"exists_": False}, "state": {"type": {"any_": ["COMPLETED"]}}}
    body = {"task_runs": completed, "flow_runs": {"id": {"any_": own}}}
    wait_for(lambda: ask(stack, "/task_runs/count", body) == committed, "all task runs", 120)
    latest_first = ask(stack, "/artifacts/filter", {"sort": "CREATED_DESC"})
    shown = {one["key"]: one for one in reversed(latest_first)}
    assert {key: one["type"] for key, one in shown.items()} == {
        "progress": "progress", "stages": "table", "summary": "markdown", "release": "markdown",
    }  # fmt: skip
    assert shown["progress"]["data"] == 100.0
    assert json.loads(shown["stages"]["data"])[0]["stage"] == "manifest"
    assert str(manifest) in shown["summary"]["data"]
    assert f"{tmp_path}/w/releases/earshot-v1" in shown["release"]["data"]


def test_setting_up_again_makes_nothing_twice(stack: Stack) -> None:
    """Pools, deployments, automation and schedule are there once, the schedule with its request."""
    setup(stack, stack.folder)
    pools = {pool["name"]: pool for pool in ask(stack, "/work_pools/filter")}
    assert {"earshot-cpu", "earshot-gpu"} <= set(pools)
    deployments = ask(stack, "/deployments/filter")
    assert len(deployments) == 7
    for one in deployments:
        assert one["job_variables"]["env"] == {
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
            "PREFECT_CLIENT_MAX_RETRIES": str(CLIENT_RETRIES),
        }
    (automation,) = ask(stack, "/automations/filter")
    assert automation["enabled"]
    (collector,) = [one for one in deployments if one["schedules"]]
    (schedule,) = collector["schedules"]
    assert collector["entrypoint"].endswith(":collect_inspections")
    assert schedule["parameters"] == {"request": {"workspace": str(stack.folder)}}
    assert schedule["schedule"]["interval"] == 1800
    assert schedule["active"]
    chosen = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    wait_for(lambda: len(ask(stack, "/flow_runs/filter", chosen)) > 1, "scheduled runs", 240)
    stack.run("earshot", "setup-server", "--silence-s", "30", ok=False)


def test_every_flow_is_known_to_the_automation(stack: Stack) -> None:
    """Its filter names the flows that there are: a new one would never be called dead."""
    from importlib import import_module

    from prefect import Flow

    found = set()
    for path in (Path(__file__).resolve().parents[2] / "flows").glob("*.py"):
        module = import_module(f"earshot.flows.{path.stem}")
        found |= {one.name for one in vars(module).values() if isinstance(one, Flow)}
    assert found == set(FLOWS)


def test_a_machine_that_dies_leaves_crashed_runs_and_the_next_goes_on(
    stack: Stack, manifest: Path, tmp_path: Path
) -> None:
    """Worker and flow killed at once: the automation says so, and the same request completes."""
    request = {"workspace": str(tmp_path / "w"), "input": str(manifest), "config": CONFIG}
    before = {run["id"] for run in runs(stack)}
    with stack.worker() as worker:
        run_id = submit(stack, "build-dataset/default", request)
        wait_for(lambda: list((tmp_path / "w").glob("stages/probe/0*")), "the first part")
        killed = running_since(stack, before)
        for pid in descendants(worker.pid):
            os.kill(pid, signal.SIGKILL)
        worker.wait()
    at = time.monotonic()
    assert state(stack, run_id) == "Running"
    wait_for(lambda: ended(stack, *killed), "the automation", SILENCE_S + 90)
    assert time.monotonic() - at > SILENCE_S - 35
    for run in runs(stack, *killed):
        assert run["state_name"] == "Crashed"
        assert f"no heartbeat for {SILENCE_S} s" in run["state"]["message"]
    with stack.worker():
        again = submit(stack, "build-dataset/default", request)
        wait_for(lambda: ended(stack, again), "the build")
    assert state(stack, again) == "Completed"
    # Heartbeats of finished runs have stopped for long by now, and those stay as they were.
    time.sleep(SILENCE_S + 30)
    assert state(stack, again) == "Completed"


def running_since(stack: Stack, before: set[str]) -> list[str]:
    """The running flow runs that were not there before, once all three floors of them run."""

    def running() -> list[str]:
        new = [run for run in runs(stack) if run["id"] not in before]
        found = [run["id"] for run in new if run["state_name"] == "Running"]
        return found if len(found) == 3 else []

    found: list[str] = wait_for(running, "three flow runs")
    return found


def descendants(pid: int) -> list[int]:
    """A process and all that it started, whatever session they are in."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def test_one_run_at_a_time_on_a_device(stack: Stack, manifest: Path, tmp_path: Path) -> None:
    """A worker of the pool for GPUs with `--limit 1` starts the second run after the first."""
    requests = [
        {"workspace": str(tmp_path / name), "input": str(manifest), "end": "filter"}
        for name in ("a", "b")
    ]
    ids = [submit(stack, "annotate-videos/gpu", request) for request in requests]
    with stack.worker(GPU):
        wait_for(lambda: ended(stack, *ids), "both runs")
    first, second = sorted(runs(stack, *ids), key=lambda run: run["start_time"])
    assert {first["state_name"], second["state_name"]} == {"Completed"}
    assert first["end_time"] <= second["start_time"]


def test_old_runs_go_and_younger_ones_stay(stack: Stack) -> None:
    """Retention is what compose.yaml says: 30 days."""
    flow = ask(stack, "/flows/", {"name": "old"})["id"]
    ids = {}
    for days in (29, 31):
        run = ask(
            stack,
            "/flow_runs/",
            {"flow_id": flow, "name": f"{days}", "state": {"type": "COMPLETED"}},
        )
        ids[days] = run["id"]
        then = datetime.now(UTC) - timedelta(days=days)
        stack.sql(f"UPDATE flow_run SET end_time = '{then.isoformat()}' WHERE id = '{run['id']}'")
    wait_for(lambda: not runs(stack, ids[31]), "the vacuum", 120)
    assert len(runs(stack, ids[29])) == 1
    assert not runs(stack, str(uuid4()))
