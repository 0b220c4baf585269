"""Ids are those of CONTRACTS 1 and stay the same when a thing is found again in another way."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.schemas import ids

BRIEF = settings(max_examples=60, deadline=None)
WORDS = st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,2}", fullmatch=True)
SPELLINGS = st.sampled_from(["{}", "the {}", "A {}", " An  {} ", "{}.", "“{}”"])


def by_hand(value: Any) -> str:
    """The h8 of values whose canonical JSON Python's own encoder writes too: no floats in it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def test_h8_is_sha256_over_canonical_json() -> None:
    """Keys are sorted, there is no white space, and 2.0 is written as 2."""
    expected = hashlib.sha256(b'{"a":[2,0.5,null],"b":"\xc3\xa4"}').hexdigest()[:8]
    assert ids.h8({"b": "ä", "a": [2.0, 0.5, None]}) == expected


def test_ids_are_those_of_the_contract() -> None:
    """Each row of the table, computed here by hand."""
    thing = ids.object_id("v1", "The brown Dog")
    assert ids.caption_id("v1", 3) == "v1/c3"
    assert ids.given_event_id("v1", "E 7") == f"v1/e-{by_hand(['E 7'])}"
    event = ids.event_id("v1", ["v1/c0", "v1/c1"], "Dog barking!", 1)
    assert event == f"v1/e-{by_hand([['v1/c0', 'v1/c1'], 'dog barking', 1])}"
    assert thing == f"v1/o-{by_hand(['brown dog'])}"
    window = hashlib.sha256(b"[2,6.5,0]").hexdigest()[:8]
    assert ids.tube_id(thing, (2.0, 6.5), 0) == f"{thing}/t-{window}"
    assert ids.inspection_id(event, "9", "12", "31") == f"{event}/i-{by_hand(['9', '12', '31'])}"
    parts = ["spatial", "silent", "earshot", "s-1", ["e1", "e2"], ["o1"]]
    made = ids.question_id("v1", "spatial", "silent", "earshot", "s-1", ["e2", "e1"], ["o1"])
    assert made == f"v1/q-{by_hand(parts)}"


def test_ids_do_not_change_between_versions() -> None:
    """Ids that releases have been published with stay what they are."""
    assert ids.object_id("v1", "dog") == "v1/o-3cbafae1"
    assert ids.given_event_id("v1", "e1") == "v1/e-ebd95e39"


@BRIEF
@given(WORDS, SPELLINGS)
def test_an_object_id_does_not_depend_on_spelling(name: str, spelling: str) -> None:
    """Case, articles, punctuation and white space around a name make no other object."""
    written = spelling.format(name)
    assert ids.object_id("v1", written) == ids.object_id("v1", name)
    assert ids.object_id("v1", written.upper()) == ids.object_id("v1", name)


@BRIEF
@given(WORDS, WORDS)
def test_other_names_and_videos_are_other_objects(one: str, two: str) -> None:
    """Names that differ after normalisation differ in id, and so do equal names of two videos."""
    same = ids.norm(one) == ids.norm(two)
    assert (ids.object_id("v1", one) == ids.object_id("v1", two)) == same
    assert ids.object_id("v1", one) != ids.object_id("v2", one)


@BRIEF
@given(st.lists(WORDS, min_size=2, unique=True), st.lists(WORDS, min_size=2), st.randoms())
def test_a_question_id_does_not_depend_on_order(
    events: list[str], objects: list[str], random: Any
) -> None:
    """The order in which events and objects were found is not part of a question."""

    def made(events: list[str], objects: list[str]) -> str:
        return ids.question_id("v1", "spatial", None, "p", "t", events, objects)

    first = made(events, objects)
    mixed = random.sample(events, len(events)), random.sample(objects, len(objects))
    assert made(*mixed) == first
    assert made(events[1:], objects) != first


@BRIEF
@given(
    st.integers(0, 5999), st.integers(1, 600), st.floats(-0.049, 0.049), st.floats(-0.049, 0.049)
)
def test_a_tube_id_does_not_depend_on_window_noise(
    start: int, length: int, first: float, second: float
) -> None:
    """Noise below half a tenth of a second leaves the id; a tenth more is another window."""
    start_s, end_s = start / 10, (start + length) / 10
    made = ids.tube_id("v1/o-1", (start_s, end_s), 0)
    assert ids.tube_id("v1/o-1", (start_s + first, end_s + second), 0) == made
    assert ids.tube_id("v1/o-1", (start_s, (start + length + 1) / 10), 0) != made
    assert ids.tube_id("v1/o-1", (start_s, end_s), 1) != made


def test_a_tubes_window_is_rounded_half_up() -> None:
    """0.25 s belongs to 0.3 s: the shortest decimal decides, not the binary value below it."""
    made = ids.tube_id("o", (0.25, 2.35), 0)
    assert made == ids.tube_id("o", (0.3, 2.4), 0) == ids.tube_id("o", (0.34, 2.44), 0)
    assert made != ids.tube_id("o", (0.2, 2.3), 0)
    assert ids.tube_id("o", (-0.01, 1), 0) == ids.tube_id("o", (0.0, 1), 0)


@BRIEF
@given(WORDS, st.integers(0, 3), SPELLINGS)
def test_an_event_id_needs_captions_head_and_ordinal_alone(
    head: str, ordinal: int, spelling: str
) -> None:
    """How a head is spelt does not matter; the captions and the ordinal do."""
    made = ids.event_id("v1", ["v1/c0"], head, ordinal)
    assert ids.event_id("v1", ("v1/c0",), spelling.format(head), ordinal) == made
    assert ids.event_id("v1", ["v1/c1"], head, ordinal) != made
    assert ids.event_id("v1", ["v1/c0"], head, ordinal + 1) != made


def test_a_given_event_id_is_kept_as_written() -> None:
    """Two ids of a manifest that differ in case are two events."""
    assert ids.given_event_id("v1", "e1") != ids.given_event_id("v1", "E1")


def test_every_id_names_its_video() -> None:
    """The video of any item can be read from its id."""
    thing, event = ids.object_id("v.1-a_b", "dog"), ids.given_event_id("v.1-a_b", "e")
    made = [
        thing,
        event,
        ids.caption_id("v.1-a_b", 0),
        ids.tube_id(thing, (0, 1), 0),
        ids.mention_id(event, "v.1-a_b/c0", 0, 3),
        ids.inspection_id(event, "p", "t", "a"),
        ids.question_id("v.1-a_b", "temporal", None, "p", "t", [event], [thing]),
        "v.1-a_b",
    ]
    assert {ids.video_of(one) for one in made} == {"v.1-a_b"}
    assert len(set(made)) == len(made)


@BRIEF
@given(st.text(max_size=140) | st.from_regex(r"[A-Za-z0-9_.-]{1,130}", fullmatch=True))
def test_a_video_id_is_of_plain_characters(video_id: str) -> None:
    """1-128 characters of A-Z a-z 0-9 _ . - and nothing else; the error says what to do."""
    if re.fullmatch(r"[A-Za-z0-9_.\-]{1,128}", video_id, re.ASCII):
        assert ids.check_video_id(video_id) == video_id
    else:
        with pytest.raises(ValueError, match="rename it in the manifest"):
            ids.check_video_id(video_id)
