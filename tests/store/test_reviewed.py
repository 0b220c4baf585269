"""What stands after inspection, and which verdicts survive a recomputation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import ItemError
from earshot.schemas.inspection import Inspection
from earshot.schemas.tube import Tube
from earshot.store.reviewed import (
    Reviewed,
    carries_over,
    people_verdict,
    reviewed,
    tubes_of,
)
from tests.factories import NOW, make_object, make_video
from tests.worlds import (
    World,
    by_person,
    by_rules,
    event_of,
    interval,
    judged,
    revision_of,
    sounding,
    still,
    tube_of,
)

DOG, CAT = make_object(name="dog"), make_object(name="cat")
EVENT = event_of("dog barking", (2.0, 6.0))
PART = sounding(EVENT, DOG)
TUBE = tube_of(DOG, (2.0, 6.0))
RULES = by_rules(EVENT, [judged(TUBE)])


def view(*inspections: Inspection, tubes: tuple[Tube, ...] = (TUBE,), **more: object) -> Reviewed:
    """The view of the one event with these inspections."""
    return reviewed(
        [EVENT], [PART], tubes, more.get("revised", ()), inspections, more.get("earlier", ())
    )  # type: ignore[arg-type]


def test_an_accepted_event_stands_with_its_tubes() -> None:
    """An inspection that says ok lets event, tube and part through, and names itself."""
    found = view(RULES)
    (event,) = found.events
    assert (event.event, event.inspection_id, event.inspected_by) == (
        EVENT,
        RULES.inspection_id,
        "automatic",
    )
    assert found.tubes == (TUBE,)
    assert found.parts == (PART,)
    assert found.unsettled == ()


def test_a_person_goes_before_rules_whatever_the_time() -> None:
    """A rule that ran later does not overrule what a person saw."""
    person = by_person(EVENT, [judged(TUBE)], verdict="reject")
    later = RULES.model_copy(update={"at": NOW + timedelta(days=1)})
    found = view(person, later)
    assert (found.events, found.tubes, found.unsettled) == ((), (), ())


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(4)), verdicts=st.tuples(*[st.sampled_from(["ok", "reject"])] * 4)
)
def test_the_latest_decides_whatever_the_order(order: list[int], verdicts: tuple[str, ...]) -> None:
    """Rows may come in any order; the time of the inspection decides among people."""
    made = [by_person(EVENT, [judged(TUBE)], i, verdict=v) for i, v in enumerate(verdicts)]
    found = view(RULES, *(made[index] for index in order))
    assert bool(found.events) == (verdicts[3] == "ok")


@pytest.mark.parametrize(
    ("inspections", "is_open"),
    [
        ((), True),
        ((by_person(EVENT, [judged(TUBE)], verdict="unsure"),), True),
        ((by_rules(EVENT, [judged(TUBE, "rejected")], verdict="reject"),), True),
        ((by_person(EVENT, [judged(TUBE)], verdict="reject"),), False),
    ],
)
def test_only_a_persons_no_settles_an_event_that_does_not_stand(
    inspections: tuple[Inspection, ...], is_open: bool
) -> None:
    """What rules reject, or nobody could tell, may still have happened."""
    found = view(*inspections)
    assert found.events == ()
    assert (found.unsettled == (EVENT,)) == is_open


def test_who_is_unsure_of_an_event_without_a_tube_takes_nothing_back() -> None:
    """It is an answer as any other: it stands, and the event is not asked anew."""
    changes = {"verdict": "unsure", "shown_segments": EVENT.segments}
    unsure = by_person(EVENT, [], 5, **changes)
    assert not unsure.takes_back
    assert people_verdict(EVENT, [], [unsure], []) == unsure
    reopened = by_person(EVENT, [], 6, verdict="unsure", reasons=("reopened",))
    assert people_verdict(EVENT, [], [unsure, reopened], []) is None


def test_rejected_tubes_are_gone_and_corrected_ones_replaced() -> None:
    """ok, fixed, added and rejected each do what they say."""
    shown = [tube_of(DOG, (2.0, 6.0), still(0.1 * i), ordinal=i) for i in range(3)]
    fixed = revision_of(shown[1], still(0.5))
    added = revision_of(tube_of(DOG, (2.0, 6.0), ordinal=7), still(0.7))
    verdicts = [
        judged(shown[0]),
        judged(shown[1], "fixed", fixed),
        judged(shown[2], "rejected"),
        judged(added, "added", added).model_copy(update={"before_digest": None}),
    ]
    found = view(by_person(EVENT, verdicts), tubes=tuple(shown), revised=[fixed, added])
    assert {tube.digest for tube in found.tubes} == {shown[0].digest, fixed.digest, added.digest}


def test_a_revision_that_is_not_there_is_an_error() -> None:
    """Silently using the uncorrected tube would undo what the person did."""
    person = by_person(EVENT, [judged(TUBE, "fixed", revision_of(TUBE, still(0.5)))])
    with pytest.raises(ItemError, match="no revised tube has"):
        view(person)


def test_an_inspection_of_other_tubes_does_not_apply() -> None:
    """Another box, a tube more or a tube less: the person saw something else."""
    moved, more = tube_of(DOG, (2.0, 6.0), still(0.6)), tube_of(DOG, (2.0, 6.0), ordinal=1)
    for tubes in [(moved,), (TUBE, more), ()]:
        assert view(by_person(EVENT, [judged(TUBE)]), tubes=tubes).events == ()


def test_a_moved_segment_takes_the_sound_along() -> None:
    """What sounded through the whole event does so in the new times, a part of it is cut."""
    person = by_person(EVENT, [judged(TUBE)], segments=(interval(3.0, 7.0),))
    partly = sounding(EVENT, DOG, (2.5, 4.0))
    for part, expected in [(PART, (3.0, 7.0)), (partly, (3.0, 4.0))]:
        found = reviewed([EVENT], [part], [TUBE], [], [person])
        assert [each.pair for each in found.parts[0].sounding] == [expected]
        assert found.events[0].event.time_source == "annotator"


def test_an_events_tubes_are_its_objects_tubes_that_overlap_it() -> None:
    """Another object's tube, and a tube of another time, belong to another event."""
    others = [tube_of(CAT, (2.0, 6.0)), tube_of(DOG, (6.0, 9.0))]
    assert tubes_of(EVENT, [PART], [TUBE, *others]) == [TUBE]


