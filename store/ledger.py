"""Counts of the ledger, and the proof that they add up.

For every stage and item kind: in = done + filtered + rejected + quarantined + waiting
(CONTRACTS 2). `in` is counted apart from the rows: videos from the stage before, items from what
the stage's input held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from earshot.errors import ReconcileError
from earshot.schemas.ledger import STATUSES, ItemKind
from earshot.store.item_counts import read_counts
from earshot.store.snapshot import Snapshot
from earshot.store.state_rows import NOTHING
from earshot.store.states import Rows, StageStates


@dataclass(frozen=True)
class StageCount:
    """Counts of one item kind in one stage."""

    stage: str
    item_kind: ItemKind
    n_in: int
    by_status: dict[str, int]
    reasons: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    seconds: float = 0.0

    @property
    def adds_up(self) -> bool:
        """Whether every item that went in has exactly one status."""
        return self.n_in == sum(self.by_status.values()) + self.pending

    def to_json(self) -> dict[str, Any]:
        """Return the form that `earshot status --json` prints."""
        counts: dict[str, int] = {s: self.by_status.get(s, 0) for s in STATUSES}
        return {
            "stage": self.stage,
            "item_kind": self.item_kind,
            "in": self.n_in,
            **counts,
            "pending": self.pending,
            "reasons": self.reasons,
        }


def count_stages(snapshot: Snapshot) -> list[StageCount]:
    """Return the counts of every stage, videos first, then the stage's own item kind."""
    counts: list[StageCount] = []
    everything = snapshot.numbers()
    with snapshot.lock:
        for name, stage in snapshot.stages.items():
            reached = snapshot.reached(name, everything)
            rows = snapshot.latest_rows(name, reached)
            rows = rows[rows != NOTHING]
            counts.append(_videos(snapshot, name, len(reached), rows))
            if stage.item_kind is not None:
                counts.append(_items(snapshot.states[name], name, stage.item_kind, rows))
    return counts


def reconcile(counts: list[StageCount]) -> None:
    """Check that the ledger adds up.

    Raises:
        ReconcileError: naming the stages where it does not.
    """
    wrong = [
        f"{count.stage}/{count.item_kind}: in {count.n_in}, but {count.by_status}"
        for count in counts
        if not count.adds_up
    ]
    if wrong:
        raise ReconcileError(
            "the ledger does not add up: " + "; ".join(wrong) + ". Build again with "
            "`--force` for the first of these stages; if it stays so, report it as a bug"
        )


def _videos(snapshot: Snapshot, stage: str, n_in: int, rows: Rows) -> StageCount:
    states = snapshot.states[stage]
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for (status, reason), number in states.tally(rows, "status", "reason_code").items():
        statuses[str(status)] += number
        if reason:
            reasons[reason] += number
    for _, found, decision in snapshot.decided(stage, rows):
        if decision.action != "drop" or found.state.status != "quarantined":
            continue
        statuses["quarantined"] -= 1
        statuses["filtered"] += 1
        if found.state.reason_code:
            reasons[found.state.reason_code] -= 1
            reasons["dropped"] += 1
    return StageCount(
        stage,
        "video",
        n_in,
        dict(+statuses),
        dict(sorted((+reasons).items())),
        pending=n_in - len(rows),
        seconds=float(states.column("seconds", rows).sum()),
    )


def _items(states: StageStates, stage: str, kind: ItemKind, rows: Rows) -> StageCount:
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for (counted,), times in states.tally(rows, "item_counts").items():
        for status, reason, number in read_counts(counted or ""):
            statuses[status] += number * times
            if reason is not None:
                reasons[reason] += number * times
    return StageCount(
        stage,
        kind,
        int(states.column("n_items", rows).sum()),
        dict(statuses),
        dict(sorted(reasons.items())),
    )
