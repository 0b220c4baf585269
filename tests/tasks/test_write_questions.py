"""Questions: one right answer each, truth and answer in the same numbers, reasoned refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry.rounding import half_up, half_up_units
from earshot.prompts.packs import load_pack
from earshot.rewards import grammar
from earshot.schemas.config import QuestionsConfig
from earshot.schemas.event import Event
from earshot.schemas.ids import question_id
from earshot.schemas.ledger import REASONS
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.store.stage import Done, Quarantined
from earshot.tasks.questions import wording
from earshot.tasks.write_questions import WriteQuestions
from tests.factories import make_event_object, make_object, make_video
from tests.worlds import (
    CONTEXT,
    BoxAt,
    World,
    by_person,
    event_of,
    judged,
    silent,
    sounding,
    still,
    tube_of,
)

DOG, CAT, MAN = (make_object(name=name) for name in ("dog", "cat", "man"))
BARK = event_of("dog barking", (2.0, 6.0))
WHOLE = (2.0, 6.0)


def world(**changes: Any) -> World:
    """A dog barks in [2, 6] of 20 s; a man stands by silently."""
    values: dict[str, Any] = {
        "video": make_video(),
        "events": [BARK],
        "objects": [DOG, MAN],
        "parts": [sounding(BARK, DOG), silent(BARK, MAN)],
        "tubes": [tube_of(DOG, WHOLE, still(0.1)), tube_of(MAN, WHOLE, still(0.6))],
        **changes,
    }
    return World(**values)


def questions(outcome: Done) -> dict[str, Question]:
    """Questions by template."""
    return {row.template_id: row for row in outcome.records if isinstance(row, Question)}


def reasons(outcome: Done) -> dict[str, str | None]:
    """Reason by template of what was refused, found by the candidates' ids."""
    return {item.item_id: item.reason_code for item in outcome.items if item.reason_code}


def reason(asked: World, template: str, thing: Any = None, **config: Any) -> str | None:
    """Why the first event's question of a template was refused; None where it was written."""
    outcome = asked.ask(**config)
    pack = load_pack(config.get("pack", "r-avst"))
    (wording_of,) = [each for each in pack.templates if each.id == template]
    roles = {"sounding": "visible_and_audible", "silent": "visible_only"}
    event = asked.events[0]
    objects = (
        [
            part.object_id
            for part in asked.parts
            if part.event_id == event.event_id and part.audibility == roles[wording_of.branch]
        ]
        if wording_of.branch
        else [(thing or DOG).object_id]
    )
    made_of = (wording_of.task, wording_of.branch, pack.name, template, [event.event_id], objects)
    wanted = question_id("v1", *made_of)
    (item,) = [item for item in outcome.items if item.item_id == wanted]
    return item.reason_code


def test_all_three_tasks_are_asked_of_a_clear_event() -> None:
    """Words, answer, grid and provenance of the four templates."""
    made = questions(world().inspected().ask())
    assert {name: row.question for name, row in made.items()} == {
        "temporal": "When is the moment dog makes sound and is visible?",
        "spatial-sounding": (
            "What visible object(s) make sound between 2.0 and 6.0, and where is/are they?"
        ),
        "spatial-silent": (
            "What silent object(s) can be seen between 2.0 and 6.0, and where is/are they?"
        ),
        "spatio-temporal": (
            'When is the moment dog makes sound and is visible, and where is the "dog"?'
        ),
    }
    assert made["temporal"].answer == (
        "<answer>\n<object>dog</object>\n<when>[2.0, 6.0]</when>\n</answer>"
    )
    assert made["spatial-silent"].answer == (
        "<answer>\n<object>man</object>\n<where>\n2.0: [0.600, 0.300, 0.800, 0.700]\n"
        "3.0: [0.600, 0.300, 0.800, 0.700]\n4.0: [0.600, 0.300, 0.800, 0.700]\n"
        "5.0: [0.600, 0.300, 0.800, 0.700]\n</where>\n</answer>"
    )
    spoken = made["spatio-temporal"]
    assert spoken.span is None
    assert made["spatial-sounding"].span is not None
    assert spoken.grid.times_s == (2.0, 3.0, 4.0, 5.0)
    assert spoken.tube_ids == (tube_of(DOG, WHOLE).tube_id,)
    assert (spoken.inspected_by, len(spoken.inspection_ids)) == ("automatic", 1)