def test_of_two_events_that_judge_one_tube_the_higher_ranking_decides() -> None:
    """A person who rejects a tube in one event overrules the rules of another."""
    other = event_of("dog running", (4.0, 6.0))
    parts = [PART, sounding(other, DOG)]
    person = by_person(other, [judged(TUBE, "rejected")])
    assert reviewed([EVENT, other], parts, [TUBE], [], [RULES, person]).tubes == ()


def test_an_ok_undoes_no_fix_that_it_was_not_shown() -> None:
    """Everybody sees a shared tube as computed: another event's later ok is not about the fix."""
    other = event_of("dog running", (4.0, 6.0))
    parts = [PART, sounding(other, DOG)]
    left = revision_of(TUBE, still(0.6))
    fixed = by_person(EVENT, [judged(TUBE, "fixed", left)], 0)

    def stands(*inspections: Inspection) -> tuple[Tube, ...]:
        return reviewed([EVENT, other], parts, [TUBE], [left], inspections).tubes

    assert stands(fixed, by_person(other, [judged(TUBE)], 5)) == (left,)
    assert stands(fixed, by_rules(other, [judged(TUBE)])) == (left,)
    assert stands(fixed, by_person(other, [judged(TUBE, "rejected")], 5)) == ()
    again = by_person(EVENT, [judged(TUBE)], 9)
    assert stands(fixed, by_person(other, [judged(TUBE)], 5), again) == (TUBE,)


# carrying over


@settings(max_examples=50, deadline=None)
@given(shift=st.floats(0, 0.1), width=st.just(0.2))
def test_a_verdict_survives_while_boxes_agree(shift: float, width: float) -> None:
    """IoU of two equal boxes shifted by d is (w - d) / (w + d): at least 0.9 carries over."""
    iou = (width - shift) / (width + shift)
    if abs(iou - 0.9) < 1e-6:
        return
    now = tube_of(DOG, (2.0, 6.0), still(0.2 + shift), backend_version="2")
    person = by_person(EVENT, [judged(TUBE)])
    assert carries_over(person, EVENT, [now], [TUBE]) == (iou >= 0.9)


