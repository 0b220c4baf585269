"""Draws what stands behind the questions: videos, events, categories, rejects, baselines.

Takes the tables and counts of a release, gives one drawing a plot for `plots.draw_all`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from earshot.schemas.release import LedgerCount
from earshot.tasks.publish_release.baselines import Baselines
from earshot.tasks.publish_release.spool import values_of
from earshot.tasks.publish_release.style import (
    INK,
    LINE,
    MUTED,
    SPLIT_COLOURS,
    legend,
    nothing,
    titled,
)

CATEGORIES_SHOWN = 20
REASONS_SHOWN = 14
# R-AVST's groups (CONTRACTS 3): up to 20, 40 and 60 s.
_GROUPS_S = (20, 40, 60)
_PLAIN, _ALARM = "#0072b2", "#d55e00"


@dataclass(frozen=True)
class World:
    """What the plots read beside the questions' facts.

    Attributes:
        split_of: the split of each video with a question; the others are left out of plots of
            videos and events.
    """

    tables: Mapping[str, pa.Table]
    split_of: Mapping[str, str]
    ledger: Sequence[LedgerCount] = ()
    baselines: Baselines = field(default_factory=lambda: Baselines(()))

    def by_split(self, table: str, column: str) -> dict[str, list[float]]:
        """Return the values of a column by the split of the row's video."""
        found: dict[str, list[float]] = {split: [] for split in SPLIT_COLOURS}
        for video_id, value in values_of(self.tables[table], ["video_id", column]):
            if video_id in self.split_of:
                found[self.split_of[video_id]].append(value)
        return found


def world_plots(world: World) -> dict[str, Callable[[Axes], None]]:
    """Return file name -> drawing."""
    return {
        "durations.png": lambda axes: _durations(axes, world),
        "events.png": lambda axes: _events(axes, world),
        "categories.png": lambda axes: _categories(axes, world),
        "rejects.png": lambda axes: _rejects(axes, world),
        "baselines.png": lambda axes: _baselines(axes, world),
    }


