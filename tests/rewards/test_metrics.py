"""The metrics of CONTRACTS 8: their values by hand, ties of the assignment, means and bootstrap."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.rewards import score
from earshot.rewards.metrics import (
    Measured,
    Summary,
    am_and_lgm,
    bootstrap,
    log_geometric_mean,
    mean_values,
    measure,
    summarise,
)
from tests.rewards.test_strict import slow_iou, slow_s
from tests.rewards.truths import FAR, SECOND, Box, Case, cases, own_blocks, truth_of, write

UNIT: Box = (0, 0, 100_000, 100_000)
HALF: Box = (0, 0, 100_000, 50_000)
GRID = [0, SECOND]


def values(tubes: Any, blocks: Any, branch: str = "sounding") -> dict[str, float | None]:
    """The metrics of a spatial question on two grid times."""
    truth = truth_of("spatial", tubes, (), GRID, branch)
    return dict(measure("spatial", write("spatial", blocks), truth).values)


def test_a_temporal_question() -> None:
    """tIoU and its recalls; exactly 0.3 and 0.5 reach their thresholds."""
    truth = truth_of("temporal", intervals=[(0, 5 * SECOND)])
    for start, end, recalls in [
        (800_000, 2_300_000, [1, 0, 0]),
        (0, 2_500_000, [1, 1, 0]),
        (0, 5_000_000, [1, 1, 1]),
        (6_000_000, 7_000_000, [0, 0, 0]),
    ]:
        got = measure("temporal", write("temporal", [("dog", [])], [(start, end)]), truth).values
        assert [got[f"R1@{theta}"] for theta in (0.3, 0.5, 0.7)] == recalls
        assert set(got) == {"format", "m_tIoU", "R1@0.3", "R1@0.5", "R1@0.7"}


def test_a_spatial_question() -> None:
    """One of two tubes half right: names, frames and tubes are counted each in its own way."""
    tubes = [("dog", [(0, UNIT), (SECOND, UNIT)]), ("cat", [(0, UNIT), (SECOND, None)])]
    got = values(tubes, [("dog", [(0, UNIT), (SECOND, HALF)]), ("bird", [(0, UNIT)])])
    assert got == {
        "format": 1.0,
        "m_vIoU": 0.375,
        "tube_recall@0.3": 0.5,
        "frame_ap@0.3": pytest.approx(2 / 3),
        "tube_recall@0.5": 0.5,
        "frame_ap@0.5": pytest.approx(2 / 3),
        "object_f1": 0.5,
        "object_exact": 0.0,
    }


def test_silent_questions_have_the_same_object_metrics() -> None:
    """object_f1 is 2m/(P+G) in both branches, though the silent reward is another formula."""
    tubes, blocks = [("dog", [(0, UNIT)])], [("dog", [(0, UNIT)]), ("cat", [(0, UNIT)])]
    truth = truth_of("spatial", tubes, (), GRID, "silent")  # type: ignore[arg-type]
    assert score("spatial", write("spatial", blocks), truth).object == 1.0
    got = values(tubes, blocks, "silent")
    assert (got["object_f1"], got["object_exact"]) == (pytest.approx(2 / 3), 0.0)
    assert values(tubes, blocks[:1], "silent")["object_exact"] == 1.0


def test_a_none_truth_has_object_metrics_alone() -> None:
    """Both object metrics are the object score; what is about boxes is left out of means."""
    for blocks, expected in [([], 1.0), ([("dog", [(0, UNIT)])], 0.0)]:
        got = values([], blocks)
        assert (got["object_f1"], got["object_exact"]) == (expected, expected)
        assert {got["m_vIoU"], got["frame_ap@0.3"], got["tube_recall@0.5"]} == {None}


def test_no_answer_is_zero_and_counted() -> None:
    """Every metric that applies is 0; with a bad truth none applies."""
    tubes = [("dog", [(0, UNIT)])]
    truth = truth_of("spatial", tubes, (), GRID, "sounding")  # type: ignore[arg-type]
    for text in ("", "x" * 70_000, write("spatial", [("dog", [(0, UNIT)])] * 65)):
        got = measure("spatial", text, truth)
        assert {value for name, value in got.values.items() if name != "format"} == {0.0}
    assert set(measure("spatial", "", "{}").values.values()) == {None}


def test_of_equal_sums_the_better_metric_counts() -> None:
    """s is 1/2 for both pairings; the one that has a whole frame right counts for frame_ap."""
    side: Box = (0, 0, 50_000, 100_000)
    tubes = [("dog", [(0, UNIT), (SECOND, UNIT)]), ("dog", [(0, side), (SECOND, side)])]
    # Against the first tube 1 and 0, against the second 1/2 and 1/2 would be as good.
    blocks = [("dog", [(0, UNIT), (SECOND, FAR)])]
    one = values(tubes, blocks)
    assert (one["m_vIoU"], one["frame_ap@0.5"]) == (0.25, 0.25)
    both = [("dog", [(0, UNIT), (SECOND, FAR)]), ("dog", [(0, HALF), (SECOND, HALF)])]
    same = [("dog", [(0, UNIT), (SECOND, UNIT)])]
    for order in (both, both[::-1]):
        got = values(same, order)
        # The first block has one frame of IoU 1, the second two of IoU 1/2: s = 1/2 each.
        assert (got["m_vIoU"], got["frame_ap@0.5"], got["frame_ap@0.3"]) == (0.25, 1.0, 1.0)


def slow_gain(case: Case, gain_of: Any) -> Fraction:
    """The largest gain among the pairings with the largest exact sum of s, by trying them all."""
    places = [*range(len(case.blocks)), *[None] * len(case.tubes)]
    table = {
        (g, p): (slow_s(case, g, p), gain_of(g, p))
        for g in range(len(case.tubes))
        for p in range(len(case.blocks))
        if case.blocks[p][0] in (case.tubes[g][0], "thing") or case.task == "spatio_temporal"
    }
    found = [
        [table.get((g, p), (Fraction(0), 0)) for g, p in enumerate(chosen) if p is not None]
        for chosen in permutations(places, len(case.tubes))
    ]
    return max((sum(s for s, _ in each), sum(gain for _, gain in each)) for each in found)[1]


@settings(max_examples=80, deadline=None)
@given(cases("spatial").filter(lambda case: len(case.tubes) > 0), st.sampled_from([0.3, 0.5]))
def test_shares_are_those_of_the_best_pairing(case: Case, theta: float) -> None:
    """tube_recall and frame_ap agree with a search over all pairings in fractions."""
    exact = Fraction(str(theta))

    def frames(g: int, p: int) -> int:
        truth = dict(case.tubes[g][1])
        said: dict[int, Box] = {}
        for t, box in case.blocks[p][1]:
            nearest = min(case.grid, key=lambda each: (abs(each - t), each))
            if 2 * abs(nearest - t) <= SECOND:
                said.setdefault(nearest, box)
        both = ((truth.get(t), box) for t, box in said.items())
        return sum(slow_iou(mine, box) >= exact for mine, box in both if mine)

    got = measure("spatial", case.text, case.truth).values
    n_frames = sum(box is not None for _, rows in case.tubes for _, box in rows)
    by_frames = slow_gain(case, frames) / Fraction(n_frames)
    by_tubes = slow_gain(case, lambda g, p: int(slow_s(case, g, p) > exact))
    assert got[f"frame_ap@{theta}"] == pytest.approx(float(by_frames))
    assert got[f"tube_recall@{theta}"] == pytest.approx(float(by_tubes / len(case.tubes)))


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_truths_own_rendering_has_every_metric_at_one(case: Case) -> None:
    """What applies is 1."""
    blocks = own_blocks(case.tubes) or ([] if case.task == "spatial" else [("dog", [])])
    got = measure(case.task, write(case.task, blocks, case.intervals), case.truth)
    assert set(got.values.values()) <= {1.0, None}


def test_means_leave_out_what_does_not_apply() -> None:
    """A None is not a 0; a metric that never applies has no mean."""
    rows: list[dict[str, float | None]] = [{"a": 1.0, "b": None}, {"a": 0.0}, {"a": None}]
    assert mean_values(rows) == {"a": 0.5, "b": None}
    assert mean_values([]) == {}


def test_summaries_are_per_task_and_count_statuses() -> None:
    """Questions of different tasks are never averaged together."""
    truth = truth_of("temporal", intervals=[(0, SECOND)])
    right = write("temporal", [("dog", [])], [(0, SECOND)])
    rows = [measure("temporal", text, truth) for text in (right, "", "x" * 70_000)]
    rows.append(measure("spatial", "", "{}"))
    got = summarise(rows)
    assert got["temporal"].n_questions == 3
    assert got["temporal"].statuses == {"ok": 1, "no_answer": 1, "too_long": 1}
    assert got["temporal"].means["m_tIoU"] == pytest.approx(1 / 3)
    assert got["spatial"].means["m_vIoU"] is None


def summaries(exact: float, t_iou: float, v_iou: float) -> dict[Any, Summary]:
    """Two tasks with the three numbers that AM and LGM are made of."""
    return {
        "spatial": Summary(1, {}, {"object_exact": exact}),
        "spatio_temporal": Summary(1, {}, {"m_tIoU": t_iou, "m_vIoU": v_iou}),
    }


def test_am_and_lgm() -> None:
    """Mean and log-geometric mean over what, when and where; a perfect model has a finite LGM."""
    got = am_and_lgm(summaries(0.5, 0.5, 0.0))
    assert got == {"AM": pytest.approx(1 / 3), "LGM": pytest.approx(2 * math.log(2) / 3)}
    assert log_geometric_mean([1.0, 1.0, 1.0]) == pytest.approx(-math.log(1e-6))
    missing = summaries(1, 1, 1)
    del missing["spatial"]
    assert am_and_lgm(missing) == {"AM": None, "LGM": None}


def test_bootstrap_draws_videos() -> None:
    """Equal questions of one video add no certainty, and the seed decides the draws."""
    videos = {f"v{n}": [{"a": float(n % 2)}] for n in range(40)}
    copied = {video: rows * 10 for video, rows in videos.items()}
    (low, high), again = bootstrap(videos)["a"] or (0, 0), bootstrap(copied)["a"]
    assert again == (pytest.approx(low), pytest.approx(high))
    assert 0.3 < low < 0.45 < 0.55 < high < 0.7
    assert bootstrap(videos) == bootstrap(dict(reversed(videos.items())))
    assert bootstrap(videos, seed=1) != bootstrap(videos)


def test_bootstrap_of_little() -> None:
    """No videos, no value, one video; and arguments that make no sense are refused."""
    assert bootstrap({}) == {}
    assert bootstrap({"v": [{"a": None}]}) == {"a": None}
    assert bootstrap({"v": [{"a": 0.25}, {"a": 0.75}]}) == {"a": (0.5, 0.5)}
    for bad in ({"n_draws": 0}, {"level": 1.0}):
        with pytest.raises(ValueError, match="expected 1 or more draws"):
            bootstrap({}, **bad)  # type: ignore[arg-type]


def test_measured_values_have_a_name_each() -> None:
    """No metric of one task has the name of another formula in a second task."""
    got: Measured = measure("spatio_temporal", "", "{}")
    assert "object_f1" not in got.values
    assert {"m_tIoU", "m_vIoU", "R1@0.7", "frame_ap@0.5", "tube_recall@0.3"} <= set(got.values)
