"""Two people about one event: how alike they are, and what follows where they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.schemas.inspection import ADJUDICATION, Inspection, Opinion
from earshot.schemas.tube import Tube
from earshot.store.agreement import compare, kappa, settle
from earshot.store.inspection_report import PeopleWork, report
from earshot.store.reviewed import people_verdict
from tests.factories import make_object
from tests.worlds import by_person, event_of, interval, judged, revision_of, still, tube_of

EVENT = event_of("one", (2.0, 6.0))
DOG = make_object()
TUBE = tube_of(DOG, (2.0, 6.0))
SHIFTED = revision_of(TUBE, still(0.3))
FAR = revision_of(TUBE, still(0.7))
DRAWN = tube_of(DOG, (2.0, 6.0), still(0.6), ordinal=1)
KNOWN = {t.digest: t for t in (TUBE, DRAWN, *(Tube(**x.model_dump()) for x in (SHIFTED, FAR)))}
SPAN = (interval(2.0, 6.0),)
VERDICTS = st.sampled_from(["ok", "reject", "unsure"])


def said(who: str, *tubes: object, minute: int = 0, **changes: object) -> Inspection:
    """What somebody says of the event; as it was shown, if nothing else is given."""
    shown = {"shown_segments": SPAN, "segments": SPAN, "annotator": who, **changes}
    return by_person(EVENT, tubes or [judged(TUBE)], minute, **shown)  # type: ignore[arg-type]


def added(tube: Tube) -> object:
    """A tube that somebody drew."""
    return judged(tube).model_copy(
        update={"verdict": "added", "before_digest": None, "after_digest": tube.digest}
    )


def test_the_same_is_alike() -> None:
    """Two that changed nothing agree wholly, and nothing follows."""
    found = compare(said("ann"), said("bea"), KNOWN)
    assert (found.tube_iou, found.span_tiou) == (1.0, 1.0)
    assert settle(said("ann"), said("bea", minute=1), KNOWN, 0.7) is None


def test_boxes_and_times_are_measured() -> None:
    """A shifted box: IoU 1/3; a tube that only one kept or drew counts 0; a halved span 0.5."""
    one = said("ann")
    assert compare(one, said("bea", judged(TUBE, "fixed", SHIFTED)), KNOWN).tube_iou == (
        pytest.approx(1 / 3, abs=1e-3)
    )
    assert compare(one, said("bea", judged(TUBE, "rejected")), KNOWN).tube_iou == 0
    assert compare(one, said("bea", judged(TUBE), added(DRAWN)), KNOWN).tube_iou == 0.5
    both = [said(who, judged(TUBE), added(DRAWN)) for who in ("ann", "bea")]
    assert compare(*both, KNOWN).tube_iou == 1
    half = said("bea", segments=(interval(2.0, 4.0),))
    assert compare(one, half, KNOWN).span_tiou == 0.5


def test_a_sure_one_goes_before_an_unsure_one() -> None:
    """The sure decision stands whole, whoever made it, and names both."""
    first, second = said("ann", verdict="unsure"), said("bea", minute=3)
    for one, other in ((first, second), (second, first)):
        made = settle(one, other, KNOWN, 0.7)
        assert made is not None
        assert (made.verdict, made.annotator, made.tubes) == ("ok", ADJUDICATION, second.tubes)
        assert made.resolved_from == f"{one.inspection_id} {other.inspection_id}"
        assert made.at > max(one.at, other.at)
        assert not made.is_open_dispute


@pytest.mark.parametrize(
    "second",
    [
        said("bea", verdict="reject", reasons=("no such sound",), minute=1),
        said("bea", judged(TUBE, "fixed", FAR), minute=1),
        said("bea", segments=(interval(2.0, 3.0),), minute=1),
    ],
    ids=["verdict", "boxes", "times"],
)
def test_what_differs_waits_for_a_third(second: Inspection) -> None:
    """Meanwhile the event is unsure, with what was shown; then the third person's word counts."""
    first = said("ann")
    made = settle(first, second, KNOWN, 0.7)
    assert made is not None
    assert made.is_open_dispute
    assert not made.takes_back
    assert "ann says ok" in made.reasons[0]
    assert made.segments == SPAN
    stands = people_verdict(EVENT, [TUBE], [first, made], [])
    assert stands == made
    third = said("eve", minute=9, resolved_from=made.resolved_from)
    assert people_verdict(EVENT, [TUBE], [first, made, third], []) == third


