"""question: a QA pair of one task, with its truth as one canonical JSON string."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import INTERVAL, STRINGS, Frozen, Interval, Record, list_of, opt, req
from earshot.schemas.inspection import InspectedBy
from earshot.schemas.tube import BoxSpaceName

Task = Literal["temporal", "spatial", "spatio_temporal"]
Branch = Literal["sounding", "silent"]
Split = Literal["train", "validation", "test"]


class GridRecord(Frozen):
    """The times that a question asks about (CONTRACTS 4)."""

    anchor_s: float
    step_s: float
    times_s: tuple[float, ...]


GRID = pa.struct(
    [
        req("anchor_s", pa.float64()),
        req("step_s", pa.float64()),
        req("times_s", list_of(pa.float64())),
    ]
)


class Question(Record):
    """A question with one right answer (CONTRACTS 2, 5, 7)."""

    TABLE: ClassVar[str] = "questions"
    KEY: ClassVar[tuple[str, ...]] = ("question_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("question_id", pa.string()),
            req("video_id", pa.string()),
            req("split", pa.string()),
            req("task", pa.string()),
            opt("branch", pa.string()),
            req("pack", pa.string()),
            req("template_id", pa.string()),
            req("question", pa.string()),
            opt("asked_object_id", pa.string()),
            req("options", STRINGS),
            req("answer", pa.string()),
            req("truth_json", pa.string()),
            opt("span", INTERVAL),
            req("grid", GRID),
            req("event_ids", STRINGS),
            req("object_ids", STRINGS),
            req("tube_ids", STRINGS),
            req("inspection_ids", STRINGS),
            req("inspected_by", pa.string()),
            req("box_space", pa.string()),
        ]
    )

    question_id: str
    video_id: str
    split: Split
    task: Task
    branch: Branch | None
    pack: str
    template_id: str
    question: str
    asked_object_id: str | None = Field(None, description="the object that the question names")
    options: tuple[str, ...] = Field((), description="names to choose from; empty: a free answer")
    answer: str
    truth_json: str = Field(description="canonical JSON of CONTRACTS 7")
    span: Interval | None = Field(description="the stretch that the question names")
    grid: GridRecord
    event_ids: tuple[str, ...]
    object_ids: tuple[str, ...]
    tube_ids: tuple[str, ...]
    inspection_ids: tuple[str, ...]
    inspected_by: InspectedBy
    box_space: BoxSpaceName
