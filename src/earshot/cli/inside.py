"""`earshot status`, `history` and `quarantine`: what is inside a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earshot.cli import show
from earshot.cli.build import Json, WorkspaceOption
from earshot.errors import InputError

if TYPE_CHECKING:
    from earshot.store.quarantine import Action
    from earshot.tasks.pipeline import Session

quarantine_app = typer.Typer(
    help="Items that a fault stopped.", no_args_is_help=True, rich_markup_mode=None
)
BuildOption = Annotated[str | None, typer.Option("--build", help="Build id; default: the latest.")]
Videos = Annotated[list[str] | None, typer.Argument(help="Video ids; none: all of the stage.")]
StageOption = Annotated[str | None, typer.Option("--stage", help="This stage alone.")]


def status(workspace: WorkspaceOption, build: BuildOption = None, json: Json = False) -> None:
    """Show what became of every item, stage by stage."""
    session = _open(workspace, build)
    counts = session.counts
    if json:
        show.print_json({"stages": [count.to_json() for count in counts]})
        return
    show.print_stages(counts)
    for part, said in session.snapshot.damaged.items():
        show.console.print(f"damaged part {part.stage}/{part.part_id}: {said}", style="red")
    pending = sum(count.pending for count in counts)
    if pending:
        show.console.print(f"{pending} pending: run the build again")


def history(
    workspace: WorkspaceOption,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the runs and end, without serving the UI.")
    ] = False,
    json: Json = False,
) -> None:
    """Open the Prefect history of a workspace's builds."""
    from earshot.cli.history import show_history

    show_history(workspace, list_only=list_only, json=json)


@quarantine_app.command("list")
def quarantine_list(
    workspace: WorkspaceOption, stage: StageOption = None, json: Json = False
) -> None:
    """List quarantined items by stage and reason, with what was wrong and the remedy."""
    session = _open(workspace, None)
    rows = _quarantined(session, stage)
    if json:
        show.print_json({"items": rows})
        return
    show.print_quarantine(rows)


@quarantine_app.command("retry")
def quarantine_retry(
    workspace: WorkspaceOption, videos: Videos = None, stage: StageOption = None
) -> None:
    """Let the next build try quarantined videos again."""
    _decide(workspace, "retry", videos, stage, "will be tried again by the next build")


@quarantine_app.command("drop")
def quarantine_drop(
    workspace: WorkspaceOption, videos: Videos = None, stage: StageOption = None
) -> None:
    """Leave quarantined videos out for good: counted as filtered, reason `dropped`."""
    _decide(workspace, "drop", videos, stage, "left out")


def _open(workspace: Path, build: str | None) -> Session:
    from earshot.store.workspace import Workspace
    from earshot.tasks.pipeline import open_session

    return open_session(Workspace.open(workspace), build)


def _quarantined(session: Session, stage: str | None) -> list[dict[str, object]]:
    snapshot = session.snapshot
    if stage is not None and stage not in snapshot.stages:
        raise InputError(f"no stage {stage!r}: expected one of {', '.join(snapshot.stages)}")
    rows: list[dict[str, object]] = [
        {
            "stage": "manifest",
            "item_kind": "video",
            "item_id": fault.video_id or f"line {fault.line}",
            "reason_code": fault.reason_code,
            "message": fault.message,
            "value": fault.value,
            "attempts": 1,
        }
        for fault in (session.manifest.faults if stage is None else ())
    ]
    wanted = ("stage", "item_kind", "item_id", "reason_code", "message", "value", "attempts")
    for name in [stage] if stage else snapshot.stages:
        for row in snapshot.ledger(name, snapshot.reach(name)).to_pylist():
            found = snapshot.latest(name, row["video_id"])
            dropped = found is not None and snapshot.status(found) != found.state.status
            if row["status"] == "quarantined" and not dropped:
                rows.append({key: row[key] for key in wanted})
    return rows


def _decide(
    workspace: Path, action: Action, videos: list[str] | None, stage: str | None, said: str
) -> None:
    from earshot.schemas.ids import video_of
    from earshot.store.quarantine import Decision, decide

    session = _open(workspace, None)
    rows = [row for row in _quarantined(session, stage) if row["stage"] != "manifest"]
    pairs = sorted({(str(row["stage"]), video_of(str(row["item_id"]))) for row in rows})
    unknown = sorted(set(videos or ()) - {video_id for _, video_id in pairs})
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is not in quarantine: `earshot quarantine list` shows what is"
        )
    chosen = [pair for pair in pairs if not videos or pair[1] in videos]
    for name, video_id in chosen:
        found = session.snapshot.latest(name, video_id)
        if found is not None:
            state = found.state
            decision = Decision(action, name, video_id, state.key, state.attempts)
            decide(session.workspace, decision)
    show.console.print(f"{len(chosen)} {said}")
