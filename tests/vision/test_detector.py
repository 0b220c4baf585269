"""Names of boxes from token spans, and the text encoded once."""

from __future__ import annotations

import numpy as np
import pytest

from earshot.tasks.track_objects.grounded_sam2.detector import GroundingDetector
from earshot.tasks.track_objects.grounded_sam2.load import load
from earshot.tasks.track_objects.grounded_sam2.models import Place
from earshot.tasks.track_objects.grounded_sam2.texts import (
    Sought,
    prompt_of,
    tokens_of,
)
from tests.vision.conftest import Folders


@pytest.fixture(scope="module")
def detector(tiny: Folders) -> GroundingDetector:
    """A tiny detector."""
    return load(tiny.detector, tiny.segmenter, Place("cpu", False, False)).detector


@pytest.mark.parametrize(
    ("name", "phrase", "decides"),
    [
        ("dog", "a small Dog", "dog"),
        ("fire truck", "the red fire truck", "fire truck"),
        ("cat", "the animal", "the animal"),
        ("dog", "a dog. a dog", "dog"),
    ],
)
def test_the_name_within_the_phrase_decides(name: str, phrase: str, decides: str) -> None:
    """Articles and adjectives fit other things too; a phrase without the name counts as a whole."""
    prompt = prompt_of([Sought("bell", "the bell"), Sought(name, phrase)], [0, 1])
    start, stop = prompt.spans[1]
    assert prompt.text[start:stop] == decides
    assert prompt.text.startswith("the bell . ")
    assert prompt.text.endswith(" .")


def test_special_tokens_are_no_name() -> None:
    """Neither the begin nor the end of the text is in any span."""
    offsets = np.array([(0, 0), (0, 3), (4, 8), (9, 10), (0, 0)])
    assert tokens_of(offsets, 4, 8).tolist() == [2]
    assert tokens_of(offsets, 0, 8).tolist() == [1, 2]


def test_the_same_text_is_encoded_once(detector: GroundingDetector) -> None:
    """Frames of many windows that ask for the same share the text's features; so do later calls."""
    frames = [np.full((40, 64, 3), 10 * at, np.uint8) for at in range(6)]
    encoder = detector._model.model.text_backbone
    before = encoder.encoded
    asked = [Sought("train", "the red train")]
    first = detector.detect(frames, [asked] * 6)
    again = detector.detect(frames[:1], [asked])
    assert encoder.encoded == before + 1
    np.testing.assert_allclose(first[0].scores, again[0].scores, atol=1e-4)


def test_scores_are_of_the_things_asked_on_that_frame(detector: GroundingDetector) -> None:
    """Frames that ask for different things share a call and have each its own columns."""
    frames = [np.full((40, 64, 3), 90, np.uint8)] * 2
    dog, cat, bell = (Sought(name, f"the {name}") for name in ("dog", "cat", "bell"))
    mixed = detector.detect(frames, [[dog, cat], [bell]])
    assert [found.scores.shape for found in mixed] == [(12, 2), (12, 1)]
    alone = detector.detect(frames[:1], [[dog, cat]])[0]
    np.testing.assert_allclose(mixed[0].scores, alone.scores, atol=1e-4)
