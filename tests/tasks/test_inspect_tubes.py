"""The automatic inspector: three rules, and rows that do not depend on when they were made."""

from __future__ import annotations

from dataclasses import replace

from earshot.schemas.config import InspectConfig
from earshot.schemas.inspection import Inspection
from earshot.store.stage import Done, Outcome, Rejected, Waiting
from earshot.tasks.inspect_tubes import InspectTubes
from tests.factories import make_event_object, make_object, make_video
from tests.worlds import (
    CONTEXT,
    World,
    by_person,
    event_of,
    judged,
    silent,
    sounding,
    tube_of,
)

DOG, CAT = make_object(name="dog"), make_object(name="cat")
EVENT, OTHER = event_of("dog barking", (2.0, 6.0)), event_of("cat", (8.0, 12.0))


def inspect(world: World, **config: float) -> Outcome:
    """What the stage makes of a world."""
    (outcome,) = InspectTubes(InspectConfig(**config), CONTEXT).run([world.given(InspectTubes)])
    return outcome


def world(*tubes: object, parts: object = None, events: object = (EVENT,)) -> World:
    """One or two events, a dog that sounds in the first."""
    return World(
        make_video(),
        events,  # type: ignore[arg-type]
        [DOG, CAT],
        [sounding(EVENT, DOG), sounding(OTHER, CAT)] if parts is None else parts,  # type: ignore[arg-type]
        tubes,  # type: ignore[arg-type]
    )


def test_a_well_seen_sounding_object_is_ok() -> None:
    """One inspection an event, flagged automatic, with the digests of what it looked at."""
    tube = tube_of(DOG, (2.0, 6.0))
    outcome = inspect(world(tube))
    assert isinstance(outcome, Done)
    (inspection,) = outcome.records
    (judged,) = inspection.tubes
    assert (inspection.verdict, inspection.inspected_by, inspection.seconds) == (
        "ok",
        "automatic",
        0,
    )
    assert (judged.verdict, judged.before_digest) == ("ok", tube.digest)
    assert [item.item_id for item in outcome.items] == [EVENT.event_id]


def test_equal_input_gives_equal_rows() -> None:
    """No clock and no random number is in a row: the digest of a second run is the same."""
    first, second = (inspect(world(tube_of(DOG, (2.0, 6.0)))).records[0] for _ in range(2))
    assert first.digest == second.digest


def test_a_tube_that_is_hardly_seen_is_rejected() -> None:
    """0.4 of 4 s is less than 0.2 of the window; 1.2 s is more."""
    short = inspect(world(tube_of(DOG, (2.0, 6.0), visible=[(2.0, 2.4)])))
    assert isinstance(short, Rejected)
    assert short.items[0].reason_code == "rule_rejected"
    assert "inspect.min_visible_share" in (short.items[0].message or "")
    long = inspect(world(tube_of(DOG, (2.0, 6.0), visible=[(2.0, 3.2)])))
    assert isinstance(long, Done)


def test_a_tube_that_is_never_seen_is_rejected_even_without_a_least_share() -> None:
    """A limit of 0 lets every share pass, but a tube without any box shows nothing."""
    outcome = inspect(world(tube_of(DOG, (2.0, 6.0), visible=[])), min_visible_share=0.0)
    assert isinstance(outcome, Rejected)


def test_a_tube_that_fills_the_frame_is_rejected() -> None:
    """A median box of 0.96 of the frame is a tracker that found nothing, in either box space."""
    norm = tube_of(DOG, (2.0, 6.0), lambda _: (0.02, 0.0, 0.98, 1.0))
    pixels = tube_of(DOG, (2.0, 6.0), lambda _: (10, 0, 630, 359), box_space="native_px")
    small = tube_of(DOG, (2.0, 6.0), lambda _: (10, 0, 300, 359), box_space="native_px")
    assert isinstance(inspect(world(norm)), Rejected)
    assert isinstance(inspect(world(pixels)), Rejected)
    assert isinstance(inspect(world(small)), Done)


