"""Faults: rows of an input file that can't be used, each with its place, reason and value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from earshot.schemas.manifest import as_written


@dataclass(frozen=True)
class Fault:
    """A row, or a box of one, that can't be used.

    Attributes:
        line: the line of a text file, or the row or entry of another, counted from 1.
        video_id: the row's id, as far as one can be read.
        reason_code: a code of `earshot.schemas.ledger.REASONS`.
        message: place, value, expectation, remedy.
        value: the beginning of the offending value.
    """

    line: int
    video_id: str | None
    reason_code: str
    message: str
    value: str | None = None


def fault_of(
    line: int, video_id: object, message: str, value: object, code: str = "bad_entry"
) -> Fault:
    """Return a fault whose texts UTF-8 can hold, whatever the row holds."""
    known = as_written(video_id) if isinstance(video_id, str) else None
    clean = message.encode(errors="backslashreplace").decode()
    return Fault(line, known, code, clean, as_written(value))


def unfit(line: int, place: str, video_id: object, error: ValidationError) -> Fault:
    """Return the fault of a row that breaks the manifest's rules; it names every broken rule."""
    problems = [
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    ]
    message = f"{place}: {'; '.join(problems)}"
    return fault_of(line, video_id, message, error.errors()[0].get("input"))


def duplicate(line: int, place: str, video_id: str) -> Fault:
    """Return the fault of a row whose id an earlier one has."""
    message = (
        f"{place}: video_id {video_id!r} stands on an earlier line too, and that one is used; "
        "rename one of them"
    )
    return fault_of(line, video_id, message, video_id, "duplicate_id")


def fault_counts(faults: Iterable[Fault]) -> dict[str, int]:
    """Return how many faults have each reason code."""
    return dict(Counter(fault.reason_code for fault in faults))
