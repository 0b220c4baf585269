"""`earshot inspect`: people look at events in Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earshot.cli import show
from earshot.cli.build import Json, WorkspaceOption
from earshot.cli.outputs import file_to_write

if TYPE_CHECKING:
    from earshot.annotation_ui.server import Login

NAMES = {"first": "events", "second": "second", "third": "differ", "question": "questions"}
"""What is pushed to which project, in one word."""

inspect_app = typer.Typer(
    help="People inspect events and boxes in Label Studio.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@inspect_app.command("serve")
def serve(
    workspace: WorkspaceOption,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port; default: 8085 or the next free one."),
    ] = None,
    json: Json = False,
) -> None:
    """Start the workspace's Label Studio on this machine, or find it; print address and login."""
    if json:
        login, was_running = started(workspace, port)
        show.print_json({"url": login.url, "email": login.email, "was_running": was_running})
        return
    serve_shown(workspace, port)
    show.say(f"next      earshot inspect push -w {workspace}")
    show.say(f"to end it earshot inspect stop -w {workspace}")


def started(workspace: Path, port: int | None = None) -> tuple[Login, bool]:
    """Return the login of the workspace's server, and whether it ran before."""
    from earshot.annotation_ui.server import ServerFolder
    from earshot.annotation_ui.server import serve as start
    from earshot.store.workspace import Workspace

    return start(ServerFolder(Workspace.open(workspace).label_studio), show.errors.print, port)


def serve_shown(workspace: Path, port: int | None = None) -> None:
    """Start or find the server, and print where it is and who may enter."""
    from earshot.annotation_ui.server import ServerFolder
    from earshot.store.workspace import Workspace

    login, was_running = started(workspace, port)
    show.say(f"address   {login.url}{'  (it runs already)' if was_running else ''}")
    show.say(f"email     {login.email}")
    show.say(f"password  {login.password}")
    show.say(f"log       {ServerFolder(Workspace.open(workspace).label_studio).log}")


@inspect_app.command("stop")
def stop(workspace: WorkspaceOption) -> None:
    """End the workspace's Label Studio; what people did stays."""
    from earshot.annotation_ui.server import ServerFolder
    from earshot.annotation_ui.server import stop as end
    from earshot.store.workspace import Workspace

    place = Workspace.open(workspace)
    ended = end(ServerFolder(place.label_studio))
    show.say("ended" if ended else "none was running")


@inspect_app.command("push")
def push(
    workspace: WorkspaceOption,
    json: Json = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Hold tasks against Label Studio's own rules first; extra `inspect`."
        ),
    ] = False,
) -> None:
    """Send what waits for people: events, second opinions, differences, a sample of questions."""
    from earshot.flows.people import push_all
    from earshot.store.workspace import Workspace

    def progress(done: int, of: int) -> None:
        show.errors.print(f"{done} of {of} events")

    told = push_all(Workspace.open(workspace), progress, check=check)
    if json:
        show.print_json(
            {desk.role: {**vars(pushed), "address": desk.address} for desk, pushed in told}
        )
        return
    for desk, pushed in told:
        show.say(f"{NAMES[desk.role]:<10}{pushed.line}")
        for item_id, why in pushed.faults:
            show.say(f"not shown {item_id}: {why}")
        show.say(f"address   {desk.address}")
    show.say(f"next      earshot inspect collect -w {workspace}")


@inspect_app.command("collect")
def collect(workspace: WorkspaceOption, json: Json = False) -> None:
    """Take in what people decided since the last time."""
    from earshot.flows.people import collect_plainly
    from earshot.store.workspace import Workspace

    told = collect_plainly(Workspace.open(workspace))
    if json:
        show.print_json({**vars(told), "videos": sorted(told.videos)})
        return
    show.say(told.line)
    for place, why in told.faults:
        show.say(f"look again {place}: {why}")


@inspect_app.command("listen")
def listen(
    workspace: WorkspaceOption,
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8086,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    every_s: Annotated[
        float, typer.Option("--every", min=10, help="Collect after so many seconds in any case.")
    ] = 600.0,
) -> None:
    """Collect whenever a webhook of the server posts here; until Ctrl-C."""
    from earshot.flows.wake import listen as start
    from earshot.store.workspace import Workspace

    start(Workspace.open(workspace), host, port, every_s, show.say)


@inspect_app.command("report")
def report(
    workspace: WorkspaceOption,
    json: Json = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", callback=file_to_write, help="Write a picture of it to this PNG file."
        ),
    ] = None,
) -> None:
    """Say what people decided and corrected, how far they agree, and how long they took."""
    from earshot.flows.people import draw_report, report_on
    from earshot.store.inspection_report import rows_of
    from earshot.store.workspace import Workspace

    told = report_on(Workspace.open(workspace))
    if plot:
        draw_report(told, plot)
    if json:
        show.print_json(told.model_dump())
        return
    table = show.new_table()
    table.add_column("inspection", no_wrap=True)
    table.add_column("", overflow="fold")
    for name, value in rows_of(told):
        table.add_row(name, value)
    show.console.print(table)
    if plot:
        show.say(f"plot      {plot}")
