"""Flow `score-answers`: how good a file of predictions about a release is."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact

from earshot.rewards.result import Mode
from earshot.tasks.score_answers.record import SplitName
from earshot.tasks.score_answers.report import to_rows
from earshot.tasks.score_answers.score import score_answers as score


@flow(name="score-answers")
def score_answers(
    release: str,
    predictions: str,
    split: SplitName = "test",
    mode: Mode = "strict",
    out: str | None = None,
) -> None:
    """Score predictions, and put the table on the page of the flow run; absolute paths."""
    report = score(Path(release), Path(predictions), split, mode, Path(out) if out else None)
    create_table_artifact(to_rows(report), key="scores", description=f"split {report.split}")