def _durations(axes: Axes, world: World) -> None:
    lengths = {s: v for s, v in world.by_split("media", "duration_s").items() if v}
    values = [v for of_split in lengths.values() for v in of_split]
    mean = f", {np.mean(values):.1f} s on average" if values else ""
    titled(axes, "Videos", f"{len(values):,} videos with a question{mean}", "seconds", "videos")
    if not values:
        return nothing(axes)
    axes.hist(
        list(lengths.values()), bins=list(np.linspace(0, _ceiling(max(values)), 25)), stacked=True,
        rwidth=0.92, color=[SPLIT_COLOURS[s] for s in lengths], label=list(lengths),
    )  # fmt: skip
    for edge in _GROUPS_S:
        if edge < max(values):
            axes.axvline(edge, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xlim(0, _ceiling(max(values)))
    _counts(axes, "y")
    legend(axes)
    return None


def _events(axes: Axes, world: World) -> None:
    counts = Counter(v for (v,) in values_of(world.tables["events"], ["video_id"]))
    numbers = {
        split: Counter(counts[v] for v, s in world.split_of.items() if s == split)
        for split in SPLIT_COLOURS
    }
    total = sum(counts[v] for v in world.split_of)
    below = f"{total:,} events in {len(world.split_of):,} videos with a question"
    titled(axes, "Events per video", below, "events in the video", "videos")
    if not world.split_of:
        return nothing(axes)
    last = max(max(each, default=0) for each in numbers.values())
    xs, bottom = np.arange(last + 1), np.zeros(last + 1)
    for split, colour in SPLIT_COLOURS.items():
        heights = np.array([numbers[split][int(x)] for x in xs], dtype=float)
        if heights.any():
            axes.bar(xs, heights, bottom=bottom, width=0.62, color=colour, label=split)
        bottom += heights
    first = int(np.flatnonzero(bottom)[0])
    axes.set_xlim(first - 0.6, last + 0.6)
    step = max(1, (last - first) // 12)
    axes.set_xticks(range(first, last + 1, step))
    _counts(axes, "y")
    legend(axes)
    return None


def _categories(axes: Axes, world: World) -> None:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for video_id, label in values_of(world.tables["events"], ["video_id", "label"]):
        if video_id in world.split_of:
            found[label or "(no category)"][world.split_of[video_id]] += 1
    ranked = sorted(found, key=lambda name: (-found[name].total(), name))
    shown = ranked[:CATEGORIES_SHOWN]
    more = f", the {CATEGORIES_SHOWN} most frequent" if len(ranked) > len(shown) else ""
    titled(axes, "Categories of events", f"{len(ranked):,} categories{more}", "events", "")
    if not shown:
        return nothing(axes)
    left = np.zeros(len(shown))
    for split, colour in SPLIT_COLOURS.items():
        widths = np.array([found[name][split] for name in shown], dtype=float)
        if widths.any():
            axes.barh(range(len(shown)), widths, left=left, height=0.7, color=colour, label=split)
        left += widths
    _rows(axes, shown, left)
    legend(axes)
    return None


def _rejects(axes: Axes, world: World) -> None:
    reasons = Counter[tuple[str, str]]()
    for row in world.ledger:
        for code, count in row.reasons.items():
            reasons[row.stage, code] += count
    ranked = [pair for pair, count in reasons.most_common() if count]
    shown = ranked[:REASONS_SHOWN]
    total = reasons.total()
    more = f", the {REASONS_SHOWN} most frequent reasons" if len(ranked) > len(shown) else ""
    titled(axes, "What was left out, and why", f"{total:,} items by reason{more}", "items", "")
    if not shown:
        return nothing(axes)
    values = np.array([float(reasons[pair]) for pair in shown])
    axes.barh(range(len(shown)), values, height=0.7, color=_ALARM)
    _rows(axes, [f"{stage}: {code.replace('_', ' ')}" for stage, code in shown], values)
    return None


def _baselines(axes: Axes, world: World) -> None:
    rows = [row for row in world.baselines.rows if row.score is not None]
    below = "Scores on test of answers that look at nothing: a model has to be above them"
    titled(axes, "Blind baselines", below, "score", "")
    if not rows:
        return nothing(axes)
    names = [f"{r.task.replace('_', '-')}: {r.name}" for r in rows]
    metrics = [getattr(r, "metric", "m_tIoU") for r in rows]
    scores = np.array([r.score or 0.0 for r in rows])
    axes.barh(range(len(rows)), scores, height=0.62, color=_PLAIN)
    _rows(axes, names, scores, [f"{m} {s:.3f}" for m, s in zip(metrics, scores, strict=True)])
    axes.set_xlim(0, 1.15)
    axes.set_xticks(np.linspace(0, 1, 6))
    return None


def _rows(
    axes: Axes, names: Sequence[str], totals: np.ndarray, notes: Sequence[str] | None = None
) -> None:
    """Name horizontal bars at the left and write their numbers at the right."""
    for row, total in enumerate(totals):
        note = f"{int(total):,}" if notes is None else notes[row]
        axes.annotate(
            note, (total, row), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=INK,
        )  # fmt: skip
    size = 9 if len(names) <= 12 else 7
    axes.set_yticks(range(len(names)), [_short(n) for n in names], color=INK, fontsize=size)
    axes.invert_yaxis()
    axes.set_xlim(0, max(totals.max() * 1.15, 1e-9))
    _counts(axes, "x")
    # Names need room: the margin grows with the longest of them.
    longest = max(len(_short(name)) for name in names)
    figure = axes.get_figure()
    if figure is not None:
        figure.subplots_adjust(left=min(0.5, 0.06 + longest * (0.0123 if size == 9 else 0.0098)))


def _counts(axes: Axes, which: str) -> None:
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y" if which == "y" else "x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED)


def _short(name: str) -> str:
    return name if len(name) <= 38 else f"{name[:37]}…"


def _ceiling(seconds: float) -> float:
    return float(np.ceil(seconds / 5) * 5)
