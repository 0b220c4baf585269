"""`earshot score`: predictions about a release, with trivial answers beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earshot.cli import show
from earshot.cli.outputs import folder_to_fill

if TYPE_CHECKING:
    from earshot.tasks.score_answers.record import ScoreReport


SplitName = Literal["train", "validation", "test", "all"]
Mode = Literal["strict", "avst_zero"]

ReleaseOption = Annotated[Path, typer.Option("--release", help="Folder of a release.")]


def score(
    release: ReleaseOption,
    predictions: Annotated[
        Path, typer.Option("--predictions", help="JSON Lines of question_id and completion.")
    ],
    split: Annotated[SplitName, typer.Option("--split", help="Which questions.")] = "test",
    mode: Annotated[
        Mode,
        typer.Option("--mode", help="avst_zero: the numbers of R-AVST's released code."),
    ] = "strict",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", callback=folder_to_fill, help="Folder for scores.json, scores.md, scores.png."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Score predictions per task, branch, category, duration and number of events."""
    from earshot.tasks.score_answers.score import score_answers

    report = score_answers(release, predictions, split, mode, out)
    if as_json:
        show.print_json(report.model_dump(mode="json"))
        return
    _print(report)
    if out is not None:
        show.console.print(f"all groups: {out / 'scores.md'}", soft_wrap=True)


def _print(report: ScoreReport) -> None:
    from earshot.tasks.score_answers.report import TASKS, counted, number

    name = f"{report.release} v{report.release_version}"
    about = f"{report.questions:,} questions about {report.videos:,} videos"
    show.console.print(f"{name}, split {report.split}, mode {report.mode}: {about}")
    show.console.print(counted(report))
    for problem in report.problems:
        show.console.print(f"  {problem}", markup=False)
    for task in TASKS:
        _print_task(report, task)
    if report.mode == "strict":
        show.console.print(f"AM {number(report.am)}, LGM {number(report.lgm)}")


def _print_task(report: ScoreReport, task: str) -> None:
    """Print a metric a row: the predictions, their interval, and every blind answer."""

    from earshot.tasks.score_answers.report import number

    whole = next((g for g in report.groups if g.task == task and g.dimension == "all"), None)
    if whole is None:
        return
    table = show.new_table()
    table.add_column(f"{task} ({whole.questions:,})", no_wrap=True)
    table.add_column("predictions", justify="right", no_wrap=True)
    table.add_column(f"{report.level:.0%} interval".replace("%", " %"), no_wrap=True)
    beside = [one for one in report.baselines if one.task == task]
    for one in beside:
        table.add_column(one.name, justify="right")
    for metric, value in whole.metrics.items():
        bounds = "" if value.low is None else f"{number(value.low)} - {number(value.high)}"
        blind = (number(one.metrics.get(metric)) for one in beside)
        table.add_row(metric, number(value.mean), bounds, *blind)
    show.console.print(table)
