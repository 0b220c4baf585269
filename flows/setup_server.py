"""Prepares a Prefect server of a team's own: work pools, deployments, and the zombie automation.

Can be run again at any time: what is there already is brought up to date, nothing is made twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from earshot.errors import InputError, ServerError

POOLS = ("earshot-cpu", "earshot-gpu")
ZOMBIES = "earshot: crash flow runs whose heart stopped"
# Heartbeats come every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (compose.yaml: 30): three missed.
SILENCE_S = 90

Say = Callable[[str], None]


def setup_server(folder: Path, say: Say) -> None:
    """Make pools, deployments and automation on the server of `PREFECT_API_URL`.

    Args:
        folder: holds `prefect.yaml`.
        say: told what was done.

    Raises:
        InputError: if there is no `prefect.yaml`.
        ServerError: if the server refuses.
    """
    if not (folder / "prefect.yaml").exists():
        raise InputError(f"{folder} has no prefect.yaml: run this in the repository's folder")
    for pool in POOLS:
        # --overwrite: bring an existing pool up to date instead of failing.
        _prefect(folder, "work-pool", "create", pool, "--type", "process", "--overwrite")
        say(f"work pool {pool}")
    _prefect(folder, "deploy", "--all")
    say("deployments of prefect.yaml")
    say(f"automation {_install_zombie_automation()}")


def zombie_automation() -> AutomationCore:
    """Return the automation that marks flow runs as crashed when their heartbeats stop.

    Prefect leaves the run of a killed process RUNNING for ever; earshot itself needs no such mark
    to go on, but people who look at the pages do.
    """
    over = ("heartbeat", "Completed", "Failed", "Cancelled", "Crashed")
    return AutomationCore(
        name=ZOMBIES,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={f"prefect.flow-run.{name}" for name in over},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"no heartbeat for {SILENCE_S} s: the process is gone",
            )
        ],
    )


def _install_zombie_automation() -> str:
    with get_client(sync_client=True) as client:
        for found in client.read_automations_by_name(ZOMBIES):
            client.delete_automation(UUID(str(found.id)))
        client.create_automation(zombie_automation())
    return ZOMBIES


def _prefect(folder: Path, *arguments: str) -> None:
    program = Path(sys.executable).with_name("prefect")
    command = [str(program), "--no-prompt", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-800:]
        raise ServerError(f"`prefect {' '.join(arguments)}` failed:\n{said}")
