"""The ledger's closed registry of reasons, and the rows that have to keep to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import earshot.schemas.ledger
from earshot.schemas.ledger import ITEM_KINDS, REASONS, STATUSES, LedgerRow, Reason, Status
from tests.factories import NOW


def make_row(**changes: Any) -> LedgerRow:
    """A video that went through the probe."""
    values: dict[str, Any] = {
        "build_id": "0001-abcdef01",
        "stage": "probe",
        "video_id": "v1",
        "item_kind": "video",
        "item_id": "v1",
        "status": "done",
        "reason_code": None,
        "message": None,
        "value": None,
        "attempts": 1,
        "seconds": 0.5,
        "key": "k",
        "at": NOW,
    }
    return LedgerRow(**{**values, **changes})


def test_status_and_item_kinds_are_the_closed_sets_of_the_contract() -> None:
    """CONTRACTS 2 names five states and six kinds of item."""
    assert STATUSES == ("done", "filtered", "rejected", "quarantined", "waiting")
    assert ITEM_KINDS == ("video", "caption", "event", "object", "tube", "question")


@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_every_reason_says_what_and_what_to_do(code: str, reason: Reason) -> None:
    """A code is a plain word with a status of the closed set, a sentence and a remedy."""
    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", code)
    assert reason.status in STATUSES
    for text in (reason.sentence, reason.remedy):
        assert re.fullmatch(r"[A-Z][^\n]{4,}\.", text), text


def test_no_two_reasons_say_the_same() -> None:
    """Two codes with one sentence could not be told apart."""
    sentences = [reason.sentence for reason in REASONS.values()]
    assert len(set(sentences)) == len(sentences)


def test_each_code_stands_once_in_the_registry() -> None:
    """A code written twice would silently take the later status."""
    source = Path(earshot.schemas.ledger.__file__).read_text()
    written = re.findall(r'^    "(\w+)": (?:_\w+|Reason)\(', source, re.MULTILINE)
    assert sorted(written) == sorted(REASONS)


def test_only_faults_are_transient() -> None:
    """What a rule or a person decided is not tried again by itself."""
    assert {r.status for r in REASONS.values() if r.transient} == {"quarantined"}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("code", REASONS)
def test_a_row_takes_a_reason_with_its_own_status_alone(code: str, status: Status) -> None:
    """A reason code goes with one status; any other pair is refused with both named."""
    if REASONS[code].status == status:
        assert make_row(status=status, reason_code=code).reason_code == code
    else:
        with pytest.raises(ValidationError, match=f"goes with '{REASONS[code].status}'"):
            make_row(status=status, reason_code=code)


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "done"])
def test_only_done_needs_no_reason(status: Status) -> None:
    """Whatever did not go through says why."""
    assert make_row().status == "done"
    with pytest.raises(ValidationError, match="needs a reason code"):
        make_row(status=status)


def test_the_registry_is_closed() -> None:
    """A code that is not in the registry is refused, also beside `done`."""
    with pytest.raises(ValidationError, match=r"'whim' is not in schemas\.ledger\.REASONS"):
        make_row(reason_code="whim")


@pytest.mark.parametrize(
    "changes",
    [{"status": "failed"}, {"item_kind": "frame"}, {"attempts": 0}, {"seconds": -1.0}],
)
def test_a_row_refuses_what_is_outside_its_sets(changes: dict[str, Any]) -> None:
    """Status and kind are closed sets; there is at least one attempt and no negative time."""
    with pytest.raises(ValidationError):
        make_row(**changes)


def test_a_row_is_one_item_of_one_stage() -> None:
    """Its id joins stage, kind and item, since item ids repeat from stage to stage."""
    assert make_row().record_id == "probe+video+v1"
