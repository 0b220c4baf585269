"""Truths in other boxes and on coarser grids still say what was published, and score 1."""

from __future__ import annotations

import pytest

from earshot.geometry.spaces import REL1000, BoxSpace
from earshot.rewards import score
from earshot.schemas.question import GridRecord
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from earshot.tasks.grpo.truths import UntellableError, coarser, in_space, render
from tests.factories import make_truth

BOX = (0.2, 0.3, 0.5, 0.7)


def two_stretches(seen: tuple[float, ...]) -> Truth:
    """A tube over [0.5, 4.5] and [10.3, 13.3], visible at the given times."""
    times = (0.5, 1.5, 2.5, 3.5, 10.3, 11.3, 12.3)
    rows = tuple((t, *BOX) if t in seen else (t, None) for t in times)
    return Truth(
        task="spatio_temporal",
        duration_s=20.0,
        intervals=((0.5, 4.5), (10.3, 13.3)),
        objects=(TruthObject(name="dog", accept=("dog",), tubes=(TruthTube(boxes=rows),)),),
        grid=GridRecord(anchor_s=0.5, step_s=1.0, times_s=times),
        box_space="norm",
    )


@pytest.mark.parametrize("task", ["temporal", "spatial", "spatio_temporal"])
@pytest.mark.parametrize("space", [REL1000, BoxSpace("resized_px", 588, 336)])
def test_a_converted_truth_scores_one(task, space):
    """Against itself, in any space; its frame's size is in it where boxes are pixels."""
    truth = in_space(make_truth(task), space, (640, 360))
    found = score(task, render(truth), truth.canonical())
    assert found.total == 2
    assert (truth.width, truth.height) == (space.width, space.height)


def test_each_stretch_keeps_its_anchor():
    """Every second time from the start of each stretch, and the step says so."""
    truth = coarser(two_stretches((0.5, 2.5, 10.3)), 2)
    assert truth.grid == GridRecord(anchor_s=0.5, step_s=2.0, times_s=(0.5, 2.5, 10.3, 12.3))
    assert score("spatio_temporal", render(truth), truth.canonical()).total == 2


def test_a_tube_that_is_not_seen_on_the_coarse_grid_is_refused():
    """Nothing is left to ask about."""
    with pytest.raises(UntellableError, match="grid of 2 s") as fault:
        coarser(two_stretches((1.5,)), 2)
    assert fault.value.code == "empty_answer"


def test_a_box_that_rounding_leaves_empty_is_refused():
    """Half a pixel is no box."""
    truth = make_truth("spatial", box=(0.1, 0.1, 0.101, 0.5))
    with pytest.raises(UntellableError, match="expected an area") as fault:
        in_space(truth, BoxSpace("resized_px", 112, 112), (640, 360))
    assert fault.value.code == "empty_box"


def test_the_none_answer():
    """A spatial truth without objects is said so, in any space."""
    empty = make_truth("spatial").model_copy(update={"objects": ()})
    truth = in_space(empty, REL1000, (640, 360))
    assert render(truth) == "<answer>\n<object>none</object>\n</answer>"
    assert score("spatial", render(truth), truth.canonical()).total == 2
