"""How results look on a terminal: the tables of stages, plans and quarantine, and progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from earshot.store.ledger import StageCount
    from earshot.store.plan import StagePlan
    from earshot.store.runlog import Listener

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON and nothing else on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def stage_table(counts: Iterable[StageCount]) -> Table:
    """The stages: what went in, what became of it, how long it took."""
    table = Table(title="stages", title_justify="left", header_style="bold")
    for name in ("stage", "item"):
        table.add_column(name)
    for name in ("in", "done", "filtered", "rejected", "quarantined", "waiting", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("reasons")
    for count in counts:
        said = {status: count.by_status.get(status, 0) for status in _STATUSES}
        cells = [str(said[status] or "·") for status in _STATUSES]
        if said["quarantined"]:
            cells[3] = f"[red]{cells[3]}[/red]"
        seconds = f"{count.seconds:.1f}" if count.seconds else "·"
        reasons = ", ".join(f"{code} {n}" for code, n in count.reasons.items())
        table.add_row(count.stage, count.item_kind, str(count.n_in), *cells, seconds, reasons)
    return table


def plan_table(plans: Sequence[StagePlan]) -> Table:
    """What each stage has to do, and why."""
    table = Table(title="plan (videos)", title_justify="left", header_style="bold")
    table.add_column("stage")
    for name in ("fresh", "stale", "missing", "again", "quarantined", "behind", "task runs"):
        table.add_column(name, justify="right")
    table.add_column("stale because of")
    table.add_column("cost")
    for one in plans:
        numbers = (one.fresh, sum(one.stale.values()), one.missing, one.again, one.quarantined)
        why = ", ".join(f"{reason} {n}" for reason, n in one.stale.items())
        table.add_row(
            one.stage,
            *(str(n or "·") for n in numbers),
            f"≤ {one.behind}" if one.behind else "·",
            str(one.task_runs or "·"),
            why,
            _cost(one),
        )
    return table


def _cost(one: StagePlan) -> str:
    cost = one.cost
    parts = [
        (cost.calls, f"{cost.calls} calls"),
        (cost.tokens, f"{cost.tokens} tokens"),
        (cost.usd, f"{cost.usd:.2f} USD"),
        (cost.frames, f"{cost.frames} frames"),
        (cost.gpu_s, f"{cost.gpu_s / 60:.1f} GPU min"),
        (cost.annotator_s, f"{cost.annotator_s / 3600:.1f} annotator h"),
    ]
    return ", ".join(text for value, text in parts if value)


@contextmanager
def progress_bars() -> Iterator[Listener]:
    """Yield a listener for the run log that shows one bar a stage."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=False) as progress:
        bars: dict[str, Any] = {}

        def listen(event: str, fields: dict[str, Any]) -> None:
            if event == "stage_started" and fields["total"]:
                stage = fields["stage"]
                bars[stage] = progress.add_task(stage, total=fields["total"])
            elif event == "video_done" and fields["stage"] in bars:
                progress.advance(bars[fields["stage"]])
            elif event == "waiting_for_lease":
                progress.console.print(f"waiting: {fields['held_by']}")

        yield listen


_STATUSES = ("done", "filtered", "rejected", "quarantined", "waiting")