def test_the_truth_is_canonical_and_of_the_contracts_form() -> None:
    """The JSON of CONTRACTS 7, numbers as rendered, an absent time as null."""
    dog = tube_of(DOG, WHOLE, still(0.12345), visible=[(2.0, 4.5)])
    row = questions(world(tubes=[dog]).inspected().ask())["spatio-temporal"]
    box = [0.123, 0.3, 0.323, 0.7]
    assert json.loads(row.truth_json) == {
        "v": 1,
        "task": "spatio_temporal",
        "duration_s": 20,
        "intervals": [[2, 6]],
        "objects": [
            {
                "name": "dog",
                "accept": ["dog"],
                "tubes": [{"boxes": [[2, *box], [3, *box], [4, *box], [5, None]]}],
            }
        ],
        "grid": {"anchor_s": 2, "step_s": 1, "times_s": [2, 3, 4, 5]},
        "box_space": "norm",
    }
    assert " " not in row.truth_json


def test_equal_input_gives_equal_rows_and_ids_do_not_follow_the_boxes() -> None:
    """Another tracker's boxes change the content of a question, never its id."""
    first, again = world().inspected().ask(), world().inspected().ask()
    assert [row.digest for row in first.records] == [row.digest for row in again.records]
    moved = [tube_of(DOG, WHOLE, still(0.2)), tube_of(MAN, WHOLE, still(0.5))]
    other = world(tubes=moved).inspected().ask()
    assert [row.record_id for row in other.records] == [row.record_id for row in first.records]
    assert [row.digest for row in other.records] != [row.digest for row in first.records]


def test_ids_can_be_made_again_from_the_rows() -> None:
    """Every part of an id stands in its row (CONTRACTS 1)."""
    for row in questions(world().inspected().ask()).values():
        made_of = (row.task, row.branch, row.pack, row.template_id, row.event_ids, row.object_ids)
        assert row.question_id == question_id(row.video_id, *made_of)


def test_every_candidate_is_accounted_for() -> None:
    """What `items` announces comes back done or refused, with a reason of the registry."""
    cat = event_of("cat", (4.0, 9.0))
    asked = world(
        events=[BARK, cat],
        objects=[DOG, MAN, CAT],
        parts=[sounding(BARK, DOG), silent(BARK, MAN), sounding(cat, CAT), sounding(cat, DOG)],
        tubes=[tube_of(DOG, WHOLE), tube_of(DOG, (4.0, 9.0)), tube_of(CAT, (4.0, 9.0), still(0.7))],
    ).inspected()
    outcome = asked.ask()
    stage = WriteQuestions(QuestionsConfig(), CONTEXT)
    assert sorted(stage.items(asked.given(WriteQuestions))) == [
        item.item_id for item in outcome.items
    ]
    done = {item.item_id for item in outcome.items if item.status == "done"}
    assert done == {row.record_id for row in outcome.records}
    assert all(REASONS[code or ""].status == "filtered" for code in reasons(outcome).values())
    assert len(reasons(outcome)) >= 2


# One right answer


def test_the_moment_is_refused_where_there_is_another() -> None:
    """The dog barks again later, in sight: "the moment" has two answers."""
    again = event_of("dog barking again", (10.0, 14.0))
    parts = [sounding(BARK, DOG), sounding(again, DOG)]
    later = tube_of(DOG, (10.0, 14.0))
    asked = world(events=[BARK, again], parts=parts, tubes=[tube_of(DOG, WHOLE), later])
    assert reason(asked.inspected(), "temporal") == "another_stretch"
    assert reason(asked.inspected(), "spatio-temporal") == "another_stretch"
    assert reason(asked.inspected(), "spatial-sounding") is None


def test_another_stretch_that_is_out_of_sight_does_not_matter() -> None:
    """Heard behind the camera, and said so: only one moment is heard and seen."""
    again = event_of("dog barking again", (10.0, 14.0))
    parts = [
        sounding(BARK, DOG),
        sounding(again, CAT),
        make_event_object(again, DOG, audibility="audible_only"),
    ]
    tubes = [tube_of(DOG, WHOLE), tube_of(CAT, (10.0, 14.0))]
    asked = world(events=[BARK, again], objects=[DOG, CAT], parts=parts, tubes=tubes)
    assert reason(asked.inspected(), "temporal") is None


