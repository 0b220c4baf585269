"""The matching and the assignment against trying everything."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from earshot.rewards.matching import best_assignment, maximum_matching

small = settings(max_examples=150, deadline=None)
tables = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 4) | st.integers(0, 2**160), min_size=width, max_size=width),
        min_size=1,
        max_size=5,
    )
)


def by_trying(table: list[list[int]]) -> int:
    """The largest sum of all one-to-one choices."""
    columns = [*range(len(table[0])), *[None] * len(table)]
    return max(
        sum(table[i][j] for i, j in enumerate(chosen) if j is not None)
        for chosen in set(permutations(columns, len(table)))
    )


@small
@given(tables.filter(lambda table: len(table) + len(table[0]) <= 8))
def test_assignment_is_the_heaviest(table: list[list[int]]) -> None:
    """No other one-to-one choice weighs more, also with integers beyond any float."""
    weights = {(i, j): w for i, row in enumerate(table) for j, w in enumerate(row)}
    chosen = best_assignment(weights)
    assert len({i for i, _ in chosen}) == len({j for _, j in chosen}) == len(chosen)
    assert sum(weights[edge] for edge in chosen) == by_trying(table)
    assert all(weights[edge] > 0 for edge in chosen)


@small
@given(tables.filter(lambda table: len(table) + len(table[0]) <= 8))
def test_matching_is_the_largest(table: list[list[int]]) -> None:
    """Its size is that of the heaviest assignment of ones."""
    ones = [[int(cell % 3 == 0) for cell in row] for row in table]
    neighbours = [[j for j, cell in enumerate(row) if cell] for row in ones]
    assert maximum_matching(neighbours) == by_trying(ones)


def test_larger_tables_agree_with_scipy() -> None:
    """Seeded tables of up to 12 x 12, full of ties, sparse and not, weigh what scipy finds."""
    random = np.random.default_rng(5)
    for _ in range(300):
        shape = random.integers(1, 13, 2)
        table = random.integers(0, random.choice([3, 10, 1000]), shape)
        table[random.random(shape) < random.choice([0.0, 0.5])] = 0
        weights = {(i, j): int(w) for (i, j), w in np.ndenumerate(table)}
        found = linear_sum_assignment(table, maximize=True)
        assert sum(weights[edge] for edge in best_assignment(weights)) == table[found].sum()


def test_pairs_that_are_missing_are_never_chosen() -> None:
    """Sparse weights: what is not there may not be paired, though it would cost nothing."""
    assert best_assignment({}) == []
    assert best_assignment({(0, 0): 0, (1, 1): -3}) == []
    assert best_assignment({(7, 3): 1, (7, 9): 2, (2, 9): 5}) == [(2, 9), (7, 3)]
    assert maximum_matching([]) == 0
    assert maximum_matching([[], [0], [0]]) == 1


def test_a_large_part_is_exact() -> None:
    """60 rows that all want the same columns get the one order that is best."""
    weights = {(i, j): 10_000 - (i - j) ** 2 for i in range(60) for j in range(60)}
    assert best_assignment(weights) == [(i, i) for i in range(60)]
