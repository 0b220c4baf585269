"""`earshot score-tubes`: tubes against true ones, video by video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earshot.cli import show

if TYPE_CHECKING:
    from earshot.store.tube_files import TubeSet
    from earshot.tasks.score_tubes import TubeScore


def score_tubes(
    truth: Annotated[
        Path, typer.Option("--truth", help="True tubes: a Parquet table or a folder with one.")
    ],
    tubes: Annotated[
        Path, typer.Option("--tubes", help="Tubes to score: the same, or a release or workspace.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Score tubes: mean tube IoU, tube recall, identity switches and IDF1."""
    from earshot.tasks.score_tubes import score_tubes as score
    from earshot.tasks.score_tubes import to_json

    scores = score(_tubes(truth), _tubes(tubes))
    if as_json:
        show.print_json({"videos": [to_json(s) for s in scores[:-1]], "total": to_json(scores[-1])})
    else:
        _print(scores)


def _tubes(path: Path) -> TubeSet:
    """Return the tubes of a file, a folder, or the latest build of a workspace."""
    from earshot.store.tube_files import read_tubes

    if not (path / "workspace.json").is_file():
        return read_tubes(path)
    from earshot.tasks.score_tubes import workspace_tubes

    return workspace_tubes(path)


def _print(scores: list[TubeScore]) -> None:

    table = show.new_table()
    table.add_column("video", overflow="fold")
    for name in ("true", "tubes", "matched", "tube IoU", "recall@0.5", "switches", "IDF1"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for score in scores:
        numbers = (score.mean_tube_iou, score.tube_recall, score.idf1)
        iou, recall, idf1 = ("-" if value is None else f"{value:.3f}" for value in numbers)
        counts = (str(score.truths), str(score.tubes), str(score.matched))
        table.add_row(score.video_id, *counts, iou, recall, str(score.id_switches), idf1)
    show.console.print(table)