def test_a_moment_is_refused_while_another_is_not_settled() -> None:
    """Rules rejected the second bark's tube, so nobody knows whether it is seen; a person does."""
    again = event_of("dog barking again", (10.0, 14.0))
    parts = [sounding(BARK, DOG), sounding(again, DOG)]
    hidden = tube_of(DOG, (10.0, 14.0), visible=[])
    asked = world(events=[BARK, again], parts=parts, tubes=[tube_of(DOG, WHOLE), hidden])
    assert reason(asked.inspected(), "temporal") == "not_complete"
    seen = by_person(BARK, [judged(asked.tubes[0])])
    gone = by_person(again, [judged(hidden, "rejected")], verdict="reject")
    assert reason(replace(asked, inspections=(seen, gone)), "temporal") is None


def test_an_event_of_two_segments_asks_for_the_one_that_is_heard_and_seen() -> None:
    """Both count as moments; one of them alone may be asked for."""
    event = event_of("dog barking", (2.0, 6.0), (10.0, 14.0))
    tubes = [tube_of(DOG, WHOLE), tube_of(DOG, (10.0, 14.0))]
    both = world(events=[event], parts=[sounding(event, DOG)], tubes=tubes)
    assert reason(both.inspected(), "temporal") == "another_stretch"
    first = replace(both, parts=[sounding(event, DOG, (2.0, 6.0))]).inspected().ask()
    assert "[2.0, 6.0]" in questions(first)["temporal"].answer


def test_two_instances_make_no_spatio_temporal_question_but_two_blocks() -> None:
    """ "dog" does not say which; the spatial answer lists both, the left one first."""
    tubes = [tube_of(DOG, WHOLE, still(0.6), ordinal=1), tube_of(DOG, WHOLE, still(0.1))]
    asked = world(tubes=tubes).inspected()
    assert reason(asked, "spatio-temporal") == "several_instances"
    row = questions(asked.ask())["spatial-sounding"]
    blocks = grammar.parse(row.answer, "spatial").answer.blocks
    assert [(b.name, (b.lines[0].box_xyxy_micro or (0,))[0]) for b in blocks] == [
        ("dog", 100_000),
        ("dog", 600_000),
    ]


def test_a_thing_followed_in_two_windows_is_one_thing() -> None:
    """Overlapping events give two tubes of the same dog: one instance, and both tubes are named."""
    walk = event_of("dog walking", (4.0, 9.0))
    parts = [sounding(BARK, DOG), make_event_object(walk, DOG, sounding=()), sounding(walk, CAT)]
    tubes = [tube_of(DOG, WHOLE), tube_of(DOG, (4.0, 9.0)), tube_of(CAT, (4.0, 9.0), still(0.7))]
    asked = world(events=[BARK, walk], objects=[DOG, CAT], parts=parts, tubes=tubes).inspected()
    (row,) = [
        row
        for row in asked.ask().records
        if isinstance(row, Question)
        and row.task == "spatio_temporal"
        and row.object_ids == (DOG.object_id,)
    ]
    assert len(row.tube_ids) == 2
    assert len(json.loads(row.truth_json)["objects"][0]["tubes"]) == 1


def test_captions_that_speak_of_more_than_was_found_are_not_complete() -> None:
    """ "Two dogs", one tube, and only rules looked; a person's ok settles it."""
    dogs = make_object(name="dog", count=2)
    asked = world(objects=[dogs, MAN])
    assert reason(asked.inspected(), "spatial-sounding") == "not_complete"
    assert reason(asked.inspected(), "spatio-temporal") == "several_instances"
    assert reason(asked.passed(), "spatial-sounding") is None
    crowd = world(objects=[make_object(name="dog", count=2, is_group=True), MAN])
    assert reason(crowd.inspected(), "spatial-sounding") is None


def test_a_spatial_answer_takes_in_what_overlapping_events_say() -> None:
    """A cat that meows from 5 s on sounds in [2, 6] too, and is not silent there."""
    meow = event_of("cat", (5.0, 9.0))
    asked = world(
        events=[BARK, meow],
        objects=[DOG, MAN, CAT],
        parts=[sounding(BARK, DOG), silent(BARK, MAN), sounding(meow, CAT)],
        tubes=[*world().tubes, tube_of(CAT, (5.0, 9.0), still(0.4))],
    ).inspected()
    rows = {
        (row.template_id, row.event_ids): row
        for row in asked.ask().records
        if isinstance(row, Question)
    }
    row = rows["spatial-sounding", (BARK.event_id,)]
    blocks = grammar.parse(row.answer, "spatial").answer.blocks
    assert [block.name for block in blocks] == ["dog", "cat"]
    assert [line.time_micro for line in blocks[1].lines] == [5_000_000]
    assert len(row.inspection_ids) == 2
    assert "cat" not in rows["spatial-silent", (BARK.event_id,)].answer