def test_an_event_without_boxes_can_be_in_dispute() -> None:
    """Then the open row has no tube either, and takes nothing back."""
    first = said("ann").model_copy(update={"tubes": ()})
    second = said("bea", verdict="reject", minute=1).model_copy(update={"tubes": ()})
    made = settle(first, second, KNOWN, 0.7)
    assert made is not None
    assert people_verdict(EVENT, [], [first, made], []) == made


def test_who_answers_twice_is_no_second_opinion() -> None:
    """One person in both projects, or two who saw different boxes, settle nothing."""
    second = said("ann", verdict="reject", minute=1)
    assert settle(said("ann"), second, KNOWN, 0.7) is None
    other = said("bea", judged(DRAWN), verdict="reject", minute=1)
    assert settle(said("ann"), other, KNOWN, 0.7) is None


def test_kappa_of_a_known_table() -> None:
    """20 ok/ok, 5 ok/reject, 10 reject/ok, 15 reject/reject: Cohen's kappa is 0.4."""
    pairs = [
        *[("ok", "ok")] * 20, *[("ok", "reject")] * 5,
        *[("reject", "ok")] * 10, *[("reject", "reject")] * 15,
    ]  # fmt: skip
    assert kappa(pairs) == pytest.approx(0.4)  # type: ignore[arg-type]
    assert kappa([]) is kappa([("ok", "ok")] * 3) is None


@given(st.lists(st.tuples(VERDICTS, VERDICTS), min_size=1))
def test_kappa_is_symmetric_and_at_most_one(pairs: list[tuple[str, str]]) -> None:
    """Who came first does not matter; it is 1 where all agree."""
    found = kappa(pairs)  # type: ignore[arg-type]
    turned = kappa([(b, a) for a, b in pairs])  # type: ignore[misc]
    assert found == pytest.approx(turned) if found is not None else turned is None
    assert found is None or found <= 1
    if found is not None and all(a == b for a, b in pairs):
        assert found == 1


def opinion(of: Inspection, kind: str) -> Opinion:
    """The same as an opinion."""
    return Opinion(**of.model_dump(), kind=kind)  # type: ignore[arg-type]


def test_the_report_has_agreement_and_gold() -> None:
    """One pair that differs and is open; of two gold answers one is right, by annotator."""
    first = said("ann", seconds=60.0)
    second = said("bea", verdict="reject", reasons=("no such sound",), minute=1, seconds=60.0)
    made = settle(first, second, KNOWN, 0.7)
    assert made is not None
    work = PeopleWork([first, made], KNOWN, [opinion(second, "second")])
    told = report([EVENT.event_id], work)
    assert (told.done, told.waiting) == (0, 1)
    assert (told.agreement.pairs, told.agreement.agreed, told.agreement.open) == (1, 0, 1)
    assert (told.agreement.verdict_agreement, told.agreement.verdict_kappa) == (0.0, 0.0)
    third = said("eve", minute=9, resolved_from=made.resolved_from)
    golds = [
        opinion(said("bea", judged(TUBE, "fixed", FAR), minute=20), "gold"),
        opinion(said("eve", minute=21), "gold"),
    ]
    work = PeopleWork([first, made, third], KNOWN, [opinion(second, "second"), *golds])
    told = report([EVENT.event_id], work)
    assert (told.done, told.agreement.settled, told.agreement.open) == (1, 1, 0)
    assert (told.gold, told.gold_accuracy) == (2, 0.5)
    by_id = {each.annotator: each for each in told.annotators}
    assert by_id.keys() == {"ann", "bea", "eve"}
    assert (by_id["bea"].gold_accuracy, by_id["eve"].gold_accuracy) == (0.0, 1.0)
    assert (by_id["bea"].pairs, by_id["bea"].agreed_share) == (1, 0.0)