def test_an_event_needs_a_tube_of_something_that_sounds_in_it() -> None:
    """A silent thing that is seen, or a sound that is not, makes no audio-visual event."""
    seen = tube_of(CAT, (2.0, 6.0))
    parts = [make_event_object(EVENT, DOG, audibility="audible_only"), silent(EVENT, CAT)]
    outcome = inspect(world(seen, parts=parts))
    assert isinstance(outcome, Rejected)
    assert "no sounding object" in outcome.message


def test_one_event_may_fall_while_the_video_goes_on() -> None:
    """The rejected event is accounted for and its inspection kept beside the other's."""
    outcome = inspect(world(tube_of(DOG, (2.0, 6.0)), events=(EVENT, OTHER)))
    assert isinstance(outcome, Done)
    assert {item.item_id: item.status for item in outcome.items} == {
        EVENT.event_id: "done",
        OTHER.event_id: "rejected",
    }
    assert sorted(row.verdict for row in outcome.records) == ["ok", "reject"]


def test_a_video_without_events_is_done_and_empty() -> None:
    """Nothing to inspect is no fault."""
    outcome = inspect(world(events=()))
    assert isinstance(outcome, Done)
    assert outcome.reason_code == "empty"


def test_a_tube_of_unsure_name_is_rejected() -> None:
    """Two that sound as one: no rule knows who is who, so no event rests on such a tube."""
    doubted = tube_of(DOG, (2.0, 6.0), flags=("ambiguous_identity",))
    outcome = inspect(world(doubted))
    assert isinstance(outcome, Rejected)
    assert outcome.reason_code == "ambiguous_identity"
    assert [item.reason_code for item in outcome.items] == ["ambiguous_identity"]
    sure = inspect(world(doubted, tube_of(DOG, (2.0, 6.0), ordinal=1)))
    assert isinstance(sure, Done)
    (inspection,) = sure.records
    assert sorted(tube.verdict for tube in inspection.tubes) == ["ok", "rejected"]


def by_people(world: World, *inspections: Inspection) -> Outcome:
    """What the stage makes of it where rules decide nothing."""
    looked = replace(world, inspections=inspections)
    config = InspectConfig(backend="label_studio")
    (outcome,) = InspectTubes(config, CONTEXT).run([looked.given(InspectTubes)])
    return outcome


def test_where_people_inspect_what_they_have_not_seen_waits() -> None:
    """No rule stands in: the video waits, each event of it too."""
    outcome = by_people(world(tube_of(DOG, (2.0, 6.0)), events=(EVENT, OTHER)))
    assert isinstance(outcome, Waiting)
    assert outcome.records == ()
    assert [(i.status, i.reason_code) for i in outcome.items] == [("waiting", "for_people")] * 2


def test_one_event_that_people_passed_lets_the_video_go_on() -> None:
    """The other event still waits and says so; no row is made by rules."""
    tube = tube_of(DOG, (2.0, 6.0))
    passed = by_person(EVENT, [judged(tube)])
    outcome = by_people(world(tube, events=(EVENT, OTHER)), passed)
    assert isinstance(outcome, Done)
    assert {item.item_id: item.status for item in outcome.items} == {
        EVENT.event_id: "done",
        OTHER.event_id: "waiting",
    }
    assert not [row for row in outcome.records if getattr(row, "inspected_by", "") == "automatic"]


def test_a_video_whose_events_people_rejected_is_rejected() -> None:
    """With their reasons; while one still waits, the video waits."""
    tube = tube_of(DOG, (2.0, 6.0))
    no = by_person(EVENT, [judged(tube)], verdict="reject", reasons=("no such sound",))
    outcome = by_people(world(tube), no)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason_code, "no such sound" in outcome.message) == ("inspector_rejected", True)
    assert isinstance(by_people(world(tube, events=(EVENT, OTHER)), no), Waiting)
