"""Draws what people's inspection came to: takes the report, writes one PNG file.

Three panels: what became of the events and of the boxes that people saw, why they rejected, and how
each annotator fares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from earshot.schemas.inspection_report import InspectionReport
from earshot.store.inspection_report import CAUSES

INK, MUTED, LINE = "#1f2933", "#64748b", "#d5dbe3"
# Distinguishable also with a colour-vision deficiency (Okabe and Ito).
COLOURS = {
    "ok": "#009e73",
    "fixed": "#0072b2",
    "added": "#56b4e9",
    "rejected": "#d55e00",
    "reject": "#d55e00",
    "unsure": "#e69f00",
    "waiting": "#cbd5e1",
}
_MOST = 8


def draw_inspection(told: InspectionReport, path: Path) -> None:
    """Write the plot of a report."""
    figure = Figure(figsize=(12.6, 3.9), dpi=150, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.13, top=0.82, wspace=0.62)
    axes = figure.subplots(1, 3)
    for each in axes:
        for side in ("top", "right", "left", "bottom"):
            each.spines[side].set_visible(False)
        each.tick_params(colors=MUTED, labelsize=9, length=0)
    _shares(axes[0], told)
    _reasons(axes[1], told.reasons)
    _annotators(axes[2], told)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No version and date inside: equal reports give equal bytes.
    canvas.print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _titled(axes: Axes, title: str, below: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=12, color=INK, fontweight="bold")
    axes.text(0, 1.03, below, transform=axes.transAxes, fontsize=9, color=MUTED)


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])


def _shares(axes: Axes, told: InspectionReport) -> None:
    corrected = told.corrected_share
    below = "·" if corrected is None else f"{100 * corrected:.0f} % of the boxes shown corrected"
    _titled(axes, "What people decided", below)
    events = {**told.verdicts, "waiting": told.waiting}
    bars: dict[str, Mapping[str, int]] = {
        "events": events, "boxes": told.tubes, "questions": told.questions.verdicts,
    }  # fmt: skip
    for row, counts in enumerate(bars.values()):
        total, left = sum(counts.values()), 0.0
        for name in [name for name in COLOURS if counts.get(name)]:
            share = counts[name] / total
            axes.barh(row, share, left=left, height=0.6, color=COLOURS[name])
            if share > 0.03:
                said = f"{counts[name]}\n{name}" if share > 0.13 else f"{counts[name]}"
                dark = name in ("waiting", "unsure", "added")
                axes.text(
                    left + share / 2, row, said, ha="center", va="center", fontsize=8,
                    color=INK if dark else "white",
                )  # fmt: skip
            left += share
    axes.set_yticks(range(len(bars)), list(bars), color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    names = [name for name in COLOURS if any(each.get(name) for each in bars.values())]
    names = [name for name in names if name != "reject" or "rejected" not in names]
    axes.legend(
        handles=[Patch(color=COLOURS[name], label=name) for name in names], frameon=False,
        fontsize=8, labelcolor=INK, loc="lower left", bbox_to_anchor=(-0.02, -0.17),
        ncols=len(names),
        handlelength=0.9, columnspacing=0.9, handletextpad=0.4, borderaxespad=0,
    )  # fmt: skip


def _reasons(axes: Axes, reasons: Mapping[str, int]) -> None:
    _titled(axes, "Why they rejected", "by reason, with the stage that it speaks of")
    most = list(reasons.items())[:_MOST]
    if not most:
        return _nothing(axes)
    names = [f"{name}\n({CAUSES.get(name, 'other')})" for name, _ in most]
    counts = [float(count) for _, count in most]
    axes.barh(names, counts, height=0.62, color=COLOURS["rejected"])
    for row, count in enumerate(counts):
        axes.annotate(
            f"{count:.0f}", (count, row), (4, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names, color=INK, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(counts) * 1.12)
    axes.set_xticks([])
    return None


def _annotators(axes: Axes, told: InspectionReport) -> None:
    _titled(axes, "Who agrees", "share of their pairs and of gold tasks")
    if not told.annotators:
        return _nothing(axes)
    rows = np.arange(len(told.annotators))
    for offset, colour, label, values in (
        (-0.19, COLOURS["fixed"], "agrees with others", [a.agreed_share for a in told.annotators]),
        (0.19, COLOURS["unsure"], "right on gold", [a.gold_accuracy for a in told.annotators]),
    ):
        axes.barh(
            rows + offset, [value or 0.0 for value in values], height=0.34, color=colour,
            label=label,
        )  # fmt: skip
        for row, value in zip(rows.tolist(), values, strict=True):
            axes.annotate(
                "no task" if value is None else f"{100 * value:.0f} %", (value or 0, row + offset),
                (4, 0), textcoords="offset points", va="center", fontsize=8,
                color=MUTED if value is None else INK,
            )  # fmt: skip
    names = [f"{a.annotator}\n{a.events} events" for a in told.annotators]
    axes.set_yticks(rows, names, color=INK, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks([])
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, loc="lower left", bbox_to_anchor=(-0.02, -0.17),
        ncols=2, handlelength=1, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip
    return None
