"""How results look on a terminal: the tables of stages, plans and quarantine, and progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from earshot.store.ledger import StageCount
    from earshot.store.plan import StagePlan
    from earshot.store.runlog import Listener
    from earshot.store.stage import Estimate
    from earshot.tasks.build import TextOnlyPlan

# No markup: captions, paths and messages hold square brackets that rich would read as tags.
console = Console(highlight=False, markup=False)
errors = Console(stderr=True, highlight=False, markup=False)
#: Characters of a message or value.
_LONGEST = 200


def say(line: str) -> None:
    """Print a line that people may copy from: a path in it is never broken by a narrow terminal."""
    console.print(line, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON and nothing else on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def print_stages(counts: Iterable[StageCount]) -> None:
    """Print the stages: what went in, what became of it, how long it took; then why."""
    from earshot.schemas.ledger import REASONS

    rows = list(counts)
    # 80 columns are narrow: rejected and waiting items have a column only where there are any.
    shown = [s for s in _STATUSES if s not in _RARE or any(c.by_status.get(s) for c in rows)]
    table = _table("stage", "item", right=("in", *shown, "seconds"))
    for count in rows:
        said = {status: Text(str(count.by_status.get(status) or "·")) for status in shown}
        if count.by_status.get("quarantined"):
            said["quarantined"].stylize("red")
        seconds = f"{count.seconds:.1f}" if count.item_kind == "video" else "·"
        table.add_row(count.stage, count.item_kind, str(count.n_in), *said.values(), seconds)
    console.print(table)
    for count in rows:
        for code, number in count.reasons.items():
            reason = REASONS[code]
            where = f"{count.stage}: {number} {count.item_kind}{'s' if number > 1 else ''}"
            console.print(f"{where} {reason.status}, {code}: {reason.sentence}", soft_wrap=True)


def print_plan(plans: Sequence[StagePlan]) -> None:
    """Print what each stage has to do, why, and what it will cost."""
    right = ("fresh", "stale", "missing", "again", "quarantined", "behind", "runs")
    table = _table("stage", right=right)
    for one in plans:
        numbers = (one.fresh, sum(one.stale.values()), one.missing, one.again, one.quarantined)
        behind = f"≤{one.behind}" if one.behind else "·"
        cells = (*(str(n or "·") for n in numbers), behind, str(one.task_runs or "·"))
        table.add_row(one.stage, *cells)
    console.print(table)
    for one in plans:
        for why, number in one.stale.items():
            console.print(f"{one.stage}: {number} stale because of {why}")
        _print_costs(one.stage, one.cost, one.cost_behind)


def print_text_only(one: TextOnlyPlan) -> None:
    """Print what publication will ask the model that sees no video, and what it will cost."""
    name = "release, text only"
    if not one.asks:
        say(f"{name}: costs 0 calls: {one.model} has answered every question that is asked")
    _print_costs(name, one.cost, one.cost_behind)
    if one.trouble:
        say(f"{name}: the questions that there are could not be looked at: {one.trouble}")
    if one.videos:
        say(
            f"{name}: up to {one.videos} videos still get their questions; how many of test there "
            f"will be is not known, {one.most} of each task are asked at most"
        )


def _print_costs(name: str, cost: Estimate, behind: Estimate) -> None:
    if text := _cost(cost):
        say(f"{name}: costs {text}")
    if text := _cost(behind):
        more = "on top " if cost.calls else ""
        say(f"{name}: costs {more}at most, for what comes behind, {text}")
    if basis := cost.basis or behind.basis:
        say(f"{name}: {basis}")


def print_quarantine(rows: Sequence[Mapping[str, object]]) -> None:
    """Print quarantined items by stage and reason: equal messages once, then a line an item."""
    groups: dict[tuple[object, ...], dict[str, list[tuple[str, str, str]]]] = {}
    for row in rows:
        item, value, message = (_one_line(row[k]) for k in ("item_id", "value", "message"))
        message = message.partition(" [traceback: ")[0].removeprefix(f"{item}: ")
        shared = message.replace(value, "...") if value else message
        group = groups.setdefault((row["stage"], row["item_kind"], row["reason_code"]), {})
        group.setdefault(shared.replace(item, "..."), []).append((item, value, message))
    for (stage, kind, code), messages in groups.items():
        number = sum(map(len, messages.values()))
        say(f"{stage}: {number} {kind}{'s' if number > 1 else ''} {code}")
        for shared, items in messages.items():
            if len(items) == 1:
                item, _, message = items[0]
                say(f"  {item}  {_cut(message)}")
                continue
            say(f"  {_cut(shared)}")
            width = max(len(item) for item, *_ in items)
            for item, value, _ in items:
                say(f"    {item:{width}}  {_cut(value)}".rstrip())
    say(
        "`--json` has every message whole, and where its traceback lies"
        if rows
        else "quarantine is empty"
    )


def _one_line(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def new_table() -> Table:
    """Return a table in the style of all commands, without columns."""
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _table(*left: str, right: Sequence[str]) -> Table:
    table = new_table()
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cost(cost: Estimate) -> str:
    usd = f"{cost.usd:.4g} USD ({cost.usd_low:.4g} to {cost.usd_high:.4g})"
    parts: list[tuple[float, str]] = [
        (cost.calls, f"{cost.calls} calls"),
        (cost.tokens, f"{cost.tokens} tokens"),
        (cost.usd, usd),
        (cost.frames, f"{cost.frames} frames"),
        (cost.detector_frames, f"{cost.detector_frames} detector frames"),
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
            elif event == "video_ran" and fields["stage"] in bars:
                progress.advance(bars[fields["stage"]])
            elif event == "waiting_for_lease":
                progress.console.print(f"waiting: {fields['held_by']}")

        yield listen


_RARE = ("rejected", "waiting")
_STATUSES = ("done", "filtered", "rejected", "quarantined", "waiting")