def test_a_spatial_question_needs_overlapping_events_to_be_settled() -> None:
    """A cat that may or may not be seen leaves the list open."""
    meow = event_of("cat", (5.0, 9.0))
    asked = world(
        events=[BARK, meow],
        objects=[DOG, MAN, CAT],
        parts=[*world().parts, sounding(meow, CAT)],
        tubes=[*world().tubes, tube_of(CAT, (5.0, 9.0), visible=[])],
    ).inspected()
    assert reason(asked, "spatial-sounding") == "not_complete"
    assert reason(asked, "temporal") is None


def test_an_object_without_tube_leaves_a_rules_only_answer_open() -> None:
    """The captions say that the man is heard and seen; rules found no box of him, a person did."""
    asked = world(parts=[sounding(BARK, DOG), sounding(BARK, MAN)], tubes=world().tubes[:1])
    assert reason(asked.inspected(), "spatial-sounding") == "not_complete"
    assert reason(asked.passed(), "spatial-sounding") is None


def test_none_is_an_answer_only_where_a_person_says_so() -> None:
    """Of silent things there is no complete list, so nothing silent is no answer."""
    offscreen = make_event_object(BARK, DOG, audibility="audible_only")
    asked = world(parts=[offscreen], tubes=[]).passed()
    row = questions(asked.ask())["spatial-sounding"]
    assert row.answer == "<answer>\n<object>none</object>\n</answer>"
    assert json.loads(row.truth_json)["objects"] == []
    assert (row.tube_ids, row.inspected_by) == ((), "human")
    assert reason(asked, "spatial-silent") == "empty_answer"


# The other gates


@pytest.mark.parametrize(("seen_until", "expected"), [(3.6, "hardly_visible"), (4.0, None)])
def test_a_tube_seen_in_less_than_half_of_the_times_makes_no_question(
    seen_until: float, expected: str | None
) -> None:
    """Of the grid times 2, 3, 4, 5 two have to show it."""
    asked = world(tubes=[tube_of(DOG, WHOLE, visible=[(2.0, seen_until - 1 + 0.2)])])
    for template in ("temporal", "spatial-sounding", "spatio-temporal"):
        assert reason(asked.inspected(), template) == expected


def test_times_at_which_nobody_looked_are_left_out_or_refuse() -> None:
    """One unknown time has no row in the truth; too many, and nothing is asked."""
    tube = tube_of(DOG, WHOLE)

    def looked_until(end_s: float) -> World:
        count = sum(time_s < end_s for time_s in tube.times_s)
        cut = {name: getattr(tube, name)[:count] for name in ("times_s", "boxes", "state", "score")}
        return world(tubes=[tube.model_copy(update=cut)]).inspected()

    row = questions(looked_until(4.5).ask())["spatio-temporal"]
    (truth,) = json.loads(row.truth_json)["objects"]
    assert [line[0] for line in truth["tubes"][0]["boxes"]] == [2, 3, 4]
    assert reason(looked_until(2.9), "spatio-temporal") == "unknown_boxes"


def test_an_event_over_the_whole_video_asks_no_time() -> None:
    """0.9 of the video is a time question that anybody can answer blindly."""
    asked = world(video=make_video(duration_s=4.4)).inspected()
    assert reason(asked, "temporal") == "whole_video"
    assert reason(asked, "spatio-temporal") == "whole_video"
    assert reason(asked, "spatial-sounding") is None
    assert reason(asked, "temporal", max_event_cover=0.95) is None


def test_a_box_that_rounding_empties_is_refused() -> None:
    """0.0004 of the frame is nothing at three decimals."""
    asked = world(tubes=[tube_of(DOG, WHOLE, lambda _: (0.1001, 0.2, 0.1004, 0.6))]).inspected()
    assert reason(asked, "spatio-temporal") == "empty_box"
    assert reason(asked, "temporal") is None


def test_times_that_rounding_empties_are_refused() -> None:
    """[2.01, 2.04] is [2.0, 2.0]."""
    event = event_of("click", (2.01, 2.04))
    asked = world(
        events=[event], parts=[sounding(event, DOG)], tubes=[tube_of(DOG, (2.0, 2.4))]
    ).passed()
    assert reason(asked, "temporal") == "empty_answer"
    assert reason(asked, "spatial-sounding") == "empty_answer"


