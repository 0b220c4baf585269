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
) -> None:
    """Make work pools, deployments and automations on the server of PREFECT_API_URL."""
    if not os.environ.get("PREFECT_API_URL"):
        raise InputError(
            "PREFECT_API_URL is not set: export the address of your server, for example "
            "http://127.0.0.1:4200/api; builds on one machine need no server of their own"
        )
    from earshot.flows.setup_server import setup_server as prepare

    prepare(folder, show.console.print)
