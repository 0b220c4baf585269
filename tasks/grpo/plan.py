"""Which prompt stands in which batch, on which rank: a table, made before anything is trained.

Takes ids, tasks and visual tokens, gives positions: every batch has the same number of prompts of
each task, and its tokens are dealt to the ranks in a snake, largest first. Deterministic by seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earshot.errors import InputError
from earshot.schemas.question import Task
from earshot.schemas.training import PlanRow

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Batches of all epochs.

    Attributes:
        order: (epochs, batches, ranks, slots) index of the prompt.
        quotas: prompts of each task in every batch.
        left_out: an epoch: prompts that filled no whole batch.
        worst_rank: mean over batches of the largest over the mean tokens of a rank.
    """

    order: Ints
    quotas: dict[Task, int]
    left_out: tuple[int, ...]
    worst_rank: float

    @property
    def prompts(self) -> Ints:
        """Indices of the prompts that stand anywhere in the plan, ascending."""
        return np.unique(self.order)


def make_plan(
    tasks: Sequence[Task],
    tokens: Sequence[int],
    *,
    batch: int,
    ranks: int = 1,
    epochs: int = 1,
    seed: int = 0,
    quotas: Mapping[Task, int] | None = None,
) -> Plan:
    """Return the plan of prompts, whose order has to be the same each time (sort by id).

    Args:
        tasks: of each prompt.
        tokens: visual tokens of each.
        batch: prompts a batch, a multiple of `ranks`.
        ranks: that share a batch.
        epochs: each has its own order.
        seed: of NumPy's PCG64, together with the epoch.
        quotas: prompts of each task a batch, `batch` together; default: as they are represented.

    Raises:
        InputError: no batch can be filled.
    """
    of_task = {
        task: np.flatnonzero(np.array(tasks) == task) for task in sorted(set(tasks))
    }  # a task a pool
    counts = {task: len(found) for task, found in of_task.items()}
    wanted = dict(quotas) if quotas else share(counts, batch)
    wanted = {task: quota for task, quota in wanted.items() if quota}
    batches = min((counts.get(task, 0) // quota for task, quota in wanted.items()), default=0)
    if not batches:
        raise InputError(
            f"no batch of {batch} prompts can be filled: there are {counts or 'no prompts'}, a "
            f"batch takes {wanted}; lower batch_prompts or change the quotas"
        )
    sizes = np.asarray(tokens, dtype=np.int64)
    order = np.stack(
        [_epoch(of_task, wanted, batches, sizes, ranks, seed, epoch) for epoch in range(epochs)]
    )
    left = len(tasks) - batches * batch
    return Plan(order, wanted, (left,) * epochs, _worst(sizes[order]))


def share(counts: Mapping[Task, int], batch: int) -> dict[Task, int]:
    """Return how many prompts of each task a batch has: largest remainders, at least 1 of each.

    Raises:
        InputError: a batch is smaller than the number of tasks.
    """
    if len(counts) > batch:
        raise InputError(
            f"a batch of {batch} prompts can't hold {len(counts)} tasks; raise batch_prompts, or "
            "give quotas"
        )
    if not counts:
        return {}
    total = sum(counts.values())
    exact = {task: batch * count / total for task, count in counts.items()}
    found = {task: max(int(value), 1) for task, value in exact.items()}
    while sum(found.values()) < batch:
        task = max(found, key=lambda each: (exact[each] - found[each], each))
        found[task] += 1
    while sum(found.values()) > batch:
        task = max(
            (each for each in found if found[each] > 1),
            key=lambda each: (found[each] - exact[each], each),
        )
        found[task] -= 1
    return found


def _epoch(
    of_task: Mapping[Task, Ints],
    quotas: Mapping[Task, int],
    batches: int,
    sizes: Ints,
    ranks: int,
    seed: int,
    epoch: int,
) -> Ints:
    """Return (batches, ranks, slots) of one epoch."""
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    drawn = [
        rng.permutation(of_task[task])[: batches * quotas[task]].reshape(batches, -1)
        for task in sorted(quotas)
    ]
    members = np.concatenate(drawn, axis=1)
    # Equal sizes stay in the drawn order, so that no task keeps to one rank.
    members = rng.permuted(members, axis=1)
    falling = np.argsort(-sizes[members], axis=1, kind="stable")
    members = np.take_along_axis(members, falling, axis=1)
    # Dealt 0 1 2, 2 1 0, 0 1 2, ...: every rank gets its share of large and small.
    dealt = members.reshape(batches, -1, ranks)
    dealt[:, 1::2] = dealt[:, 1::2, ::-1]
    return dealt.transpose(0, 2, 1).copy()


def _worst(tokens: Ints) -> float:
    """Return the mean over batches of largest / mean tokens of a rank."""
    of_rank = tokens.sum(axis=-1).astype(np.float64)
    mean = np.maximum(of_rank.mean(axis=-1), 1e-12)
    return float((of_rank.max(axis=-1) / mean).mean())


def plan_table(plan: Plan, sample_ids: Sequence[str], tokens: Sequence[int]) -> pa.Table:
    """Return the plan as a table of `PlanRow`, in the order of the files."""
    index = plan.order.reshape(-1)
    places = np.indices(plan.order.shape).reshape(4, -1).astype(np.int32)
    names = ("epoch", "batch", "rank", "slot")
    columns: dict[str, object] = dict(zip(names, map(pa.array, places), strict=True))
    columns["sample_id"] = pa.array(sample_ids, pa.string()).take(pa.array(index))
    columns["vision_tokens"] = pa.array(np.asarray(tokens, np.int32)[index])
    return pa.table(columns, schema=PlanRow.ARROW)


def plan_digest(table: pa.Table) -> str:
    """Return the sha256 of a plan's values, whatever file they stand in."""
    digest = hashlib.sha256()
    for name in ("epoch", "batch", "rank", "slot", "vision_tokens"):
        digest.update(table[name].to_numpy().astype("<i4").tobytes())
    digest.update("\n".join(table["sample_id"].to_pylist()).encode())
    return digest.hexdigest()
