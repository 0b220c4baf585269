"""Which prompt stands in which batch, on which rank: a table, made before anything is trained.

Takes tasks and visual tokens, gives positions: every batch has the same number of prompts of each
task, and its tokens are dealt to the ranks in a snake, largest first, the next to whoever has
least. Deterministic by seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
    tasks: Sequence[Task] | pa.Array,
    tokens: Sequence[int] | npt.NDArray[np.integer],
    *,
    batch: int,
    ranks: int = 1,
    epochs: int = 1,
    seed: int = 0,
    quotas: Mapping[Task, int] | None = None,
    bins: Ints | None = None,
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
        bins: of each prompt; an epoch begins with the lowest of every task (a curriculum).

    Raises:
        InputError: no batch can be filled.
    """
    coded = tasks if isinstance(tasks, pa.DictionaryArray) else _coded(tasks)
    codes = coded.indices.to_numpy(zero_copy_only=False)
    numbered = enumerate(coded.dictionary.to_pylist())
    of_task = {task: np.flatnonzero(codes == code).astype(np.int32) for code, task in numbered}
    of_task = {task: of_task[task] for task in sorted(of_task) if len(of_task[task])}
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
    made = [
        _epoch(of_task, wanted, batches, sizes, ranks, seed, epoch, bins) for epoch in range(epochs)
    ]
    order, loads = (np.stack(parts) for parts in zip(*made, strict=True))
    left = len(tasks) - batches * batch
    return Plan(order, wanted, (left,) * epochs, _worst(loads))


def _coded(tasks: Sequence[Task] | pa.Array) -> pa.DictionaryArray:
    return pa.array(tasks, pa.string()).dictionary_encode()


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
    of_task: Mapping[Task, npt.NDArray[np.int32]],
    quotas: Mapping[Task, int],
    batches: int,
    sizes: Ints,
    ranks: int,
    seed: int,
    epoch: int,
    bins: Ints | None,
) -> tuple[Ints, Ints]:
    """Return (batches, ranks, slots) of one epoch, and the tokens of each rank."""
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    drawn = []
    for task in sorted(quotas):
        taken = rng.permutation(of_task[task])[: batches * quotas[task]]
        if bins is not None:
            taken = taken[np.argsort(bins[taken], kind="stable")]
        drawn.append(taken.reshape(batches, -1))
    members = np.concatenate(drawn, axis=1)
    # Equal sizes stay in the drawn order, so that no task keeps to one rank.
    members = rng.permuted(members, axis=1)
    return _dealt(members, sizes[members], ranks)


def _dealt(members: npt.NDArray[np.int32], sizes: Ints, ranks: int) -> tuple[Ints, Ints]:
    """Deal the members of each batch to its ranks: (batches, ranks, slots), tokens of each rank.

    A round gives one prompt to every rank, the largest to the one that has least so far: 0 1 2,
    2 1 0, and on in the snake that the sizes make. Every rank gets the same number.
    """
    batches, batch = members.shape
    slots = batch // ranks
    # Whole numbers that carry a place in their lowest bits: one sort, stable by the place.
    bits = batch.bit_length()
    keyed = np.sort((-sizes << bits) | np.arange(batch), axis=1)
    falling = -(keyed >> bits)
    ordered = np.take_along_axis(members, keyed & ((1 << bits) - 1), axis=1)
    rounds = falling.reshape(batches, slots, ranks) << bits
    loads = np.tile(np.arange(ranks), (batches, 1))
    to = np.empty_like(rounds)
    for number in range(slots):
        loads.sort(axis=1)
        np.bitwise_and(loads, (1 << bits) - 1, out=to[:, number])
        loads += rounds[:, number]
    to *= slots
    to += np.arange(slots)[:, None]
    to += (np.arange(batches) * batch)[:, None, None]
    dealt = np.empty(ordered.size, np.int64)
    dealt[to.reshape(-1)] = ordered.reshape(-1)
    return dealt.reshape(batches, ranks, slots), loads >> bits


def _worst(loads: Ints) -> float:
    """Return the mean over batches of largest / mean tokens of a rank, the last axis."""
    mean = np.maximum(loads.mean(axis=-1), 1e-12)
    return float((loads.max(axis=-1) / mean).mean())


def plan_table(
    plan: Plan, sample_ids: pa.Array | Sequence[str], tokens: Sequence[int] | Ints
) -> pa.Table:
    """Return the plan as a table of `PlanRow`, in the order of the files."""
    index = plan.order.reshape(-1)
    ids = pa.array(sample_ids, pa.string()).take(pa.array(index))
    return plan_rows(plan, 0, ids, np.asarray(tokens, np.int32)[index])


def plan_rows(
    plan: Plan, first: int, sample_ids: pa.Array, tokens: npt.NDArray[np.integer]
) -> pa.Table:
    """Return rows of the plan, from row `first` on, about samples that are in its order."""
    shape = plan.order.shape
    at = np.arange(first, first + len(sample_ids))
    columns: dict[str, object] = {}
    for axis, name in ((3, "slot"), (2, "rank"), (1, "batch"), (0, "epoch")):
        at, place = np.divmod(at, shape[axis])
        columns[name] = pa.array(place, pa.int32())
    columns["sample_id"], columns["vision_tokens"] = sample_ids, pa.array(tokens, pa.int32())
    return pa.table({name: columns[name] for name in PlanRow.ARROW.names}, schema=PlanRow.ARROW)


def plan_digest(table: pa.Table) -> str:
    """Return the sha256 of a plan's values, whatever file they stand in."""
    digest = PlanDigest()
    digest.update(table)
    return digest.hex()


class PlanDigest:
    """The digest of a plan that comes in pieces, in order; see `plan_digest`."""

    def __init__(self) -> None:
        self._columns = {name: hashlib.sha256() for name in PlanRow.ARROW.names}

    def update(self, table: pa.Table) -> None:
        """Take the next rows."""
        for name, column in self._columns.items():
            if name == "sample_id":
                for chunk in pc.binary_join_element_wise(table[name], "", "\n").chunks:
                    column.update(_text(chunk))
            else:
                column.update(table[name].to_numpy().astype("<i4").tobytes())

    def hex(self) -> str:
        """Return the sha256."""
        whole = hashlib.sha256()
        for column in self._columns.values():
            whole.update(column.digest())
        return whole.hexdigest()


def _text(strings: pa.Array) -> memoryview:
    """Return the bytes of all strings, one behind the other."""
    _, offsets, data = strings.buffers()
    ends = np.frombuffer(offsets, np.int32)[[strings.offset, strings.offset + len(strings)]]
    return memoryview(data or b"")[ends[0] : ends[1]]
