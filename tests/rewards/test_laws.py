"""The laws of CONTRACTS 7 for mode strict, as properties below the caps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from earshot.names import norm
from earshot.rewards import Score, score
from tests.rewards.truths import FAR, SECOND, Box, Case, cases, own_blocks

laws = settings(max_examples=120, deadline=None)


def score_of(case: Case) -> Score:
    """The strict score of a case."""
    return score(case.task, case.text, case.truth)


def assert_not_raised(before: Score, after: Score) -> None:
    """No dimension of the task rose, nor the total of a completion whose format was 1."""
    for name in ("object", "temporal", "spatial"):
        old, new = getattr(before, name), getattr(after, name)
        assert (old is None) == (new is None), name
        assert old is None or new <= old, name
    assert before.format != 1 or after.total <= before.total


@laws
@given(cases())
def test_the_truths_own_rendering_is_perfect(case: Case) -> None:
    """It scores 1 in every dimension that applies and 2 in total."""
    intervals = [(start, end) for start, end in case.intervals if start < end]
    blocks = own_blocks(case.tubes) or ([] if case.task == "spatial" else [("dog", [])])
    got = score_of(replace(case, blocks=blocks, said=intervals))
    assert {got.format, got.object, got.temporal, got.spatial} <= {1.0, None}
    assert (got.total, got.status) == (2.0, "ok")


@laws
@given(cases("spatial") | cases("spatio_temporal"), st.randoms(use_true_random=False))
def test_the_order_of_blocks_says_nothing(case: Case, random: Any) -> None:
    """No score changes by a bit when blocks are permuted."""
    blocks = list(case.blocks)
    random.shuffle(blocks)
    assert score_of(replace(case, blocks=blocks)) == score_of(case)


def stretched(box: Box | None, width: int, height: int) -> Box | None:
    """The box in pixels of a frame."""
    return box and (box[0] * width, box[1] * height, box[2] * width, box[3] * height)


@laws
@given(cases(), st.integers(1, 4000), st.integers(1, 4000))
def test_the_unit_of_boxes_says_nothing(case: Case, width: int, height: int) -> None:
    """Scaling truth and answer from norm to pixels without rounding changes nothing."""

    def scale(things: Iterable[tuple[str, Any]]) -> list[Any]:
        return [
            (name, [(t, stretched(box, width, height)) for t, box in rows]) for name, rows in things
        ]

    pixels = replace(case, tubes=scale(case.tubes), blocks=scale(case.blocks))
    assert score_of(pixels) == score_of(case)


@laws
@given(cases(), st.data())
def test_a_wrong_line_never_pays(case: Case, data: st.DataObject) -> None:
    """A line with IoU 0 with every tube, wherever it is put, raises nothing."""
    position = data.draw(st.integers(0, len(case.blocks) - 1))
    name, lines = case.blocks[position]
    at = data.draw(st.integers(0, len(lines)))
    wrong = (data.draw(st.sampled_from([*case.grid, 50 * SECOND])), FAR)
    blocks = list(case.blocks)
    blocks[position] = (name, [*lines[:at], wrong, *lines[at:]])
    assert_not_raised(score_of(case), score_of(replace(case, blocks=blocks)))


@laws
@given(cases("spatial") | cases("spatio_temporal"), st.data())
def test_a_wrong_block_never_pays(case: Case, data: st.DataObject) -> None:
    """A block that nobody accepts, with boxes of IoU 0, raises nothing; nor beside `none`."""
    at = data.draw(st.integers(0, len(case.blocks)))
    times = data.draw(st.lists(st.sampled_from(case.grid), min_size=1, unique=True).map(sorted))
    wrong = ("zebra", [(t, FAR) for t in times])
    blocks = [*case.blocks[:at], wrong, *case.blocks[at:]]
    assert_not_raised(score_of(case), score_of(replace(case, blocks=blocks)))
    if case.task == "spatial":
        nothing = replace(case, blocks=[])
        assert_not_raised(score_of(nothing), score_of(replace(case, blocks=[wrong])))


@laws
@given(cases(), st.integers(0, 200), st.integers(1, 100))
def test_a_wrong_interval_never_pays(case: Case, start: int, length: int) -> None:
    """An interval that is disjoint from the truth raises nothing."""
    assume(case.task != "spatial")
    behind = max(end for _, end in case.intervals) + start * 100_000
    said = [*case.said, (behind, behind + length * 100_000)]
    assert_not_raised(score_of(case), score_of(replace(case, said=said)))


@laws
@given(cases(), st.data())
def test_leaving_out_a_line_never_pays(case: Case, data: st.DataObject) -> None:
    """Removing a block's only line on a grid time raises nothing, unless a tube is absent there."""
    assume(case.task != "temporal")
    position = data.draw(st.integers(0, len(case.blocks) - 1))
    name, lines = case.blocks[position]
    may_be = [
        dict(rows)
        for tube_name, rows in case.tubes
        if case.task == "spatio_temporal" or norm(name) in {tube_name, "thing"}
    ]

    def grid_time(t: int) -> int | None:
        nearest = min(case.grid, key=lambda g: (abs(g - t), g))
        return nearest if 2 * abs(nearest - t) <= SECOND else None

    places = [grid_time(t) for t, _ in lines]
    removable = [
        index
        for index, place in enumerate(places)
        if place is not None
        and places.count(place) == 1
        and all(place not in tube or tube[place] is not None for tube in may_be)
    ]
    assume(removable)
    out = data.draw(st.sampled_from(removable))
    blocks = list(case.blocks)
    blocks[position] = (name, [line for index, line in enumerate(lines) if index != out])
    assert_not_raised(score_of(case), score_of(replace(case, blocks=blocks)))