@pytest.mark.parametrize("name", ["none", "The none", "a<b", "x" * 81, "two\nlines", "..."])
def test_a_name_that_can_not_stand_in_an_answer_is_refused(name: str) -> None:
    """The grammar's rule, the none-answer, and what norm leaves nothing of."""
    thing = make_object(name=name)
    asked = world(
        objects=[thing], parts=[sounding(BARK, thing)], tubes=[tube_of(thing, WHOLE)]
    ).inspected()
    assert set(reasons(asked.ask()).values()) == {"bad_name", "empty_answer"}
    assert asked.ask().records == ()
    assert asked.ask().reason_code == "empty"


def test_an_answer_above_a_cap_is_refused() -> None:
    """65 instances are more blocks than the grammar allows."""
    tubes = [tube_of(DOG, WHOLE, still(0.01 * i), ordinal=i) for i in range(65)]
    assert reason(world(tubes=tubes).inspected(), "spatial-sounding") == "over_cap"
    fits = world(tubes=tubes[:64]).inspected()
    assert reason(fits, "spatial-sounding", max_answer_tokens=10_000) is None


def test_uninspected_times_of_captions_stay_out_of_evaluation() -> None:
    """CONTRACTS 3: in train they may stand, in test only after a person looked."""
    event = event_of("dog barking", WHOLE, time_source="caption")
    asked = world(events=[event])
    assert reason(asked.inspected(), "temporal", test_share=0.99) == "caption_times"
    assert reason(asked.inspected(), "temporal") is None
    assert reason(asked.passed(), "temporal", test_share=0.99) is None


@pytest.mark.parametrize(("group", "expected"), [("g", 1), (None, 3)])
def test_a_video_goes_with_its_split_group(group: str | None, expected: int) -> None:
    """Questions of near-duplicates land in one split; videos without a group go by their id."""
    shares = {"test_share": 0.4, "validation_share": 0.3}
    splits = {
        row.split
        for index in range(12)
        for row in world(video=make_video(f"w{index}", split_group=group))
        .inspected()
        .ask(**shares)
        .records
        if isinstance(row, Question)
    }
    assert len(splits) == expected