@settings(max_examples=30, deadline=None)
@given(start=st.integers(-30, 30), end=st.integers(-30, 30))
def test_a_verdict_survives_segments_within_a_tenth(start: int, end: int) -> None:
    """Both ends may move by 0.1 s, no more."""
    now = event_of("dog barking", (2.0 + start / 100, 6.0 + end / 100))
    person = by_person(EVENT, [judged(TUBE)])
    expected = abs(start) <= 10 and abs(end) <= 10
    assert carries_over(person, now, [TUBE], [TUBE]) == expected
    assert carries_over(person, now, [TUBE], [TUBE], EVENT) == expected


def test_what_the_person_changed_is_not_a_change_of_the_event() -> None:
    """With the event as shown, segments that the person moved still carry over."""
    person = by_person(EVENT, [judged(TUBE)], segments=(interval(3.0, 7.0),))
    assert carries_over(person, EVENT, [TUBE], [TUBE], EVENT)
    assert not carries_over(person, EVENT, [TUBE], [TUBE])


def test_other_absences_or_objects_go_back_to_people() -> None:
    """A tube that vanishes elsewhere, a tube more, and another object are new to the person."""
    person = by_person(EVENT, [judged(TUBE)])
    hidden = tube_of(DOG, (2.0, 6.0), visible=[(2.0, 4.0)])
    for now in ([hidden], [TUBE, hidden], [], [tube_of(CAT, (2.0, 6.0))]):
        assert not carries_over(person, EVENT, now, [TUBE])


def test_instances_may_come_in_any_order() -> None:
    """Tubes are matched by their boxes, not by their place or id."""
    then = [tube_of(DOG, (2.0, 6.0), still(0.2 * i), ordinal=i) for i in range(3)]
    person = by_person(EVENT, [judged(tube) for tube in then])
    for order in permutations(range(3)):
        now = [
            tube_of(DOG, (2.0, 6.0), still(0.2 * i), ordinal=place, backend_version="2")
            for place, i in enumerate(order)
        ]
        assert carries_over(person, EVENT, now, then)


def test_a_carried_verdict_holds_for_the_tubes_as_they_are_now() -> None:
    """An ok tube stands as it is now, a fixed one as it was left, a rejected one is gone."""
    then = [tube_of(DOG, (2.0, 6.0), still(0.3 * i), ordinal=i) for i in range(3)]
    now = [
        tube_of(DOG, (2.0, 6.0), still(0.3 * i), ordinal=2 - i, backend_version="2")
        for i in range(3)
    ]
    fixed = revision_of(then[1], still(0.5))
    verdicts = [judged(then[0]), judged(then[1], "fixed", fixed), judged(then[2], "rejected")]
    person = by_person(EVENT, verdicts)
    known = {"tubes": tuple(now), "revised": [fixed]}
    assert view(person, **known).events == ()  # type: ignore[arg-type]
    found = view(person, **known, earlier=then)  # type: ignore[arg-type]
    assert found.events[0].inspection_id == person.inspection_id
    assert {tube.digest for tube in found.tubes} == {now[0].digest, fixed.digest}


def test_the_view_does_not_depend_on_the_order_of_rows() -> None:
    """Tables are sets: any order of rows gives the same view."""
    world = World(
        make_video(),
        [EVENT, event_of("cat", (3.0, 8.0))],
        [DOG, CAT],
        [PART, sounding(event_of("cat", (3.0, 8.0)), CAT)],
        [TUBE, tube_of(CAT, (3.0, 8.0))],
    ).passed()
    other = replace(
        world, events=world.events[::-1], parts=world.parts[::-1], tubes=world.tubes[::-1]
    )
    views = [
        reviewed(w.events, w.parts, w.tubes, (), w.inspections[::step])
        for w in (world, other)
        for step in (1, -1)
    ]
    assert all((v.events, v.tubes) == (views[0].events, views[0].tubes) for v in views)
    assert len(views[0].events) == len(views[0].tubes) == 2
