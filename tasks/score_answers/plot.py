"""Draws a `ScoreReport`: the main metrics of each task, with the blind answers beside them.

Takes the record, writes one PNG; keeps no state between two calls (no pyplot).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from earshot.schemas.question import Task
from earshot.tasks.score_answers.record import BaselineScore, Metric, ScoreReport
from earshot.tasks.score_answers.report import TASKS

INK, MUTED, LINE = "#1f2933", "#64748b", "#d5dbe3"
# Distinguishable also with a colour-vision deficiency: blue, orange, teal (Okabe and Ito).
MODEL = "#0072b2"
BLIND = ("#e69f00", "#009e73")
BLIND_MARKS = ("D", "s")
SHOWN: dict[Task, tuple[str, ...]] = {
    "temporal": ("m_tIoU", "avst_zero_temporal"),
    "spatial": ("object_f1", "m_vIoU", "avst_zero_object", "avst_zero_spatial"),
    "spatio_temporal": ("m_tIoU", "m_vIoU", "avst_zero_temporal", "avst_zero_spatial"),
}
BLIND_LABELS = ("whole video, full frame, most common object", "best constants of train")


@dataclass(frozen=True)
class _Bar:
    label: str
    metric: Metric
    blind: tuple[float | None, ...]


def draw(report: ScoreReport, path: Path) -> None:
    """Write the plot of a report as PNG; equal reports give equal bytes."""
    bars = _bars(report)
    figure = Figure(figsize=(7.2, 1.7 + 0.5 * max(len(bars), 1)), dpi=150, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    height = float(figure.get_size_inches()[1])
    figure.subplots_adjust(left=0.3, right=0.91, bottom=0.42 / height, top=1 - 0.95 / height)
    axes = figure.add_subplot()
    _titled(axes, report, height)
    if bars:
        _draw_bars(axes, bars)
    # No version and date inside: equal reports give equal bytes.
    canvas.print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _titled(axes: Axes, report: ScoreReport, height: float) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    figure = axes.get_figure()
    if figure is None:
        return
    name = f"{report.release} v{report.release_version}, {report.split}"
    below = (
        f"{report.questions:,} questions, {report.predictions.missing:,} without an answer; "
        f"lines: {report.level:.0%} bootstrap over videos"
    ).replace("%", " %")
    figure.text(0.02, 1 - 0.28 / height, name, fontsize=12, color=INK, fontweight="bold")
    figure.text(0.02, 1 - 0.5 / height, below, fontsize=9, color=MUTED)


def _draw_bars(axes: Axes, bars: Sequence[_Bar]) -> None:
    rows = range(len(bars))
    means = [bar.metric.mean or 0.0 for bar in bars]
    axes.barh(rows, means, height=0.56, color=MODEL, label="predictions")
    for row, bar in zip(rows, bars, strict=True):
        if bar.metric.low is not None and bar.metric.high is not None:
            axes.plot([bar.metric.low, bar.metric.high], [row, row], color=INK, linewidth=1.4)
        text = "·" if bar.metric.mean is None else f"{bar.metric.mean:.3f}"
        axes.annotate(
            text, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9,
            color=INK, annotation_clip=False,
        )  # fmt: skip
    for which, label in enumerate(BLIND_LABELS):
        values = [bar.blind[which] for bar in bars]
        known = [row for row in rows if values[row] is not None]
        if known:
            axes.scatter(
                [values[row] or 0.0 for row in known], known, marker=BLIND_MARKS[which], s=34,
                color=BLIND[which], edgecolors="white", linewidths=0.8, label=label, zorder=3,
                clip_on=False,
            )  # fmt: skip
    axes.set_yticks(list(rows), [bar.label for bar in bars], color=INK)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, loc="lower right", bbox_to_anchor=(1.02, 1.0),
        ncols=3, handlelength=1, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip


def _bars(report: ScoreReport) -> list[_Bar]:
    return [
        _Bar(
            f"{task.replace('_', '-')}  {name}",
            whole.metrics[name],
            _blind([one for one in report.baselines if one.task == task], name),
        )
        for task in TASKS
        if (whole := report.whole(task)) is not None
        for name in SHOWN[task]
        if name in whole.metrics
    ]


def _blind(baselines: Sequence[BaselineScore], name: str) -> tuple[float | None, ...]:
    """Return the value of the unsearched answer and of the searched one; each task has both."""
    values = [one.metrics.get(name) for one in baselines]
    return tuple(values[: len(BLIND_LABELS)]) + (None,) * (len(BLIND_LABELS) - len(values))
