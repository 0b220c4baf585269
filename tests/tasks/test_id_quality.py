"""Ids beside the public demo's rule, on the worlds of benchmarks/id_quality.py."""

from __future__ import annotations

import pytest

from benchmarks.id_quality import LEVELS, MAX_SWITCH_SHARE, SITUATIONS, Score, compare

SEEDS = (100, 101)


@pytest.mark.parametrize("level", ["low", "high"])
def test_ids_switch_at_most_a_fifth_as_often_as_by_the_rule_of_the_demo(level: str) -> None:
    """Given the same detections and the same imperfect propagator, on seeds of their own."""
    rows: list[tuple[Score, Score]] = [compare(each, LEVELS[level], SEEDS) for each in SITUATIONS]
    ours, demo = (sum(row[side].switches for row in rows) for side in (0, 1))
    assert demo > 20
    assert ours <= MAX_SWITCH_SHARE * demo
    assert all(row[0].idf1 > row[1].idf1 for row in rows)
    assert all(row[0].tube_iou > row[1].tube_iou for row in rows)