def test_an_answer_that_does_not_say_the_truth_quarantines_the_video(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last gate catches a renderer that writes other numbers."""
    real = grammar.render
    monkeypatch.setattr(
        wording.grammar, "render", lambda *given: real(*given).replace("0.300", "0.301")
    )
    (outcome,) = WriteQuestions(QuestionsConfig(), CONTEXT).run(
        [world().inspected().given(WriteQuestions)]
    )
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "wrong_results"


# Properties

BOXES = st.tuples(*[st.floats(0.0, 0.6)] * 2, *[st.floats(0.01, 0.4)] * 2)


@settings(max_examples=40, deadline=None)
@given(
    start=st.floats(0.0, 5.0),
    length=st.floats(1.0, 9.0),
    box=BOXES,
    speed=st.floats(-0.02, 0.02),
    seen=st.floats(0.3, 1.0),
)
def test_every_answer_keeps_the_grammar_and_says_the_truths_numbers(
    start: float, length: float, box: tuple[float, ...], speed: float, seen: float
) -> None:
    """Format 1, intervals and lines equal to the truth's, whatever the times and boxes."""
    window = (start, start + length)

    def moving(time_s: float) -> tuple[float, float, float, float]:
        left = box[0] + speed * (time_s - start)
        return (left, box[1], left + box[2], box[1] + box[3])

    box_at: BoxAt = moving
    event = event_of("bark", window)
    asked = world(
        events=[event],
        parts=[sounding(event, DOG)],
        tubes=[tube_of(DOG, window, box_at, visible=[(start, start + seen * length)])],
    )
    for row in asked.inspected().ask().records:
        assert isinstance(row, Question)
        truth = json.loads(row.truth_json)
        parsed = grammar.parse(row.answer, row.task)
        assert parsed.format_ok
        assert truth["intervals"] == [[half_up(window[0], 1), half_up(window[1], 1)]]
        lines = [
            [line.time_micro, *(line.box_xyxy_micro or ())]
            for block in parsed.answer.blocks
            for line in block.lines
        ]
        rows = [
            [half_up_units(number, 6) for number in each]
            for thing in truth["objects"]
            for tube in thing["tubes"]
            for each in tube["boxes"]
            if each[1] is not None
        ]
        assert lines == rows
        assert {each[0] for each in rows} <= {half_up_units(t, 6) for t in truth["grid"]["times_s"]}


# Other packs


def pack_file(tmp_path: Path, **changes: str) -> str:
    """The published pack with other settings."""
    text = (Path(__file__).parents[2] / "prompts/questions/r-avst.yaml").read_text()
    for key, value in changes.items():
        (line,) = [each for each in text.splitlines() if each.startswith(f"{key}:")]
        text = text.replace(line, f"{key}: {value}")
    file = tmp_path / "pack.yaml"
    file.write_text(text)
    return str(file)


def test_r_avst_answers_are_whole_pixels_with_zero_boxes_for_absent_times(tmp_path: Path) -> None:
    """For reproduction: repeated times of two instances in one block, as released."""
    tubes = [
        tube_of(DOG, WHOLE, still(0.1), visible=[(2.0, 4.5)]),
        tube_of(DOG, WHOLE, still(0.6), ordinal=1),
    ]
    asked = world(tubes=tubes).inspected().ask(pack=pack_file(tmp_path, answers="r-avst"))
    row = questions(asked)["spatial-sounding"]
    assert row.answer.splitlines()[:6] == [
        "<answer>",
        "<object>dog</object>",
        "<where>",
        "2.0: [64.0, 108.0, 192.0, 252.0]",
        "2.0: [384.0, 108.0, 512.0, 252.0]",
        "3.0: [64.0, 108.0, 192.0, 252.0]",
    ]
    assert "5.0: [0.0, 0.0, 0.0, 0.0]" in row.answer
    truth = json.loads(row.truth_json)
    assert (truth["box_space"], truth["width"], truth["height"]) == ("native_px", 640, 360)


def test_a_pack_for_every_stretch_asks_once_for_all(tmp_path: Path) -> None:
    """S(o) and V(o) intersected: heard and seen in [2, 4.5] and [10, 14]."""
    again = event_of("dog barking again", (10.0, 14.0))
    asked = world(
        events=[BARK, again],
        parts=[sounding(BARK, DOG), sounding(again, DOG)],
        tubes=[tube_of(DOG, WHOLE, visible=[(2.0, 4.5)]), tube_of(DOG, (10.0, 14.0))],
    ).inspected()
    pack = pack_file(tmp_path, times="every_stretch", pack="mine")
    outcome = asked.ask(pack=pack)
    rows = [r for r in outcome.records if isinstance(r, Question) and r.task == "temporal"]
    assert len(rows) == 1
    assert "<when>[2.0, 4.5], [10.0, 14.0]</when>" in rows[0].answer
    assert len(rows[0].event_ids) == 2
    assert rows[0].grid.times_s == (2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 13.0)


def test_the_earshot_pack_asks_in_wordings_that_differ_by_question() -> None:
    """All three tasks over two events; the same world is asked in the same words again."""
    again = event_of("dog barking again", (10.0, 14.0))
    asked = world(
        events=[BARK, again],
        parts=[sounding(BARK, DOG), sounding(again, DOG)],
        tubes=[tube_of(DOG, WHOLE, visible=[(2.0, 4.5)]), tube_of(DOG, (10.0, 14.0))],
    ).inspected()
    rows = [r for r in asked.ask(pack="earshot").records if isinstance(r, Question)]
    by_template = {row.template_id: row for row in rows}
    assert "<when>[2.0, 4.5], [10.0, 14.0]</when>" in by_template["temporal"].answer
    wordings = {each.id: each.question for each in load_pack("earshot").templates}
    for row in rows:
        start_s, end_s = row.span.pair if row.span else (0.0, 0.0)
        told = {
            text.format(object="dog", start=f"{start_s:.1f}", end=f"{end_s:.1f}")
            for text in wordings[row.template_id]
        }
        assert row.question in told
    repeated = [r for r in asked.ask(pack="earshot").records if isinstance(r, Question)]
    assert [row.question for row in repeated] == [row.question for row in rows]


DOGS = make_object(name="dog", count=2)


def two_dogs(*boxes: BoxAt, seen: tuple[float, float] = WHOLE) -> World:
    """Two dogs as the captions say; the second is seen in a stretch of its own."""
    tubes = [tube_of(DOGS, WHOLE, boxes[0])]
    tubes += [
        tube_of(DOGS, WHOLE, box, ordinal=nth, visible=[seen])
        for nth, box in enumerate(boxes[1:], start=1)
    ]
    return world(objects=[DOGS, MAN], tubes=tubes)


def left_edges(asked: World) -> dict[str, float]:
    """Left edge of the first box in each spatio-temporal answer, by template."""
    rows = questions(asked.inspected().ask(pack="earshot"))
    return {
        name: json.loads(row.truth_json)["objects"][0]["tubes"][0]["boxes"][0][1]
        for name, row in rows.items()
        if row.task == "spatio_temporal"
    }


def test_one_of_two_dogs_is_asked_for_by_its_side() -> None:
    """Left and right are told apart in any order of tubes; "the dog" alone is refused."""
    sides = {"spatio-temporal-left": 0.1, "spatio-temporal-right": 0.6}
    assert left_edges(two_dogs(still(0.1), still(0.6))) == sides
    assert left_edges(two_dogs(still(0.6), still(0.1))) == sides
    row = questions(two_dogs(still(0.1), still(0.6)).inspected().ask(pack="earshot"))
    assert "left" in row["spatio-temporal-left"].question
    assert len(row["spatio-temporal-left"].tube_ids) == 1


@pytest.mark.parametrize(
    "asked",
    [
        two_dogs(still(0.1)),
        two_dogs(still(0.1), still(0.4), still(0.7)),
        two_dogs(still(0.3), lambda time_s: still(0.1 if time_s < 4 else 0.6)(time_s)),
        two_dogs(still(0.3), still(0.302)),
        two_dogs(still(0.1), still(0.6), seen=(2.0, 4.5)),
    ],
    ids=["one", "three", "they change sides", "one before the other", "one leaves"],
)
def test_sides_that_do_not_tell_which_make_no_question(asked: World) -> None:
    """Another number than two, a change of sides, no distance, or one seen without the other."""
    assert not left_edges(asked)


def test_one_of_two_is_a_candidate_only_where_captions_speak_of_two() -> None:
    """A candidate must not depend on tubes, and most objects would only be refused."""
    asked = two_dogs(still(0.1), still(0.6))
    of_two = [item.item_id for item in asked.inspected().ask(pack="earshot").items]
    plain = replace(asked, objects=[DOG, MAN]).inspected().ask(pack="earshot")
    assert len(of_two) == len(plain.items) + 2


# Negative questions and multiple choice


def _of_object(asked: World, template: str, thing: Any) -> Question | str | None:
    """The question of a template that names an object, or why it was refused."""
    outcome = asked.ask(pack="earshot")
    event = asked.events[0]
    made_of = ("spatial", "sounding", "earshot", template, [event.event_id], [thing.object_id])
    wanted = question_id("v1", *made_of)
    (item,) = [item for item in outcome.items if item.item_id == wanted]
    rows = [row for row in outcome.records if row.record_id == wanted]
    return rows[0] if rows else item.reason_code  # type: ignore[return-value]


NONE_TEXT = "<answer>\n<object>none</object>\n</answer>"


def test_an_object_is_asked_about_be_it_heard_and_seen_silent_or_out_of_view() -> None:
    """The same words for all three; the negatives are none, and only where a person looked."""
    bell = make_object(name="bell")
    parts = [*world().parts, make_event_object(BARK, bell, audibility="audible_only")]
    asked = world(objects=[DOG, MAN, bell], parts=parts)
    heard, seen, unseen = (
        _of_object(asked.passed(), "spatial-asked", each) for each in (DOG, MAN, bell)
    )
    assert isinstance(heard, Question)
    assert "<object>dog</object>" in heard.answer
    assert heard.asked_object_id == DOG.object_id
    for negative, name in ((seen, "man"), (unseen, "bell")):
        assert isinstance(negative, Question)
        assert negative.answer == NONE_TEXT
        assert name in negative.question
        assert "none" in negative.question
    assert _of_object(asked.inspected(), "spatial-asked", MAN) == "empty_answer"


def test_a_silent_object_that_is_not_seen_is_not_asked_about() -> None:
    """Neither seen nor heard is another "none" than the two that the words speak of."""
    asked = world(tubes=world().tubes[:1]).passed()
    assert _of_object(asked, "spatial-asked", MAN) == "hardly_visible"


def test_a_silent_object_by_whose_name_another_that_sounds_may_be_called_is_not_asked() -> None:
    """The man is silent while a woman sings, and a reader may call either "person"."""
    man = make_object(name="man", accept=("man", "person"))
    woman = make_object(name="woman", accept=("woman", "person"))
    asked = world(
        objects=[woman, man],
        parts=[sounding(BARK, woman), silent(BARK, man)],
        tubes=[tube_of(woman, WHOLE, still(0.1)), tube_of(man, WHOLE, still(0.6))],
    ).passed()
    assert _of_object(asked, "spatial-asked", man) == "several_instances"


def _choice(*names: str, **changes: Any) -> World:
    things = [make_object(name=name) for name in names]
    return world(
        objects=[DOG, *things],
        parts=[sounding(BARK, DOG), *(silent(BARK, thing) for thing in things)],
        tubes=[
            tube_of(thing, WHOLE, still(0.05 + 0.15 * n)) for n, thing in enumerate([DOG, *things])
        ],
        **changes,
    )


def test_distractors_are_of_the_same_video_and_the_right_one_moves_about() -> None:
    """At most four options, the right one among them, its place by a hash of the question."""
    places = set()
    for extra in range(6):
        names = ("man", "cat", "ball", f"tree {extra}", "car")[extra % 2 :]
        made = questions(_choice(*names).inspected().ask(pack="earshot"))["spatial-choice"]
        assert len(made.options) == 4
        assert set(made.options) <= {"dog", *names}
        assert ", ".join(made.options) in made.question
        assert grammar.parse(made.answer, "spatial").answer.blocks[0].name == "dog"
        again = questions(_choice(*names).inspected().ask(pack="earshot"))["spatial-choice"]
        assert again.options == made.options
        places.add(made.options.index("dog"))
    assert len(places) > 1


@pytest.mark.parametrize("names", [("man",), ("man", "man's dog"), ()])
def test_a_choice_of_two_is_none(names: tuple[str, ...]) -> None:
    """Too few distractors, or one that a reader may call by the right one's name."""
    asked = _choice(*names)
    if len(names) == 2:
        hers = make_object(name="man's dog", accept=("dog",))
        objects = [hers if each.name == hers.name else each for each in asked.objects]
        asked = replace(asked, objects=objects)
    made = asked.inspected().ask(pack="earshot")
    assert "spatial-choice" not in questions(made)
    assert "no_choice" in reasons(made).values()


def test_a_name_with_a_comma_is_no_option() -> None:
    """Options are parted by commas: "horn, brass" would be two of them."""
    made = _choice("man", "horn, brass", "cat", "ball").inspected().ask(pack="earshot")
    assert set(questions(made)["spatial-choice"].options) == {"dog", "man", "cat", "ball"}
    brass = make_object(name="horn, brass")
    asked = _choice("man", "cat", "ball")
    asked = replace(
        asked,
        objects=[brass, *asked.objects[1:]],
        parts=[sounding(BARK, brass), *asked.parts[1:]],
        tubes=[tube_of(brass, WHOLE, still(0.05)), *asked.tubes[1:]],
    )
    made = asked.inspected().ask(pack="earshot")
    assert "spatial-choice" not in questions(made)
    assert "no_choice" in reasons(made).values()


def test_an_answer_beyond_the_token_budget_is_refused() -> None:
    """A model that is trained with so many tokens could never give it."""
    made = world().inspected().ask(max_answer_tokens=100)
    assert set(reasons(made).values()) >= {"over_budget"}
    assert set(questions(made)) == {"temporal"}


@pytest.mark.parametrize("pack", ["r-avst", "earshot"])
def test_a_name_that_another_thing_goes_by_too_is_not_asked_when(pack: str) -> None:
    """A police car that is heard and seen is a car; of it alone "the police car" speaks."""
    car = make_object(name="car")
    police = make_object(name="police car", accept=("police car", "car"))
    honk, siren = event_of("honking", (2.0, 6.0)), event_of("siren", (10.0, 14.0))
    asked = World(
        make_video(),
        [honk, siren],
        [car, police],
        [sounding(honk, car), sounding(siren, police)],
        [tube_of(car, WHOLE, still(0.1)), tube_of(police, (10.0, 14.0), still(0.6))],
    )

    def became(of: World, task: str, event: Event, thing: Object) -> str | None:
        made_of = (task, None, pack, task.replace("_", "-"), [event.event_id], [thing.object_id])
        wanted = question_id("v1", *made_of)
        (item,) = [each for each in of.passed().ask(pack=pack).items if each.item_id == wanted]
        return item.reason_code

    for task in ("temporal", "spatio_temporal"):
        assert became(asked, task, honk, car) == "several_instances"
        assert became(asked, task, siren, police) is None
    quiet = replace(asked, parts=[sounding(honk, car), silent(siren, police)])
    assert became(quiet, "temporal", honk, car) is None
