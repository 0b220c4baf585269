"""`earshot setup-server`: makes a Prefect server of a team's own ready for earshot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from earshot.cli import show
from earshot.errors import InputError


def setup_server(
    folder: Annotated[Path, typer.Option("--folder", help="Holds prefect.yaml.")] = Path(),
    silence_s: Annotated[
        int, typer.Option("--silence-s", help="Seconds without a heartbeat: the run has crashed.")
    ] = 300,
    collect: Annotated[
        list[Path] | None,
        typer.Option("--collect", help="Collect this workspace's inspections on a schedule."),
    ] = None,
    every_s: Annotated[
        int, typer.Option("--every-s", min=60, help="Seconds between two collections.")
    ] = 1800,
) -> None:
    """Make work pools, deployments, automation and schedules on the server of PREFECT_API_URL."""
    if not os.environ.get("PREFECT_API_URL"):
        raise InputError(
            "PREFECT_API_URL is not set: export the address of your server, for example "
            "http://127.0.0.1:4200/api; builds on one machine need no server of their own"
        )
    from earshot.flows.setup_server import setup_server as prepare

    prepare(
        folder,
        lambda line: show.console.print(line, soft_wrap=True),
        silence_s=silence_s,
        collect=collect or (),
        every_s=every_s,
    )
