"""The truth of a question is one canonical JSON string, the one that the rewards are tested on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from earshot.schemas.question import GridRecord
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from tests.factories import make_truth

VECTORS = Path(__file__).parents[1] / "rewards" / "reward_vectors.jsonl"


def truths_of_the_vectors() -> Iterator[Any]:
    """Each truth that the reward vectors hold as good, once."""
    seen = set()
    for line in VECTORS.read_text().splitlines()[1:]:
        row = json.loads(line)
        if row["expected"]["status"] != "bad_truth" and row["truth_json"] not in seen:
            seen.add(row["truth_json"])
            yield pytest.param(row["truth_json"], id=row["id"])


@pytest.mark.parametrize("truth_json", list(truths_of_the_vectors()))
def test_the_truths_of_the_reward_vectors_come_back_byte_for_byte(truth_json: str) -> None:
    """What the rewards are tested on is exactly what the model writes."""
    assert Truth.model_validate_json(truth_json).canonical() == truth_json


@pytest.mark.parametrize("task", ["temporal", "spatial", "spatio_temporal"])
def test_a_truth_comes_back_from_its_canonical_form(task: Any) -> None:
    """Parsing the canonical JSON gives the truth, and its canonical JSON again."""
    truth = make_truth(task)
    assert Truth.model_validate_json(truth.canonical()) == truth


def test_canonical_is_sorted_and_without_white_space() -> None:
    """Keys by code point, no spaces, text as UTF-8 and not escaped (RFC 8785)."""
    text = make_truth("temporal", name="Zebra ä").canonical()
    value = json.loads(text)
    assert text == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert "Zebra ä" in text


def test_whole_seconds_are_written_without_a_point() -> None:
    """20 and 20.0 are one number: RFC 8785 writes both as 20."""
    whole = make_truth("temporal", duration_s=20).canonical()
    assert whole == make_truth("temporal", duration_s=20.0).canonical()
    assert '"duration_s":20,' in whole
    assert '"intervals":[[2,6]]' in whole


def test_fields_that_do_not_apply_are_left_out() -> None:
    """A branch stands in spatial truths alone, a frame size where boxes are pixels alone."""
    keys = set(json.loads(make_truth("temporal").canonical()))
    assert keys == {"v", "task", "duration_s", "intervals", "objects", "grid", "box_space"}
    spatial = make_truth("spatial").model_copy(
        update={"box_space": "native_px", "width": 640, "height": 360}
    )
    more = set(json.loads(spatial.canonical())) - keys
    assert more == {"branch", "width", "height"}


def test_an_absent_time_is_a_null_box() -> None:
    """A time at which the tube is absent is [t, null], never zeros."""
    (thing,) = json.loads(make_truth("spatio_temporal").canonical())["objects"]
    assert thing["tubes"][0]["boxes"][-1] == [5, None]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 99)), max_size=4),
    st.lists(st.tuples(st.integers(0, 499), st.integers(500, 1000)), max_size=4),
)
def test_rendered_numbers_survive_the_json(
    tenths: list[tuple[int, int]], thousandths: list[tuple[int, int]]
) -> None:
    """Times of one decimal and boxes of three are the same doubles after JSON and back."""
    boxes = tuple(
        (float(t), a / 1000, a / 1000, b / 1000, b / 1000) for t, (a, b) in enumerate(thousandths)
    )
    truth = Truth(
        task="spatio_temporal",
        duration_s=60.5,
        intervals=tuple((start / 10, (start + length) / 10) for start, length in tenths),
        objects=(TruthObject(name="dog", accept=("dog",), tubes=(TruthTube(boxes=boxes),)),),
        grid=GridRecord(anchor_s=0.1, step_s=1, times_s=(0.1, 1.1)),
        box_space="norm",
    )
    assert Truth.model_validate_json(truth.canonical()) == truth


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"task": "counting"},
        {"branch": "loud"},
        {"box_space": "inches"},
        {"duration_s": float("nan")},
        {"answer": "dog"},
        {"intervals": [[1, 2, 3]]},
    ],
)
def test_a_truth_refuses_what_the_rewards_would(changes: dict[str, Any]) -> None:
    """Another version, an unknown task, branch, space or field, or NaN is no truth."""
    with pytest.raises(ValidationError):
        Truth.model_validate({**json.loads(make_truth("spatial").canonical()), **changes})
