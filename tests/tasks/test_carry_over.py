"""What people decided, when tubes are computed again: carried over, or back to people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.schemas.config import InspectConfig
from earshot.schemas.inspection import Inspection
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.store.reviewed import reviewed
from earshot.store.stage import Done, Outcome
from earshot.tasks.inspect_tubes import InspectTubes
from tests.factories import NOW, make_object, make_video
from tests.worlds import (
    CONTEXT,
    World,
    by_person,
    event_of,
    interval,
    judged,
    revision_of,
    sounding,
    still,
    tube_of,
)

DOG = make_object(name="dog")
EVENT = event_of("dog barking", (2.0, 6.0))
TUBE = tube_of(DOG, (2.0, 6.0))
WIDTH = 0.2


def moved(by: float, **changes: object) -> Tube:
    """The tube as a later version of the tracker gives it, so far to the right."""
    return tube_of(DOG, (2.0, 6.0), still(0.2 + by), backend_version="2", **changes)


def world(*tubes: Tube, **rows: object) -> World:
    """One event with a dog that sounds in it."""
    return World(make_video(), [EVENT], [DOG], [sounding(EVENT, DOG)], tubes, **rows)  # type: ignore[arg-type]


def inspect(given_world: World) -> Outcome:
    """What the stage makes of a world."""
    stage = InspectTubes(InspectConfig(), CONTEXT)
    (outcome,) = stage.run([given_world.given(InspectTubes)])
    return outcome


def carried(outcome: Outcome) -> list[Inspection]:
    """The rows that were carried over."""
    return [r for r in outcome.records if isinstance(r, Inspection) and r.carried_from]


@settings(max_examples=40, deadline=None)
@given(by=st.floats(0, 0.15))
def test_a_small_change_is_carried_and_a_large_one_is_not(by: float) -> None:
    """IoU of a box w wide moved by d is (w - d) / (w + d): at least 0.9 gives a row of its own."""
    iou = (WIDTH - by) / (WIDTH + by)
    if abs(iou - 0.9) < 1e-6:
        return
    person = by_person(EVENT, [judged(TUBE)], shown_segments=EVENT.segments)
    now = moved(by)
    rows = carried(inspect(world(now, inspections=[person], shown=[ShownTube.of(TUBE)])))
    assert bool(rows) == (iou >= 0.9)
    for row in rows:
        assert (row.carried_from, row.inspected_by, row.at) == (
            person.inspection_id,
            "human",
            person.at,
        )
        assert row.inspection_id != person.inspection_id
        assert [tube.before_digest for tube in row.tubes] == [now.digest]
        view = reviewed([EVENT], [sounding(EVENT, DOG)], [now], [], [person, row])
        assert view.events[0].inspection_id == row.inspection_id
        assert view.tubes == (now,)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.floats(0.001, 0.009), min_size=2, max_size=12))
def test_many_small_changes_do_not_add_up_unseen(steps: list[float]) -> None:
    """Each tube is held against what the person saw, never against what was carried before."""
    person = by_person(EVENT, [judged(TUBE)])
    shown, inspections, away = [ShownTube.of(TUBE)], [person], 0.0
    for step in steps:
        away += step
        iou = (WIDTH - away) / (WIDTH + away)
        outcome = inspect(world(moved(away), inspections=inspections, shown=shown))
        if abs(iou - 0.9) > 1e-6:
            assert bool(carried(outcome)) == (iou >= 0.9)
        inspections += carried(outcome)


def test_equal_input_gives_equal_rows() -> None:
    """A carried row has no clock and no chance in it."""
    person = by_person(EVENT, [judged(TUBE)])
    one = world(moved(0.001), inspections=[person], shown=[ShownTube.of(TUBE)])
    assert [r.digest for r in inspect(one).records] == [r.digest for r in inspect(one).records]


def test_the_same_tubes_need_no_carrying() -> None:
    """A verdict on exactly these tubes applies as it is; what the person saw is kept beside it."""
    person = by_person(EVENT, [judged(TUBE)])
    outcome = inspect(world(TUBE, inspections=[person]))
    assert carried(outcome) == []
    assert [r for r in outcome.records if isinstance(r, ShownTube)] == [ShownTube.of(TUBE)]
    again = inspect(world(TUBE, inspections=[person], shown=[ShownTube.of(TUBE)]))
    assert [r for r in again.records if isinstance(r, ShownTube)] == []


def test_a_kept_tube_is_the_tube() -> None:
    """What is kept has the content and the digest that the inspection names."""
    kept = ShownTube.of(TUBE)
    assert kept.tube() == TUBE
    assert kept.shown_digest == TUBE.digest


@pytest.mark.parametrize(("verdict", "status"), [("ok", "done"), ("unsure", "rejected")])
def test_people_go_before_the_rules(verdict: str, status: str) -> None:
    """A tube that the rules would reject stands or falls by what the person said."""
    hardly = tube_of(DOG, (2.0, 6.0), visible=[(2.0, 2.4)])
    assert inspect(world(hardly)).items[0].reason_code == "rule_rejected"
    person = by_person(EVENT, [judged(hardly)], verdict=verdict)
    outcome = inspect(world(hardly, inspections=[person]))
    assert isinstance(outcome, Done)
    assert outcome.items[0].status == status


def test_a_person_who_rejects_all_leaves_the_video_out() -> None:
    """The rules would have let it through."""
    person = by_person(EVENT, [judged(TUBE)], verdict="reject", reasons=("nothing to hear",))
    outcome = inspect(world(TUBE, inspections=[person]))
    assert outcome.status == "rejected"
    assert outcome.items[0].reason_code == "inspector_rejected"
    assert outcome.items[0].message == "nothing to hear"


def test_a_revision_is_carried_with_its_verdict() -> None:
    """Where the person drew the boxes anew, theirs stand in the place of the new ones too."""
    fixed = revision_of(TUBE, still(0.5))
    person = by_person(EVENT, [judged(TUBE, "fixed", fixed)])
    now = moved(0.005)
    (row,) = carried(
        inspect(world(now, inspections=[person], revised=[fixed], shown=[ShownTube.of(TUBE)]))
    )
    parts = [sounding(EVENT, DOG)]
    view = reviewed([EVENT], parts, [now], [fixed], [person, row])
    assert [tube.digest for tube in view.tubes] == [fixed.digest]


def test_an_older_revision_is_found_where_it_was_shown() -> None:
    """Two people fixed one tube under two settings: going back to the first finds the first."""
    first, second = revision_of(TUBE, still(0.5)), revision_of(moved(0.1), still(0.6))
    assert first.tube_id == second.tube_id
    one = by_person(EVENT, [judged(TUBE, "fixed", first)])
    # A table by tube_id holds the latest alone.
    kept = [ShownTube.of(Tube(**each.model_dump())) for each in (TUBE, first)]
    back = world(TUBE, inspections=[one], revised=[second], shown=kept)
    assert back.ask().rows


def test_moved_segments_are_held_against_those_that_were_shown() -> None:
    """A person who moved an event's segments did not change what the event is."""
    person = by_person(
        EVENT,
        [judged(TUBE)],
        segments=(interval(3.0, 7.0),),
        shown_segments=EVENT.segments,
    )
    rows = {"inspections": [person], "shown": [ShownTube.of(TUBE)]}
    (row,) = carried(inspect(world(moved(0.001), **rows)))
    assert row.segments == (interval(3.0, 7.0),)
    later = replace(world(TUBE, **rows), events=[event_of("dog barking", (2.0, 5.0))])
    same_event = by_person(later.events[0], person.tubes, shown_segments=EVENT.segments)
    assert not reviewed(later.events, later.parts, [TUBE], [], [same_event]).events


def test_a_verdict_that_was_taken_back_counts_no_more() -> None:
    """The rules decide alone, nothing is carried, and the person's next look counts again."""
    person = by_person(EVENT, [judged(TUBE)], verdict="reject")
    back = by_person(EVENT, [], 5, verdict="unsure", reasons=("reopened",))
    outcome = inspect(world(TUBE, inspections=[person, back]))
    assert (outcome.status, outcome.items[0].status) == ("done", "done")
    assert carried(inspect(world(moved(0.001), inspections=[person, back]))) == []
    later = person.model_copy(
        update={"inspection_id": f"{EVENT.event_id}/i-later", "at": NOW + timedelta(minutes=9)}
    )
    assert inspect(world(TUBE, inspections=[person, back, later])).status == "rejected"


def test_a_revised_tube_is_no_other_tube() -> None:
    """A tube that a person drew is found by its digest, whichever table it lies in."""
    fixed = revision_of(TUBE, still(0.5))
    assert isinstance(fixed, RevisedTube)
    assert fixed.digest == Tube(**fixed.model_dump()).digest
