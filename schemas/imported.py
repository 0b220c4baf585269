"""imported: what annotations of others say and our own records have no place for.

A zero box becomes a null and a file's order becomes positions; no field holds a question's or an
answer's text. What our records can hold (events, objects, tubes) stands in them and nowhere else.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import INTERVAL, Interval, Record, list_of, opt, req
from earshot.schemas.question import Branch, Task
from earshot.schemas.tube import BOX, Box


class AnnotatedVideo(Record):
    """A video as an annotation file names it: nobody opened it, so its frame size is unknown."""

    TABLE: ClassVar[str] = "annotated_videos"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("position", pa.int32()),
            req("duration_s", pa.float64()),
        ]
    )

    video_id: str
    position: int = Field(ge=0, description="0-based place in the file")
    duration_s: float = Field(gt=0, description="as the file says")


class UnlinkedBoxes(Record):
    """Boxes of an object in a window that nobody linked to instances.

    Two boxes at one time are two instances, and which of them is which a second later is unknown:
    a tube would claim to know it. Also what was never seen, or has no box at all.
    """

    TABLE: ClassVar[str] = "unlinked_boxes"
    KEY: ClassVar[tuple[str, ...]] = ("unlinked_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("unlinked_id", pa.string()),
            req("video_id", pa.string()),
            req("object_id", pa.string()),
            req("window", INTERVAL),
            req("times_s", list_of(pa.float64())),
            req("boxes", list_of(BOX, nullable=True)),
            req("box_space", pa.string()),
        ]
    )

    unlinked_id: str
    video_id: str
    object_id: str
    window: Interval
    times_s: tuple[float, ...] = Field(description="as the file orders them; a time may repeat")
    boxes: tuple[Box | None, ...] = Field(description="parallel to times_s; null: not seen there")
    box_space: Literal["norm", "native_px"]

    @model_validator(mode="after")
    def _parallel(self) -> Self:
        if len(self.times_s) != len(self.boxes):
            raise ValueError(
                f"boxes {self.unlinked_id}: {len(self.times_s)} times and {len(self.boxes)} boxes; "
                "expected one box or null a time"
            )
        return self


class RAvstRow(Record):
    """An object that an answer of R-AVST names: which question, which object, where its boxes are.

    The rows of one question, in order, are its answer.
    """

    TABLE: ClassVar[str] = "r_avst_rows"
    KEY: ClassVar[tuple[str, ...]] = ("event_id", "question_position", "object_position")
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("event_id", pa.string()),
            req("event_position", pa.int32()),
            req("event_num", pa.int32()),
            req("task", pa.string()),
            opt("branch", pa.string()),
            req("question_position", pa.int32()),
            req("object_position", pa.int32()),
            req("object_id", pa.string()),
            req("surface", pa.string()),
            opt("tube_id", pa.string()),
            opt("unlinked_id", pa.string()),
        ]
    )

    video_id: str
    event_id: str
    event_position: int = Field(ge=0, description="0-based place among the video's annotations")
    event_num: int = Field(description="as the file numbers it; a number may repeat in a video")
    task: Task
    branch: Branch | None = Field(description="of a spatial question")
    question_position: int = Field(ge=0, description="0-based place in the annotation, all tasks")
    object_position: int = Field(ge=0, description="0-based place in the answer")
    object_id: str
    surface: str = Field(min_length=1, description="the name as this answer writes it")
    tube_id: str | None = Field(description="the boxes, where they are one instance")
    unlinked_id: str | None = Field(description="the boxes, where they are not")

    @model_validator(mode="after")
    def _has_boxes_where_its_task_does(self) -> Self:
        told = sum(each is not None for each in (self.tube_id, self.unlinked_id))
        if told != (self.task != "temporal"):
            raise ValueError(
                f"{self.record_id}: a {self.task} answer with tube_id {self.tube_id!r} and "
                f"unlinked_id {self.unlinked_id!r}; expected one of them, none if temporal"
            )
        return self
