"""What people's work came to, in numbers: for `earshot inspect report` and the release card."""

from __future__ import annotations

from pydantic import Field

from earshot.schemas.base import Frozen


class AnnotatorWork(Frozen):
    """One person's work, second opinions and gold tasks with it."""

    annotator: str = Field(description="an id, no name")
    events: int
    median_minutes: float
    corrected_share: float | None = Field(description="of the tubes that they were shown")
    pairs: int = Field(description="events about which another person decided too")
    agreed_share: float | None = Field(description="of these, both meant the same")
    gold: int = Field(description="answers about events whose truth is known")
    gold_accuracy: float | None = Field(description="share of them that mean the truth")


class Agreement(Frozen):
    """How far first and second opinions agree, over the events that have both."""

    pairs: int = Field(description="events that two people decided about, seeing the same")
    agreed: int = Field(description="of these, both meant the same: the first stands")
    verdict_agreement: float | None = Field(description="share with one verdict")
    verdict_kappa: float | None = Field(description="Cohen's; null where chance explains all")
    tube_iou: float | None = Field(description="mean vIoU of tubes, where both say ok")
    span_tiou: float | None = Field(description="mean IoU of the segments, where both say ok")
    settled: int = Field(description="differed, and are settled by a rule or a third person")
    open: int = Field(description="wait for a third person")


class QuestionWork(Frozen):
    """What people think of the questions that they were shown."""

    inspected: int
    verdicts: dict[str, int]
    reasons: dict[str, int] = Field(description="of the rejected ones, which are not published")


class InspectionReport(Frozen):
    """Numbers of all events that were ever pushed."""

    pushed: int = Field(description="events")
    done: int = Field(description="events that people have decided about")
    waiting: int
    verdicts: dict[str, int]
    reasons: dict[str, int] = Field(description="of events and of boxes")
    causes: dict[str, int] = Field(description="the same by the stage that they speak of")
    tubes: dict[str, int] = Field(description="ok, fixed, rejected, and added")
    corrected_share: float | None = Field(description="fixed or rejected, of the tubes shown")
    iou_of_fixed: float | None = Field(description="mean vIoU of fixed tubes, before and after")
    spans_moved: int = Field(description="events whose segments a person changed")
    tiou_of_moved: float | None = Field(description="mean IoU of those segments, before and after")
    minutes_per_task: float | None = Field(description="mean, second opinions and gold with it")
    median_minutes: float | None
    hours_left: float | None = Field(description="waiting events times the median")
    agreement: Agreement
    gold: int = Field(description="answers about events whose truth is known")
    gold_accuracy: float | None = Field(description="share of them that mean the truth")
    questions: QuestionWork
    annotators: tuple[AnnotatorWork, ...]
