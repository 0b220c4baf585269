"""Chooses the most questions that keep every quota, and says of each of the others why not.

Takes the traits of questions, gives those to leave out. Questions with the same traits are one
variable of a linear program, which HiGHS solves; among them the hash of seed and id decides, so the
same release is left out in the same way, whatever the order of its rows.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from earshot.errors import ReleaseError
from earshot.names import norm
from earshot.schemas.base import digest_of
from earshot.schemas.config import Quota, ReleaseConfig
from earshot.tasks.publish_release.selection import Why
from earshot.tasks.score_answers.groups import DURATIONS, LONGER

BINS = 10

EXACT_CELLS = 500
"""With more kinds of questions whole numbers would take minutes."""

Values = tuple[str, ...]
"""Of one trait: none where a question doesn't have it, several labels where it has several."""

Cell = tuple[Values, ...]


@dataclass(frozen=True)
class Traits:
    """What the quotas look at in one question.

    Attributes:
        values: one entry a quota, in their order.
    """

    question_id: str
    split: str
    values: Cell


@dataclass(frozen=True)
class Balanced:
    """How one value of one quota fared in one split."""

    split: str
    by: str
    value: str
    made: int
    published: int
    of: int
    max_share: float


def read_traits(
    questions: pa.Table, videos: pa.Table, events: pa.Table, quotas: Sequence[Quota]
) -> list[Traits]:
    """Return the traits that quotas ask for, of every question."""
    durations = dict(
        zip(videos["video_id"].to_pylist(), videos["duration_s"].to_pylist(), strict=True)
    )
    labels = dict(zip(events["event_id"].to_pylist(), events["label"].to_pylist(), strict=True))
    n_events = Counter(events["video_id"].to_pylist())
    columns = ["question_id", "video_id", "split", "task", "branch", "truth_json", "options",
               "event_ids"]  # fmt: skip
    found = []
    for batch in questions.select(columns).to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            row["duration_s"] = durations.get(row["video_id"], 0.0)
            row["n_events"] = n_events[row["video_id"]]
            row["labels"] = [labels.get(event_id) for event_id in row["event_ids"]]
            values = tuple(_TRAITS[quota.by](row) for quota in quotas)
            found.append(Traits(row["question_id"], row["split"], values))
    return found


def over_quota(
    traits: Sequence[Traits], config: ReleaseConfig
) -> tuple[dict[str, Why], tuple[Balanced, ...]]:
    """Return the questions to leave out, with reasons, and how each value fared.

    Each split is solved for itself, since a quota holds in each.

    Raises:
        ReleaseError: the solver gave up.
    """
    why: dict[str, Why] = {}
    fared: list[Balanced] = []
    for split in sorted({each.split for each in traits}):
        here = [each for each in traits if each.split == split]
        out, counts = _solve_split(split, here, config)
        why.update(out)
        fared += counts
    return why, tuple(fared)


def _solve_split(
    split: str, traits: Sequence[Traits], config: ReleaseConfig
) -> tuple[dict[str, Why], list[Balanced]]:
    members: dict[Cell, list[str]] = defaultdict(list)
    for each in traits:
        members[each.values].append(each.question_id)
    cells = sorted(members)
    sizes = [len(members[cell]) for cell in cells]
    kept = _solve(cells, sizes, config.quotas)
    fared = _fared(split, cells, sizes, kept, config.quotas)
    tight = {(row.by, row.value): row for row in fared if _is_tight(row)}
    why: dict[str, Why] = {}
    for cell, keeps in zip(cells, kept, strict=True):
        order = sorted(members[cell], key=lambda one: digest_of([config.quota_seed, one]))
        reasons = [
            f"{quota.by} {value!r} may be {quota.max_share:g} of {split} and is "
            f"{row.published} of {row.of}"
            for quota, values in zip(config.quotas, cell, strict=True)
            for value in values
            if (row := tight.get((quota.by, value)))
        ]
        message = "; ".join(reasons) or f"without it the quotas hold in {split}"
        why.update(dict.fromkeys(order[keeps:], ("quota", message)))
    return why, fared


