"""Many tubes or boxes of one name are compared at once; the numbers are those of one by one."""

from __future__ import annotations

import json
import math
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.rewards import avst_zero, tubes
from earshot.rewards.strict import Judgement, judge
from tests.rewards.truths import cases

NEVER, ALWAYS = 10**9, 1
FACTORS = st.sampled_from([1, 640, 1_000_000])
"""Boxes of at most 1, of 640.0 pixels, and larger than floats hold exactly."""


def stretch(rows: list[list[Any]], factor: int) -> list[list[Any]]:
    """Rows of a truth with their edges multiplied."""
    return [[time, *(edge and round(edge * factor, 6) for edge in box)] for time, *box in rows]


@settings(max_examples=80, deadline=None)
@given(cases("spatial"), FACTORS, st.sampled_from([0, 1, 333, 500_000]))
def test_tubes_of_one_name(case: Any, factor: int, off: int) -> None:
    """Scores and IoUs have the same bits in parts of the frame, in pixels and far outside."""
    value = json.loads(case.truth)
    for thing in value["objects"]:
        thing["tubes"] = [{"boxes": stretch(tube["boxes"], factor)} for tube in thing["tubes"]]
    case.blocks[:] = [
        ("thing", [(t, tuple(edge * factor + off for edge in box)) for t, box in rows])
        for _, rows in case.blocks
    ]
    found: list[Judgement] = []
    for limit in (NEVER, ALWAYS):
        with patch.object(tubes, "_MANY", limit):
            found.append(judge("spatial", case.text, json.dumps(value)))
    assert found[0] == found[1]
    assert found[0].score.status == "ok"


EDGES = st.sampled_from([0.0, 1.0, 7.3, -2.0, 1e200, math.inf, math.nan]) | st.floats(-1e3, 1e3)
BOXES = st.lists(st.lists(EDGES, min_size=4, max_size=4), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(BOXES, BOXES)
def test_boxes_of_one_second(true_boxes: list[list[float]], boxes: list[list[float]]) -> None:
    """The released maximum has the same bits, also where numbers are huge or none."""
    found = []
    for limit in (NEVER, ALWAYS):
        with patch.object(avst_zero, "_MANY", limit):
            try:
                found.append(repr(avst_zero._best_overlap(true_boxes, boxes)))
            except (ValueError, OverflowError) as error:
                found.append(repr(error))
    assert found[0] == found[1]
