"""`earshot sheet`: a picture of what was found, without opening a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earshot.cli import show
from earshot.cli.build import WorkspaceOption, split_ids
from earshot.cli.outputs import file_to_write
from earshot.errors import InputError


def sheet(
    workspace: WorkspaceOption,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", callback=file_to_write, help="The picture: .png, .jpg or .jpeg."
        ),
    ] = Path("contact_sheet.png"),
    items: Annotated[
        list[str] | None, typer.Option("--items", help="Only these video ids; may be repeated.")
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames a video; 1: its most telling moment.")
    ] = 1,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Videos at most.")] = 12,
) -> None:
    """Draw a contact sheet: frames with tubes, the sound, events, and when objects sound."""
    from earshot.media.contact_sheet import SUFFIXES
    from earshot.tasks.draw_contact_sheet import draw_contact_sheet

    if out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--out {str(out)!r}: expected a name that ends in {', '.join(SUFFIXES)}; rename it"
        )
    ids = list(split_ids("--items", items))
    drawn = draw_contact_sheet(workspace, out, limit, ids or None, frames)
    if drawn:
        show.say(f"picture   {out} ({len(drawn)} videos)")
    else:
        show.say("nothing to draw: no video could be opened; see `earshot status`")
