"""Each blind answer scores what the formula says, on a release whose numbers are known.

Train: [4, 6] of 20 s, box [0.1, 0.2, 0.5, 0.6]. Test: [4, 8] of 20 s, box [0.1, 0.2, 0.5, 1.0],
visible at 4, 5, 6 s and absent at 7 s.
"""

from __future__ import annotations

import numpy as np
import pytest

from earshot.geometry.boxes import pairwise_iou
from earshot.rewards.grammar import parse
from earshot.schemas.truth import Truth
from earshot.tasks.score_answers.baselines import (
    BOXES,
    best_box,
    blind_answers,
    most_common_names,
    score_baselines,
)
from tests import factories


@pytest.fixture(scope="module")
def scores(known):
    """Metrics by (task, name)."""
    rows = score_baselines(known.of_split("train"), known.of_split("test"), "strict")
    return {(row.task, row.name): row for row in rows}


def _pairs(known, split="train"):
    return [(q, Truth.model_validate_json(q.truth_json)) for q in known.of_split(split)]


def test_the_whole_video_covers_a_fifth(scores):
    """[4, 8] of 20 s: 4 / 20."""
    assert scores["temporal", "whole video"].metrics["m_tIoU"] == 0.2


def test_the_best_interval_of_train_is_answered_on_test(scores):
    """Train says 20 to 30 %, so [4, 6] is answered to [4, 8]: 2 / 4."""
    row = scores["temporal", "best constant interval"]
    assert (row.said, row.searched) == ("20 % to 30 % of the video", 1)
    assert row.metrics["m_tIoU"] == 0.5
    assert (row.metrics["R1@0.5"], row.metrics["R1@0.7"]) == (1.0, 0.0)


def test_the_most_common_object_in_the_full_frame(scores):
    """`dog` is right; the box has 0.4 x 0.8 of the frame at 3 of 4 answered times."""
    row = scores["spatial", "most common object, full-frame box"]
    assert (row.metrics["object_f1"], row.metrics["object_exact"]) == (1.0, 1.0)
    assert row.metrics["m_vIoU"] == pytest.approx(0.32 * 3 / 4)


def test_the_best_box_of_train_is_answered_on_test(scores):
    """It is half of the test box, at 3 of 4 answered times."""
    row = scores["spatial", "most common object, best constant box"]
    assert row.said == "sounding: dog; [0.1, 0.2, 0.5, 0.6] of the frame"
    assert row.metrics["m_vIoU"] == pytest.approx(0.5 * 3 / 4)
    assert row.metrics["frame_ap@0.5"] == 1.0


def test_boxes_all_through_the_video(scores):
    """20 answered times, 3 of them with a box of 0.32 of the frame."""
    row = scores["spatio_temporal", "whole video, full-frame box"]
    assert row.metrics["m_tIoU"] == 0.2
    assert row.metrics["m_vIoU"] == pytest.approx(0.32 * 3 / 20)


def test_boxes_in_the_best_interval(scores):
    """Answered at 4 and 5 s, half of the box each; truth at 4, 5 and 6 s."""
    row = scores["spatio_temporal", "best constant interval, best constant box"]
    assert row.metrics["m_tIoU"] == 0.5
    assert row.metrics["m_vIoU"] == pytest.approx(0.5 * 2 / 3)


def test_every_blind_answer_keeps_the_grammar(known):
    """They are completions as a model writes them: format 1."""
    for blind in blind_answers(_pairs(known)):
        for one in known.questions:
            if one.task == blind.task:
                assert parse(blind.answer(one), one.task).format_ok


def test_without_train_the_searched_answers_are_not_made_up(known):
    """No number, and it is said why."""
    rows = score_baselines((), known.of_split("test"), "strict")
    unknown = {row.name for row in rows if not row.metrics}
    assert unknown == {
        "best constant interval", "best constant interval, best constant box",
        "most common object, full-frame box", "most common object, best constant box",
    }  # fmt: skip
    assert {row.said for row in rows if not row.metrics} == {"no train question to search on"}


def test_the_best_box_is_the_best_of_the_grid(known):
    """The weighted sum finds what a mean over questions of mean IoUs finds."""
    random = np.random.default_rng(3)
    truths = []
    for count in (1, 5):
        low = random.uniform(0, 0.5, (count, 2))
        boxes = np.round(np.hstack([low, low + random.uniform(0.1, 0.5, (count, 2))]), 3)
        rows = tuple((float(t), *map(float, box)) for t, box in enumerate(boxes))
        truth = factories.make_truth("spatial")
        tube = truth.objects[0].tubes[0].model_copy(update={"boxes": rows})
        thing = truth.objects[0].model_copy(update={"tubes": (tube,)})
        truths.append((truth.model_copy(update={"objects": (thing,)}), boxes))
    means = sum(pairwise_iou(BOXES, boxes).mean(axis=1) for _, boxes in truths)
    found = BOXES.tolist().index(list(best_box([truth for truth, _ in truths])))
    assert means[found] == pytest.approx(means.max())
    assert len(BOXES) == 3025


def test_names_are_counted_by_branch_and_question(known):
    """Two dogs of one question are one vote; of equals the first by letter; none is a name."""
    asked, truth = next(pair for pair in _pairs(known) if pair[0].task == "spatial")
    cat = truth.objects[0].model_copy(update={"name": "A Cat"})
    dogs = truth.model_copy(update={"objects": truth.objects * 2})
    cats = truth.model_copy(update={"objects": (cat,)})
    nothing = truth.model_copy(update={"objects": ()})
    assert most_common_names([(asked, dogs), (asked, cats)]) == {"sounding": "cat"}
    assert most_common_names([(asked, dogs), (asked, nothing), (asked, nothing)]) == {
        "sounding": "none"
    }
