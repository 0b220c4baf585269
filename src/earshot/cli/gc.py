"""`earshot gc`: compacts a workspace and drops what no kept build refers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earshot.cli import show
from earshot.cli.build import Json, WorkspaceOption
from earshot.errors import InputError

if TYPE_CHECKING:
    from earshot.store.gc import Kept, Swept
    from earshot.store.workspace import Workspace


def gc(
    workspace: WorkspaceOption,
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many builds to keep.")] = 3,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for builds that read old parts.")
    ] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    json: Json = False,
) -> None:
    """Compact the stages and drop what the latest builds do not refer to.

    What people decided stays for ever. Safe beside running builds.
    """
    from earshot.store.gc import collect
    from earshot.store.workspace import Workspace

    place = Workspace.open(workspace)
    kept, notes = _kept(place, keep)
    swept = collect(place, kept, wait, dry_run=dry_run)
    if json:
        show.print_json(_as_json(swept, notes))
        return
    _print(swept, [*notes, *_notes(workspace, swept, keep)], dry_run=dry_run)


def _kept(workspace: Workspace, keep: int) -> tuple[Kept, list[str]]:
    """Return what stays, and what there is to say of builds that can't be read."""
    from earshot.store.gc import Kept, kept_ids
    from earshot.tasks.pipeline import open_session

    ids = kept_ids(workspace, keep)
    snapshots, notes = [], []
    for build_id in ids:
        try:
            snapshots.append(open_session(workspace, build_id).snapshot)
        except InputError as error:
            notes.append(f"of build {build_id} stay only the rows that it made itself: {error}")
    if not snapshots:
        raise InputError(
            f"{workspace.root} has no build that can be read, so nothing tells what is in use: "
            "build first"
        )
    return Kept(frozenset(ids), tuple(snapshots)), notes


def _notes(workspace: Path, swept: Swept, keep: int) -> list[str]:
    notes = [f"left as it is: {said}" for stage in swept.stages for said in stage.damaged]
    if swept.builds_dropped:
        notes.append(
            f"builds dropped (--keep {keep}): {', '.join(swept.builds_dropped)}; to compute with "
            "their settings again costs as much as the first time"
        )
    notes += [
        f"old parts stay until process {holder.pid} on {holder.host} has ended {holder.stage}: "
        f"then run `earshot gc --workspace {workspace}` once more"
        for holder in swept.readers
    ]
    return notes


def _print(swept: Swept, notes: list[str], *, dry_run: bool) -> None:
    table = show.new_table()
    table.add_column("stage")
    for name in ("parts", "after", "rows", "dropped"):
        table.add_column(name, justify="right")
    for one in swept.stages:
        numbers = (one.parts_before, one.parts_after, one.rows_before, one.rows_dropped)
        table.add_row(one.stage, *map(str, numbers))
    show.console.print(table)
    for note in notes:
        show.console.print(note, soft_wrap=True)
    said = "nothing was written (--dry-run)" if dry_run else f"{swept.bytes_freed:,} bytes freed"
    show.console.print(said)


def _as_json(swept: Swept, notes: list[str]) -> dict[str, object]:
    return {
        "builds_dropped": list(swept.builds_dropped),
        "bytes_freed": swept.bytes_freed,
        "stages": [vars(stage) for stage in swept.stages],
        "readers": [vars(holder) for holder in swept.readers],
        "notes": notes,
    }
