"""Faults: rows of an input file that can't be used, each with its place, reason and value."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from earshot.schemas.manifest import ManifestEntry, as_written


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
    message = f"{place}: {'; '.join(_told(one) for one in error.errors())}"
    return fault_of(line, video_id, message, error.errors()[0].get("input"))


_EXPECTED = {
    "tuple_type": "a list",
    "string_type": "a text in quotes",
    "string_too_short": "at least {min_length} character",
    "string_pattern_mismatch": "a text like {pattern}",
}


def _told(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, ManifestEntry.model_fields, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"{field}: no such field{meant}; remove or rename it"
    if problem["type"] == "missing":
        return f"{field} is missing; add it"
    if problem["type"] == "value_error":  # our own: it says all
        return f"{field}: {problem['ctx']['error']}"
    known = _EXPECTED.get(problem["type"])
    expected = known.format(**problem.get("ctx", {})) if known else problem["msg"]
    return f"{field} is {as_written(problem['input'])!r}: expected {expected}; mend it"


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
