"""`earshot convert` and `earshot formats`: annotations of others into tables of ours, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from earshot.cli import show
from earshot.errors import EarshotError

FormatName = Literal["r-avst", "tables"]


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="File, folder of tables, or URL.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File or folder; not there yet.")],
    read_as: Annotated[FormatName, typer.Option("--from", help="What IN is.")],
    write_as: Annotated[FormatName, typer.Option("--to", help="What OUT becomes.")],
    tables: Annotated[
        Path | None, typer.Option("--tables", help="New folder to keep the Parquet tables in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Convert annotations through our tables; exit code 1 if a bad video was left out."""
    from earshot.store.annotations import convert as run

    report = run(source, read_as, out, write_as, tables)
    if as_json:
        faults = [
            {"video_id": one.video_id, "position": one.line, "code": one.reason_code,
             "message": one.message, "value": one.value}
            for one in report.faults
        ]  # fmt: skip
        show.print_json({"videos": report.videos, "rows": report.rows, "left_out": faults})
    else:
        rows = ", ".join(f"{number:,} {name}" for name, number in report.rows.items())
        show.say(f"{report.videos:,} videos into {out}")
        show.say(f"through {rows}")
        for fault in report.faults:
            show.errors.print(f"left out: {fault.message}", soft_wrap=True)
    if report.faults:
        raise EarshotError(
            f"{len(report.faults)} of {report.videos + len(report.faults)} videos were left out, "
            "the others are converted; mend them in the input, remove OUT and convert again"
        )


def formats() -> None:
    """List what `--input` takes, and what `convert` reads and writes."""
    from earshot.store.annotations import EXCHANGES
    from earshot.store.manifests import FORMATS

    inputs = show.new_table()
    inputs.add_column("--input", no_wrap=True)
    inputs.add_column("holds", overflow="fold")
    for form in FORMATS:
        inputs.add_row(form.name, form.holds)
    show.console.print(inputs)
    both = show.new_table()
    both.add_column("convert --from, --to", no_wrap=True)
    both.add_column("holds", overflow="fold")
    for each in EXCHANGES.values():
        both.add_row(each.name, each.holds)
    show.console.print(both)
