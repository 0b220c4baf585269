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
from earshot.store.states import Found


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
    for name, stage in snapshot.stages.items():
        reached = snapshot.reach(name)
        found = [one for one in snapshot.look(name, reached) if one]
        counts.append(_videos(snapshot, name, reached, found))
        if stage.item_kind is not None:
            counts.append(_items(name, stage.item_kind, found))
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


def _videos(snapshot: Snapshot, stage: str, reached: list[str], found: list[Found]) -> StageCount:
    statuses = Counter(snapshot.status(one) for one in found)
    reasons = Counter(
        "dropped" if snapshot.status(one) != one.state.status else one.state.reason_code
        for one in found
        if one.state.reason_code
    )
    return StageCount(
        stage,
        "video",
        len(reached),
        dict(statuses),
        {str(code): n for code, n in sorted(reasons.items(), key=lambda pair: str(pair[0]))},
        pending=len(reached) - len(found),
        seconds=sum(one.state.seconds for one in found),
    )


def _items(stage: str, kind: ItemKind, found: list[Found]) -> StageCount:
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for counted, times in Counter(one.state.item_counts for one in found).items():
        for status, reason, number in read_counts(counted):
            statuses[status] += number * times
            if reason is not None:
                reasons[reason] += number * times
    return StageCount(
        stage,
        kind,
        sum(one.state.n_items for one in found),
        dict(statuses),
        dict(sorted(reasons.items())),
    )
