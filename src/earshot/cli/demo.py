"""`earshot demo`: the whole pipeline on a made-up world, on this machine, with nothing to get."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earshot.cli import show
from earshot.cli.build import request_of, run_shown
from earshot.cli.project import make_sample


def demo(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder; default: demo, with --inspect demo-inspect."),
    ] = None,
    videos: Annotated[int, typer.Option("--videos", min=1, help="How many videos.")] = 12,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Run in a plain loop, without a server.")
    ] = False,
    inspect: Annotated[
        bool,
        typer.Option(
            "--inspect", help="People inspect: start Label Studio and send it what was found."
        ),
    ] = False,
) -> None:
    """Make a sample world, build a release of it through Prefect, and show what came out."""
    out = out or Path("demo-inspect" if inspect else "demo")
    manifest = out / "sample" / "input" / "manifest.jsonl"
    if not manifest.exists():
        make_sample(out / "sample", videos, seed=0)
    workspace = out / "workspace"
    if inspect:
        _inspect(manifest, workspace, use_prefect=not no_prefect)
        return
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


def _inspect(manifest: Path, workspace: Path, *, use_prefect: bool) -> None:
    """Build up to inspection, where everything waits for people, and send it to them."""
    from earshot.cli.inspect_events import push, serve_shown
    from earshot.store.workspace import Workspace, write_atomic

    place = Workspace.open(workspace, create=True)
    if not place.config_file.exists():
        write_atomic(place.config_file, b'[inspect]\nbackend = "label_studio"\n')
    request = request_of(str(manifest), workspace, None, to="inspect")
    report = run_shown(request.model_copy(update={"publish": False}), use_prefect=use_prefect)
    show.print_stages(report.counts)
    serve_shown(workspace)
    push(workspace)
    show.say(f"to end it earshot inspect stop -w {workspace}")
