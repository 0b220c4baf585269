"""Prepares a Prefect server of a team's own: pools, deployments, the zombie automation, schedules.

Can be run again at any time: what is there already is brought up to date, nothing is made twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from earshot.errors import InputError, ServerError
from earshot.flows.settings import HEARTBEAT_S
from earshot.schemas.ids import h8

POOLS = ("earshot-cpu", "earshot-gpu")
COLLECTOR = "collect-inspections/default"
ZOMBIES = "earshot: crash flow runs whose heart stopped"
# The automation reads every event of the server: other teams' runs, which beat more slowly, are
# none of ours.
FLOWS = (
    "annotate-shard", "annotate-videos", "build-dataset", "collect-inspections", "export-grpo",
    "publish-release", "score-answers",
)  # fmt: skip

Say = Callable[[str], None]


def setup_server(
    folder: Path,
    say: Say,
    *,
    silence_s: int,
    collect: Sequence[Path] = (),
    every_s: int = 1800,
) -> None:
    """Make pools, deployments, automation and schedules on the server of `PREFECT_API_URL`.

    Args:
        folder: holds `prefect.yaml`.
        say: told what was done.
        silence_s: a flow run without a heartbeat for so long counts as crashed.
        collect: workspaces whose inspections are collected on a schedule.
        every_s: seconds between two collections.

    Raises:
        InputError: if there is no `prefect.yaml`, or `silence_s` is too short for a heartbeat.
        ServerError: if the server refuses.
    """
    if silence_s <= HEARTBEAT_S:
        raise InputError(
            f"silence of {silence_s} s: expected more than {HEARTBEAT_S}, the seconds between two "
            "heartbeats, or every run would be called dead"
        )
    if not (folder / "prefect.yaml").exists():
        raise InputError(f"{folder} has no prefect.yaml: run this in the repository's folder")
    for pool in POOLS:
        # --overwrite: bring an existing pool up to date instead of failing.
        _prefect(folder, "work-pool", "create", pool, "--type", "process", "--overwrite")
        say(f"work pool {pool}")
    _prefect(folder, "deploy", "--all")
    say("deployments of prefect.yaml")
    with get_client(sync_client=True) as client:
        _install(client, zombie_automation(silence_s))
        say(f"automation {ZOMBIES!r}, after {silence_s} s")
        for workspace in collect:
            _schedule(client, workspace.resolve(), every_s)
            say(f"{COLLECTOR} every {every_s} s for {workspace.resolve()}")


def zombie_automation(silence_s: int) -> AutomationCore:
    """Return the automation that marks flow runs as crashed when their heartbeats stop.

    Prefect leaves the run of a killed machine RUNNING for ever (a worker that lives sees its own
    children die); earshot needs no such mark to go on, but people who look at the pages do. A
    heartbeat of a short run may arrive after the run's end: the server then refuses the change.
    """
    over = ("heartbeat", "Completed", "Failed", "Cancelled", "Crashed")
    return AutomationCore(
        name=ZOMBIES,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={f"prefect.flow-run.{name}" for name in over},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": ["flow"], "prefect.resource.name": list(FLOWS)}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence_s),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"no heartbeat for {silence_s} s: the process is gone",
            )
        ],
    )


def _install(client: SyncPrefectClient, automation: AutomationCore) -> None:
    for found in client.read_automations_by_name(automation.name):
        client.delete_automation(UUID(str(found.id)))
    client.create_automation(automation)


def _schedule(client: SyncPrefectClient, workspace: Path, every_s: int) -> None:
    """Let the collector run for a workspace's latest build, in place of its schedule before."""
    slug = f"workspace-{h8(str(workspace))}"
    deployment = client.read_deployment_by_name(COLLECTOR)
    for found in client.read_deployment_schedules(deployment.id):
        if found.slug == slug:
            client.delete_deployment_schedule(deployment.id, found.id)
    schedule = DeploymentScheduleCreate(
        schedule=IntervalSchedule(interval=timedelta(seconds=every_s)),
        parameters={"request": {"workspace": str(workspace)}},
        slug=slug,
    )
    client.create_deployment_schedules(deployment.id, [schedule])


def _prefect(folder: Path, *arguments: str) -> None:
    program = Path(sys.executable).with_name("prefect")
    command = [str(program), "--no-prompt", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-800:]
        raise ServerError(f"`prefect {' '.join(arguments)}` failed:\n{said}")