def _solve(cells: Sequence[Cell], sizes: Sequence[int], quotas: Sequence[Quota]) -> list[int]:
    """Return how many questions of each cell stay: as many as the quotas allow.

    Up to `EXACT_CELLS` cells no larger choice keeps the quotas. Above, the whole numbers next below
    the best fractions are taken, and what these still break is mended one question at a time: that
    costs no more questions than there are limits.
    """
    # Most of a second to import, and only releases with quotas pay it.
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    # Variables: the cells, then the number of questions that have each trait.
    entries: list[tuple[int, int, float]] = []
    rows = len(quotas)
    for nth, quota in enumerate(quotas):
        place: dict[str, int] = {}
        entries.append((nth, len(cells) + nth, -1.0))
        for column, cell in enumerate(cells):
            if cell[nth]:
                entries.append((nth, column, 1.0))
            for value in cell[nth]:
                if value not in place:
                    place[value] = rows
                    entries.append((rows, len(cells) + nth, -quota.max_share))
                    rows += 1
                entries.append((place[value], column, 1.0))
    at, columns, numbers = zip(*entries, strict=True)
    width = len(cells) + len(quotas)
    matrix = coo_array((numbers, (at, columns)), shape=(rows, width)).tocsr()
    is_exact = len(cells) <= EXACT_CELLS
    found = milp(
        np.concatenate([-np.ones(len(cells)), np.zeros(len(quotas))]),
        integrality=np.concatenate([np.full(len(cells), int(is_exact)), np.zeros(len(quotas))]),
        bounds=Bounds(0, np.concatenate([sizes, np.full(len(quotas), np.inf)])),
        constraints=LinearConstraint(
            matrix,
            lb=np.concatenate([np.zeros(len(quotas)), np.full(rows - len(quotas), -np.inf)]),
            ub=np.full(rows, 0.0),
        ),
        # Nodes, not seconds: a slower machine chooses the same.
        options={"node_limit": 1000},
    )
    if found.x is None:
        raise ReleaseError(
            f"release.quotas over {len(cells)} kinds of questions can't be solved: "
            f"{found.message}; take one of the quotas out"
        )
    kept = [int(value + 1e-6) for value in found.x[: len(cells)].tolist()]
    return _mended(cells, kept, quotas)


def _mended(cells: Sequence[Cell], kept: list[int], quotas: Sequence[Quota]) -> list[int]:
    """Return the counts less what breaks a quota, from the cells with the most questions."""
    while True:
        worst: tuple[float, int, str] | None = None
        for nth, quota in enumerate(quotas):
            counts: Counter[str] = Counter()
            for cell, keeps in zip(cells, kept, strict=True):
                for value in cell[nth]:
                    counts[value] += keeps
            of = sum(keeps for cell, keeps in zip(cells, kept, strict=True) if cell[nth])
            for value, count in sorted(counts.items()):
                over = count - quota.max_share * of
                if over > 1e-6 and (worst is None or over > worst[0]):
                    worst = (over, nth, value)
        if worst is None:
            return kept
        left = max(1, int(worst[0]))
        having = [n for n, cell in enumerate(cells) if worst[2] in cell[worst[1]]]
        for column in sorted(having, key=lambda n: (-kept[n], n)):
            less = min(left, kept[column])
            kept[column] -= less
            left -= less
            if not left:
                break


def _fared(
    split: str,
    cells: Sequence[Cell],
    sizes: Sequence[int],
    kept: Sequence[int],
    quotas: Sequence[Quota],
) -> list[Balanced]:
    found = []
    for nth, quota in enumerate(quotas):
        made: Counter[str] = Counter()
        published: Counter[str] = Counter()
        of = sum(keeps for cell, keeps in zip(cells, kept, strict=True) if cell[nth])
        for cell, size, keeps in zip(cells, sizes, kept, strict=True):
            made.update(dict.fromkeys(cell[nth], size))
            published.update(dict.fromkeys(cell[nth], keeps))
        found += [
            Balanced(split, quota.by, value, made[value], published[value], of, quota.max_share)
            for value in sorted(made)
        ]
    return found


def _is_tight(row: Balanced) -> bool:
    """Tell whether one more question with this value would be too many."""
    return row.published + 1 > row.max_share * (row.of + 1) + 1e-9


def _duration_group(row: Mapping[str, Any]) -> Values:
    names = (name for end_s, name in DURATIONS if row["duration_s"] <= end_s)
    return (next(names, LONGER),)


def _tenth(share: float) -> Values:
    low = min(BINS - 1, max(0, int(share * BINS)))
    return (f"{low * 100 // BINS}-{(low + 1) * 100 // BINS} %",)


def _intervals(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the times that the answer says; none where the truth can't be read (see the gates)."""
    if row["task"] == "spatial" or not row["duration_s"]:
        return []
    try:
        return [(start, end) for start, end in json.loads(row["truth_json"])["intervals"]]
    except (ValueError, KeyError, TypeError):
        return []


def _start(row: Mapping[str, Any]) -> Values:
    found = _intervals(row)
    return _tenth(min(start for start, _ in found) / row["duration_s"]) if found else ()


def _length(row: Mapping[str, Any]) -> Values:
    found = _intervals(row)
    return _tenth(sum(end - start for start, end in found) / row["duration_s"]) if found else ()


def _answer_position(row: Mapping[str, Any]) -> Values:
    if not row["options"]:
        return ()
    try:
        objects = json.loads(row["truth_json"])["objects"]
        name = norm(objects[0]["name"])
        return (str([norm(option) for option in row["options"]].index(name) + 1),)
    except (ValueError, KeyError, TypeError, IndexError):
        return ()


def _labels(row: Mapping[str, Any]) -> Values:
    labels: Iterable[str | None] = row["labels"]
    return tuple(sorted({label for label in labels if label}))


_TRAITS: dict[str, Callable[[Mapping[str, Any]], Values]] = {
    "task": lambda row: (row["task"],),
    "branch": lambda row: (row["branch"],) if row["branch"] else (),
    "duration_group": _duration_group,
    "events": lambda row: (str(row["n_events"]),),
    "category": _labels,
    "start": _start,
    "length": _length,
    "answer_position": _answer_position,
}
