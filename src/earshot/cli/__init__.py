"""The command line: `earshot COMMAND`. Parses, calls, prints; the work is done a floor below.

Commands import what they need when they run, so that `earshot --help` stays quick.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from earshot import __version__
from earshot.cli import (
    answer,
    build,
    convert,
    demo,
    evaluate,
    gc,
    grpo,
    inside,
    inspect_events,
    project,
    release,
    score,
    score_tubes,
    server,
    sheet,
)
from earshot.errors import EarshotError

app = typer.Typer(
    name="earshot",
    help="From videos with captions to audio-visual spatio-temporal reasoning datasets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(project.init)
app.command()(demo.demo)
app.command()(project.sample)
app.command()(build.plan)
app.command()(build.build)
app.command()(inside.status)
app.command()(inside.history)
app.add_typer(inside.quarantine_app, name="quarantine")
app.add_typer(inspect_events.inspect_app, name="inspect")
app.command()(gc.gc)
app.add_typer(release.release_app, name="release")
app.add_typer(grpo.grpo_app, name="grpo")
app.add_typer(evaluate.evaluate_app, name="evaluate")
app.command()(answer.answer)
app.command()(score.score)
app.command()(score_tubes.score_tubes)
app.command()(sheet.sheet)
app.add_typer(project.config_app, name="config")
app.command()(convert.convert)
app.command()(convert.formats)
app.command()(project.doctor)
app.command()(server.setup_server)


_STOPPED = 130


def _version(value: bool) -> None:
    if value:
        typer.echo(f"earshot {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # noqa: ARG001 - the callback prints it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["EARSHOT_DEBUG"] = "1"


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 failed, 2 bad input, 3 failure budget, 130 ^C."""
    try:
        app()
    except EarshotError as error:
        if os.environ.get("EARSHOT_DEBUG"):
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        from earshot.store.workspace import disk_fault, is_disk_fault

        if os.environ.get("EARSHOT_DEBUG") or not is_disk_fault(error, Path.cwd()):
            raise
        said = disk_fault(Path(os.fsdecode(error.filename or "a file")), error)
        typer.secho(f"error: {said}", fg="red", err=True)
        sys.exit(said.exit_code)
    except SystemExit as ended:
        if ended.code == _STOPPED:  # Typer makes ^C of it, and says nothing
            typer.secho(
                "stopped; run the same command again: what was finished is kept, the rest is as "
                "if it had not begun",
                fg="yellow",
                err=True,
            )
        raise


if __name__ == "__main__":
    main()
