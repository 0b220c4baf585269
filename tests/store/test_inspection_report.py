"""The report counts each event once, by its latest word, and measures corrections."""

from __future__ import annotations

import pytest

from earshot.annotation_ui.labeling import BOX_REASONS, REASONS
from earshot.annotation_ui.read import DELETED
from earshot.schemas.inspection_report import InspectionReport
from earshot.schemas.tube import Tube
from earshot.store.inspection_report import CAUSES, PeopleWork, report, rows_of
from tests.factories import make_object
from tests.worlds import by_person, event_of, interval, judged, revision_of, still, tube_of

ONE, TWO, THREE = (event_of(label, (2.0, 6.0)) for label in ("one", "two", "three"))
TUBE = tube_of(make_object(), (2.0, 6.0))
FIXED = revision_of(TUBE, still(0.3))
KNOWN = {tube.digest: tube for tube in (TUBE, Tube(**FIXED.model_dump()))}


def told(*inspections: object) -> InspectionReport:
    """The report of three pushed events."""
    work = PeopleWork(inspections, KNOWN)  # type: ignore[arg-type]
    return report([e.event_id for e in (ONE, TWO, THREE)], work)


def test_work_is_counted_once() -> None:
    """The later word of an event counts, what was taken back does not, carried rows are no work."""
    first = by_person(ONE, [judged(TUBE)], minute=0, verdict="ok", seconds=60.0)
    later = by_person(
        ONE, [judged(TUBE, "rejected")], minute=5, verdict="reject",
        reasons=("bad media", "comment: black"), seconds=120.0, annotator="bea",
    )  # fmt: skip
    second = by_person(TWO, [judged(TUBE)], seconds=60.0)
    back = by_person(TWO, [], minute=9, verdict="unsure", seconds=0.0)
    carried = first.model_copy(update={"carried_from": "x", "inspection_id": "y"})
    found = told(later, first, second, back, carried)
    assert (found.pushed, found.done, found.waiting) == (3, 1, 2)
    assert found.verdicts == {"reject": 1}
    assert (found.reasons, found.causes) == ({"bad media": 1}, {"probe": 1})
    assert (found.minutes_per_task, found.hours_left) == (1.5, pytest.approx(3 / 60, abs=0.01))
    assert [(work.annotator, work.events) for work in found.annotators] == [("ann", 1), ("bea", 1)]


def test_corrections_are_measured() -> None:
    """A shifted box: half of it is new, a third of the union is common; spans have a tIoU."""
    fixed = by_person(ONE, [judged(TUBE, "fixed", FIXED)])
    moved = by_person(
        TWO, [judged(TUBE)], segments=(interval(2.0, 4.0),), shown_segments=(interval(2.0, 6.0),)
    )
    found = told(fixed, moved)
    assert found.corrected_share == 0.5
    assert found.iou_of_fixed == pytest.approx(1 / 3, abs=1e-3)
    assert (found.spans_moved, found.tiou_of_moved) == (1, 0.5)
    assert found.tubes == {"fixed": 1, "ok": 1}
    assert ("corrected", "50 % of the tubes shown") in rows_of(found)


def test_nothing_done_is_no_number() -> None:
    """A mean of nothing is not zero."""
    found = told()
    assert (found.done, found.waiting) == (0, 3)
    assert found.corrected_share is found.minutes_per_task is found.hours_left is None
    assert ("time left", "·") in rows_of(found)


def test_every_reason_names_a_stage() -> None:
    """None of those that people can choose falls under `other`."""
    assert {*REASONS, *BOX_REASONS, DELETED} == CAUSES.keys()
