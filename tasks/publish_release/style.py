"""How the plots of the card look: colours, titles, legends."""

from __future__ import annotations

from matplotlib.axes import Axes

INK, MUTED, LINE = "#1f2933", "#64748b", "#d5dbe3"
# Distinguishable also with a colour-vision deficiency: blue, orange, teal (Okabe and Ito).
SPLIT_COLOURS = {"train": "#0072b2", "validation": "#e69f00", "test": "#009e73"}


def titled(axes: Axes, title: str, below: str, x: str, y: str) -> None:
    """Write the title, the line below it and what the axes are."""
    figure = axes.get_figure()
    if figure is not None:  # of the figure: the axes of long names are narrow
        figure.text(0.025, 0.93, title, fontsize=12, color=INK, fontweight="bold")
        figure.text(0.025, 0.875, below, fontsize=9, color=MUTED)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)


def legend(axes: Axes) -> None:
    """Draw the splits above the plot, at the right."""
    axes.legend(
        frameon=False, fontsize=9, labelcolor=INK, loc="lower right", bbox_to_anchor=(1.01, 1.1),
        ncols=3, handlelength=1, handleheight=0.9, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip


def nothing(axes: Axes) -> None:
    """Say that there is nothing to draw."""
    axes.text(
        0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=MUTED, fontsize=11
    )
    axes.set_xticks([])
    axes.set_yticks([])
