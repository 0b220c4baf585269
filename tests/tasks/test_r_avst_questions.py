"""From UnAV-100's events and R-AVST's boxes, pack `r-avst` writes R-AVST's own questions again."""

from __future__ import annotations

from pathlib import Path

from benchmarks.r_avst_questions import OFF, reproduce


def test_every_question_whose_inputs_are_there_comes_out_or_says_why_not(shared_data: Path) -> None:
    """494 of 501 with equal text and `<when>`, none with another; the rest has a reason each."""
    found = reproduce(
        shared_data / "annotations" / "ravst_test_qa.json",
        shared_data / "annotations" / "unav100.json",
        OFF,
    )
    assert found.differ == ()
    assert (found.reproduced, found.with_inputs) == (494, 501)
    assert dict(found.missed) == {
        "hardly_visible": 3,  # the boxes of the asked object are absent wherever it sounds
        "whole_video": 2,  # the answer is the video, to the last tenth
        "empty_answer": 1,  # a silent object whose every box lies outside the segment's grid
        "unknown_boxes": 1,  # its boxes begin so late that nobody looked at the grid's times
    }
    assert dict(found.lacking) == {
        "no boxes of the object in this event": 325,
        "boxes without identity: no tube": 226,
    }
