"""Draws the plots of the card: takes a tally, writes PNG files, keeps no state between two calls.

Figures are made without pyplot, whose global state is shared by all threads of a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earshot.schemas.question import Task
from earshot.tasks.publish_release.style import (
    INK,
    LINE,
    MUTED,
    SPLIT_COLOURS,
    legend,
    nothing,
    titled,
)
from earshot.tasks.publish_release.tally import TENTHS_OF_A_PLOT, Counts, Tally
from earshot.tasks.publish_release.world_plots import World, world_plots

HEAT = LinearSegmentedColormap.from_list("heat", ["#f4f7fb", "#9cc4e4", "#2f7fb8", "#0b2f52"])
TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")

Draw = Callable[[Axes], None]


def draw_all(tally: Tally, folder: Path, world: World | None = None) -> tuple[str, ...]:
    """Write every plot as PNG into `folder`; return the file names, in the card's order."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Draw] = {
        "tasks.png": lambda axes: _tasks(axes, tally),
        "coverage.png": lambda axes: _coverage(axes, tally),
        "start_length.png": lambda axes: _start_length(axes, tally),
        "box_centres.png": lambda axes: _box_centres(axes, tally),
        **(world_plots(world) if world else {}),
    }
    # Labels of events are people's words: a dollar in one is no formula.
    with rc_context({"text.parse_math": False}):
        for name, draw in plots.items():
            _save(draw, folder / name)
    return tuple(plots)


def _save(draw: Draw, path: Path) -> None:
    figure = Figure(figsize=(6.4, 4.0), dpi=150, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    # Fixed margins: a layout engine would double the time of drawing.
    figure.subplots_adjust(left=0.17, right=0.96, bottom=0.13, top=0.84)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    draw(axes)
    # No version and date inside: equal facts give equal bytes.
    canvas.print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _tasks(axes: Axes, tally: Tally) -> None:
    titled(axes, "Questions", f"{tally.questions:,} questions by task and split", "", "")
    if not tally.questions:
        return nothing(axes)
    left = np.zeros(len(TASKS))
    rows = np.arange(len(TASKS))
    for split, colour in SPLIT_COLOURS.items():
        counts = np.array([float(tally.counts[split, task]) for task in TASKS])
        if counts.any():
            axes.barh(rows, counts, left=left, height=0.62, color=colour, label=split)
        left += counts
    for row, total in enumerate(left):
        axes.annotate(
            f"{int(total):,}", (total, row), (5, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(rows, [task.replace("_", "-") for task in TASKS], color=INK)
    axes.figure.subplots_adjust(left=0.2)
    axes.invert_yaxis()
    axes.set_xlim(0, left.max() * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    legend(axes)
    return None


def _coverage(axes: Axes, tally: Tally) -> None:
    below = f"Length of the right answer over that of the video, {tally.timed:,} timed questions"
    titled(axes, "Event coverage", below, "share of the video", "questions")
    if not tally.timed:
        return nothing(axes)
    shown = {split: tally.shares[split] for split in SPLIT_COLOURS if split in tally.shares}
    edges = np.linspace(0, 1, TENTHS_OF_A_PLOT + 1)
    axes.hist(
        [(edges[1:] + edges[:-1]) / 2] * len(shown), weights=list(shown.values()),
        bins=list(edges), stacked=True, rwidth=0.9,
        color=[SPLIT_COLOURS[split] for split in shown], label=list(shown),
    )  # fmt: skip
    axes.axvline(0.9, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        "“the whole video”\nis right from here", (0.9, 0.97), (-6, 0), ha="right", va="top",
        xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8, color=MUTED,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}".replace("%", " %"))
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    legend(axes)
    return None


def _start_length(axes: Axes, tally: Tally) -> None:
    below = f"{tally.intervals:,} intervals of the right answers, relative to the video"
    titled(axes, "Where events start and how long they are", below, "start", "length")
    if not tally.intervals:
        return nothing(axes)
    _heat(axes, tally.places, "intervals")
    axes.plot([0, 1], [1, 0], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        "ends with the video", (0.4, 0.6), (6, 4), textcoords="offset points", fontsize=8,
        color=MUTED,
    )  # fmt: skip
    return None


def _box_centres(axes: Axes, tally: Tally) -> None:
    below = f"Centres of {tally.boxes:,} boxes of the right answers, in the frame"
    titled(axes, "Where the boxes are", below, "x", "y")
    if not tally.boxes:
        return nothing(axes)
    _heat(axes, tally.centres, "boxes")
    axes.invert_yaxis()
    return None


def _heat(axes: Axes, counts: Counts, what: str) -> None:
    edges = np.linspace(0, 1, TENTHS_OF_A_PLOT + 1)
    shown = np.ma.masked_equal(counts.T, 0)
    mesh = axes.pcolormesh(edges, edges, shown, cmap=HEAT, vmin=0, rasterized=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for which in (axes.xaxis, axes.yaxis):
        which.set_major_formatter(lambda share, _: f"{share:.0%}".replace("%", " %"))
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(mesh, ax=axes, shrink=0.9, pad=0.02)
        bar.set_label(what, fontsize=9, color=MUTED)
        bar.ax.tick_params(colors=MUTED, labelsize=9, length=0)
        bar.outline.set_visible(False)
