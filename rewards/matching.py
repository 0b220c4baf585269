"""Takes who may be paired with whom, gives the largest matching and the heaviest assignment.

Standard library only and exact: weights are integers, so equal sums are equal. Never looks at
names or boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Edge = tuple[int, int]


def maximum_matching(neighbours: Sequence[Sequence[int]]) -> int:
    """Return how many rows can have a column of their own (Kuhn's augmenting paths).

    `neighbours[row]` lists the columns that the row may have. Depth of recursion: rows matched.

    >>> maximum_matching([[0, 1], [0]])
    2
    """
    owner: dict[int, int] = {}

    def find_column(row: int, seen: set[int]) -> bool:
        for column in neighbours[row]:
            if column in seen:
                continue
            seen.add(column)
            if column not in owner or find_column(owner[column], seen):
                owner[column] = row
                return True
        return False

    return sum(find_column(row, set()) for row in range(len(neighbours)))


def best_assignment(weights: Mapping[Edge, int]) -> list[Edge]:
    """Return the (row, column) pairs, one to one, whose weights have the largest sum; sorted.

    A pair that is not in `weights` may not be chosen; weights of 0 or less never are. Exact for
    integers of any size. Cost: n * n * m for each connected part with n <= m rows and columns.

    >>> best_assignment({(0, 0): 5, (0, 1): 5, (1, 0): 4})
    [(0, 1), (1, 0)]
    """
    positive = {edge: weight for edge, weight in weights.items() if weight > 0}
    chosen: list[Edge] = []
    for edges in _connected_parts(positive):
        rows = sorted({row for row, _ in edges})
        columns = sorted({column for _, column in edges})
        if len(rows) == 1 or len(columns) == 1:
            # One row or one column: its heaviest pair; the usual case.
            chosen.append(min(edges, key=lambda edge: (-positive[edge], edge)))
            continue
        table = [[positive.get((row, column), 0) for column in columns] for row in rows]
        pairs = ((rows[i], columns[j]) for i, j in _assign(table))
        chosen += [edge for edge in pairs if edge in positive]
    return sorted(chosen)


def _connected_parts(edges: Mapping[Edge, int]) -> list[list[Edge]]:
    """Split a bipartite graph into its connected parts: each is a problem of its own."""
    by_row: dict[int, list[Edge]] = {}
    by_column: dict[int, list[Edge]] = {}
    for edge in sorted(edges):
        by_row.setdefault(edge[0], []).append(edge)
        by_column.setdefault(edge[1], []).append(edge)
    parts: list[list[Edge]] = []
    while by_row:
        part: list[Edge] = []
        rows = [next(iter(by_row))]
        while rows:
            for row, column in by_row.pop(rows.pop(), ()):
                part.append((row, column))
                rows += [other for other, _ in by_column.pop(column, ()) if other != row]
        parts.append(part)
    return parts


def _assign(weights: Sequence[Sequence[int]]) -> list[Edge]:
    """Return a heaviest complete assignment of the shorter side of a full table."""
    if len(weights) > len(weights[0]):
        return [(i, j) for j, i in _assign(list(zip(*weights, strict=True)))]
    n_columns = len(weights[0])
    row_price = [0] * len(weights)
    column_price = [0] * n_columns
    owner: list[int | None] = [None] * n_columns
    for row in range(len(weights)):
        _augment(weights, row, row_price, column_price, owner)
    return [(row, column) for column, row in enumerate(owner) if row is not None]


def _augment(
    weights: Sequence[Sequence[int]],
    start: int,
    row_price: list[int],
    column_price: list[int],
    owner: list[int | None],
) -> None:
    """Give one more row a column, along the cheapest path (Hungarian method with prices).

    Prices keep `row_price + column_price >= weight`, with equality on owned pairs.
    """
    row_price[start] = max(weights[start][j] - column_price[j] for j in range(len(owner)))
    slack: list[int | None] = [None] * len(owner)
    came_from = [-1] * len(owner)
    done: list[int] = []
    left = set(range(len(owner)))
    row, behind = start, -1
    while True:
        for j in left:
            gap = row_price[row] + column_price[j] - weights[row][j]
            known = slack[j]
            if known is None or gap < known:
                slack[j], came_from[j] = gap, behind
        step, column = min((slack[j] or 0, j) for j in left)
        row_price[start] -= step
        for j in done:
            column_price[j] += step
            row_price[_owner_of(owner, j)] -= step
        for j in left:
            slack[j] = (slack[j] or 0) - step
        done.append(column)
        left.remove(column)
        behind = column
        taken_by = owner[column]
        if taken_by is None:
            break
        row = taken_by
    while behind >= 0:
        before = came_from[behind]
        owner[behind] = start if before < 0 else owner[before]
        behind = before


def _owner_of(owner: Sequence[int | None], column: int) -> int:
    row = owner[column]
    assert row is not None
    return row
