"""Plans of batches: exact quotas, balanced ranks, every prompt once an epoch, the same by seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from earshot.errors import InputError
from earshot.tasks.grpo.plan import make_plan, plan_digest, plan_table, share


def world(count: int = 960) -> tuple[list[str], list[int]]:
    """Prompts of three tasks in unequal numbers; sizes as of real videos, log-normal."""
    rng = np.random.default_rng(3)
    names = ["spatial", "spatio_temporal", "temporal"]
    tasks = rng.choice(names, count, p=[0.5, 0.3, 0.2]).tolist()
    return tasks, np.exp(rng.normal(8, 0.8, count)).astype(int).tolist()


def test_quotas_are_exact_and_prompts_come_once():
    """In every batch; what fills no batch is counted."""
    tasks, tokens = world()
    plan = make_plan(tasks, tokens, batch=24, ranks=4, epochs=3, seed=1)
    assert plan.order.shape[2:] == (4, 6)
    for epoch in plan.order:
        assert len(np.unique(epoch)) == epoch.size
        for batch in epoch:
            assert Counter(tasks[at] for at in batch.ravel()) == plan.quotas
    assert plan.left_out == (960 - plan.order[0].size,) * 3
    assert len({epoch.tobytes() for epoch in plan.order}) == 3


def test_ranks_carry_alike():
    """The largest rank over the mean is at most 1.25 where the drawn order gives more than 1.3."""
    tasks, tokens = world()
    plan = make_plan(tasks, tokens, batch=24, ranks=4)
    sizes = np.array(tokens)
    drawn = np.random.default_rng(0).permutation(960).reshape(-1, 4, 6)
    loads = sizes[drawn].sum(axis=-1)
    assert plan.worst_rank <= 1.25 < 1.3 < (loads.max(axis=-1) / loads.mean(axis=-1)).mean()


def test_the_seed_decides():
    """Same seed, same digest; the number of the epoch is part of the seed."""
    tasks, tokens = world(240)
    ids = [f"q{at:04d}" for at in range(240)]

    def digest(seed: int) -> str:
        plan = make_plan(tasks, tokens, batch=12, ranks=2, seed=seed)
        return plan_digest(plan_table(plan, ids, tokens))

    assert digest(1) == digest(1) != digest(2)
    one = make_plan(tasks, tokens, batch=12, epochs=1, seed=5).order[0]
    two = make_plan(tasks, tokens, batch=12, epochs=2, seed=5).order
    assert np.array_equal(one, two[0])


def test_shares():
    """Largest remainders, at least one of each task, the batch filled exactly."""
    assert share({"spatial": 500, "temporal": 300, "spatio_temporal": 200}, 10) == {
        "spatial": 5, "temporal": 3, "spatio_temporal": 2,
    }  # fmt: skip
    assert share({"spatial": 998, "temporal": 1, "spatio_temporal": 1}, 4) == {
        "spatial": 2, "temporal": 1, "spatio_temporal": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match="can't hold 2 tasks"):
        share({"spatial": 5, "temporal": 3}, 1)


@pytest.mark.parametrize("tasks", [[], ["temporal"] * 5])
def test_no_batch_is_an_error(tasks):
    """Too few prompts say so, with what there is."""
    with pytest.raises(InputError, match="no batch of 6 prompts"):
        make_plan(tasks, [1] * len(tasks), batch=6)
