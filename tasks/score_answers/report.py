"""Says a `ScoreReport` in words: the Markdown of `scores.md`.

Takes the record, gives text. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from earshot.schemas.question import Task
from earshot.tasks.score_answers.record import BaselineScore, GroupScore, Metric, ScoreReport

TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")
DIMENSIONS = {
    "branch": "by branch",
    "category": "by category (a question stands in each label of its events)",
    "duration": "by length of the video",
    "events": "by number of events in the video",
}
NOTHING = "·"


def to_markdown(report: ScoreReport, plot: str | None = None) -> str:
    """Return the report as Markdown; `plot` is the path of the picture to show, if there is one."""
    lines = [
        f"# {report.release} v{report.release_version}, split {report.split}: {report.mode}",
        "",
        f"{report.questions:,} questions about {report.videos:,} videos. {counted(report)}",
        f"Brackets: {report.level:.0%} bootstrap intervals over videos, {report.draws:,} draws.",
        "",
    ]
    lines += [f"- {problem}" for problem in report.problems]
    lines += [""] if report.problems else []
    if report.mode == "strict":
        lines += [f"AM {number(report.am)}, LGM {number(report.lgm)}", ""]
    if plot is not None:
        lines += [f"![scores]({plot})", ""]
    for task in TASKS:
        lines += _task(report, task)
    return "\n".join(lines)


def counted(report: ScoreReport) -> str:
    """Return what became of the predictions, in a sentence."""
    counts = report.predictions
    said = [f"{counts.answered:,} answered", f"{counts.missing:,} missing (score 0)"]
    said += [
        f"{n:,} {what}"
        for n, what in (
            (counts.failed, "lines without a completion"),
            (counts.malformed, "malformed lines"),
            (counts.unknown, "lines about unknown questions"),
            (counts.duplicate, "duplicates (the first counts)"),
            (counts.other_split, "of other splits"),
        )
        if n
    ]
    return ", ".join(said) + "."


def number(value: float | None) -> str:
    """Return a number with three decimals; zero has no sign."""
    return NOTHING if value is None else f"{value + 0.0:.3f}"


def _task(report: ScoreReport, task: Task) -> Iterator[str]:
    whole = report.whole(task)
    if whole is None:
        return
    statuses = ", ".join(f"{status} {n:,}" for status, n in whole.statuses.items())
    yield from (f"## {task}", "", f"{whole.questions:,} questions: {statuses}.", "")
    names = list(whole.metrics)
    beside = [one for one in report.baselines if one.task == task]
    rows = [["predictions", *(_cell(metric) for metric in whole.metrics.values())]]
    rows += [[one.name, *(number(one.metrics.get(name)) for name in names)] for one in beside]
    yield from _table(["answers", *names], rows)
    yield from (_said(one) for one in beside)
    yield ""
    for dimension, title in DIMENSIONS.items():
        groups = [g for g in report.groups if g.task == task and g.dimension == dimension]
        if groups:
            yield from (f"### {task} {title}", "")
            yield from _table([dimension, "questions", *names], [_row(g, names) for g in groups])


def _said(baseline: BaselineScore) -> str:
    searched = f" (searched on {baseline.searched:,} train questions)" if baseline.searched else ""
    return f"- {baseline.name}: {_escaped(baseline.said)}{searched}"


def _row(group: GroupScore, names: Sequence[str]) -> list[str]:
    cells = (_cell(group.metrics[name]) for name in names)
    return [group.group, f"{group.questions:,}", *cells]


def _cell(metric: Metric) -> str:
    if metric.low is None:
        return number(metric.mean)
    return f"{number(metric.mean)} [{number(metric.low)}, {number(metric.high)}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _line(head)
    yield _line(["---", *("---:" for _ in head[1:])])
    yield from (_line(row) for row in rows)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def to_rows(report: ScoreReport) -> list[dict[str, str | float | None]]:
    """Return a row a task and metric, as a flow run's page shows them."""
    return [
        {
            "task": task,
            "metric": name,
            "predictions": metric.mean,
            "low": metric.low,
            "high": metric.high,
            **_beside(report, task, name),
        }
        for task in TASKS
        if (whole := report.whole(task)) is not None
        for name, metric in whole.metrics.items()
    ]


def _beside(report: ScoreReport, task: Task, name: str) -> dict[str, float | None]:
    """Return the unsearched and the searched blind answer, under names that all tasks share."""
    values = [one.metrics.get(name) for one in report.baselines if one.task == task]
    return dict(zip(("blind", "blind, searched on train"), values, strict=False))
