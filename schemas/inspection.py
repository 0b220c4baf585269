"""inspection: what a person or the automatic inspector decided about an event and its tubes.

Append-only: no recomputation, compaction or force removes one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import (
    INSTANT,
    INTERVALS,
    STRINGS,
    Frozen,
    Instant,
    Record,
    list_of,
    opt,
    req,
)
from earshot.schemas.event import IntervalSet

Verdict = Literal["ok", "reject", "unsure"]
TubeVerdict = Literal["ok", "fixed", "added", "rejected"]
InspectedBy = Literal["human", "automatic"]
OpinionKind = Literal["second", "gold"]

ADJUDICATION = "adjudication"
"""Annotator of the rows that follow from two opinions by a rule."""


class InspectedTube(Frozen):
    """The verdict on one tube; digests of its content before and after."""

    tube_id: str
    verdict: TubeVerdict
    reason: str | None = None
    before_digest: str | None = None
    after_digest: str | None = None


INSPECTED_TUBE = pa.struct(
    [
        req("tube_id", pa.string()),
        req("verdict", pa.string()),
        opt("reason", pa.string()),
        opt("before_digest", pa.string()),
        opt("after_digest", pa.string()),
    ]
)


class Inspection(Record):
    """One decision about one event (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "inspections"
    KEY: ClassVar[tuple[str, ...]] = ("inspection_id",)
    ACCUMULATES: ClassVar[bool] = True
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("inspection_id", pa.string()),
            req("event_id", pa.string()),
            req("verdict", pa.string()),
            req("reasons", STRINGS),
            req("segments", INTERVALS),
            req("tubes", list_of(INSPECTED_TUBE)),
            req("annotator", pa.string()),
            req("at", INSTANT),
            req("seconds", pa.float64()),
            req("inspected_by", pa.string()),
            opt("carried_from", pa.string()),
            req("shown_segments", INTERVALS),
            opt("raw", pa.string()),
            opt("resolved_from", pa.string()),
        ]
    )

    inspection_id: str
    event_id: str
    verdict: Verdict
    reasons: tuple[str, ...]
    segments: IntervalSet = Field(description="the event's segments as the person left them")
    tubes: tuple[InspectedTube, ...]
    annotator: str
    at: Instant
    seconds: float = Field(ge=0)
    inspected_by: InspectedBy
    carried_from: str | None = Field(None, description="the inspection that was carried over")
    shown_segments: IntervalSet = Field(
        (), description="the event's segments as the person saw them; empty: as they were left"
    )
    raw: str | None = Field(None, description="the tool's own JSON, kept")
    resolved_from: str | None = Field(
        None, description="ids of the opinions that differed, which this one settles or calls open"
    )

    @property
    def is_original_work(self) -> bool:
        """Whether a person made this very row: nothing can compute it again."""
        return self.inspected_by == "human" and self.carried_from is None

    @property
    def takes_back(self) -> bool:
        """Whether it takes back all that people said of the event before.

        That is an `unsure` of somebody who was shown nothing, such as `--reopen` writes. One who
        was shown an event without a tube was shown its times.
        """
        was_shown = self.tubes or self.shown_segments or self.resolved_from
        return self.inspected_by == "human" and self.verdict == "unsure" and not was_shown

    @property
    def is_open_dispute(self) -> bool:
        """Whether two people differ about the event and a third has to look."""
        return self.annotator == ADJUDICATION and self.verdict == "unsure"


class Opinion(Inspection):
    """A decision that does not count by itself: a second one, or one about a known truth."""

    TABLE: ClassVar[str] = "opinions"
    ARROW: ClassVar[pa.Schema] = Inspection.ARROW.append(req("kind", pa.string()))

    kind: OpinionKind


class QuestionInspection(Record):
    """What a person thinks of one question with its answer; rejected ones are not published."""

    TABLE: ClassVar[str] = "question_inspections"
    KEY: ClassVar[tuple[str, ...]] = ("question_inspection_id",)
    ACCUMULATES: ClassVar[bool] = True
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("question_inspection_id", pa.string()),
            req("question_id", pa.string()),
            req("question_digest", pa.string()),
            req("verdict", pa.string()),
            req("reasons", STRINGS),
            req("annotator", pa.string()),
            req("at", INSTANT),
            req("seconds", pa.float64()),
            opt("raw", pa.string()),
        ]
    )

    question_inspection_id: str
    question_id: str
    question_digest: str = Field(description="of the question as it was shown")
    verdict: Verdict
    reasons: tuple[str, ...]
    annotator: str
    at: Instant
    seconds: float = Field(ge=0)
    raw: str | None = Field(None, description="the tool's own JSON, kept")
