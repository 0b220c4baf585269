"""`earshot demo`: the whole pipeline on a made-up world, on this machine, with nothing to get."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earshot.cli import show
from earshot.cli.build import request_of, run_shown
from earshot.cli.project import make_sample


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the demo.")] = Path("demo"),
    videos: Annotated[int, typer.Option("--videos", min=1, help="How many videos.")] = 12,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Run in a plain loop, without a server.")
    ] = False,
) -> None:
    """Make a sample world, build a release of it through Prefect, and show what came out."""
    manifest = out / "sample" / "input" / "manifest.jsonl"
    if not manifest.exists():
        make_sample(out / "sample", videos, seed=0)
    workspace = out / "workspace"
    report = run_shown(request_of(str(manifest), workspace, None), use_prefect=not no_prefect)
    if report.was_fresh:
        show.console.print("everything is fresh: nothing was done")
    show.print_stages(report.counts)
    for line in report.lines():
        show.say(line)
    sheet = out / "contact_sheet.png"
    if not report.was_fresh or not sheet.exists():
        from earshot.tasks.draw_contact_sheet import draw_contact_sheet

        draw_contact_sheet(workspace, sheet)
    if sheet.exists():
        show.say(f"picture   {sheet}")
    if not no_prefect:
        show.say(f"history   earshot history --workspace {workspace}")
    show.say("your own  earshot build --input MANIFEST.jsonl --workspace WORKSPACE")
