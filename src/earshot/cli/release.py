"""`earshot release`: publish what is there, and list and check what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earshot.cli import show
from earshot.cli.build import Json, WorkspaceOption
from earshot.errors import ReleaseError


def release(
    workspace: WorkspaceOption,
    verify: Annotated[
        Path | None,
        typer.Option("--verify", help="Check the files of this release against its manifest."),
    ] = None,
    json: Json = False,
) -> None:
    """Publish the current questions of a workspace as the next version."""
    if verify is not None:
        _verify(verify)
        return
    from earshot.schemas.request import BuildRequest
    from earshot.tasks.build import conclude
    from earshot.tasks.pipeline import open_run

    run = open_run(BuildRequest(workspace=str(workspace), only="release"))
    report = conclude(run)
    if json:
        show.print_json(report.to_json())
        return
    if report.publication is not None:
        show.say(report.publication.message)
    for line in report.lines():
        show.say(line)


def _verify(folder: Path) -> None:
    from earshot.tasks.publish_release.files import verify as check

    problems = check(folder)
    for problem in problems:
        show.say(problem)
    if problems:
        raise ReleaseError(f"{folder}: {len(problems)} files are not as its manifest says")
    show.say(f"{folder} is whole")
