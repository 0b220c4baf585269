"""event_object: what an object does in an event: whether it is heard and seen, and when."""

from __future__ import annotations

from typing import ClassVar, Self

import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import INTERVALS, Frozen, Record, list_of, opt, req
from earshot.schemas.event import IntervalSet
from earshot.schemas.mention import Audibility


class Evidence(Frozen):
    """A verbatim span of a caption, half-open in characters."""

    caption_id: str
    char_start: int = Field(ge=0)
    char_end: int


EVIDENCE = pa.struct(
    [req("caption_id", pa.string()), req("char_start", pa.int32()), req("char_end", pa.int32())]
)


class EventObject(Record):
    """The part that an object has in an event (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "event_objects"
    KEY: ClassVar[tuple[str, ...]] = ("event_id", "object_id")
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("event_id", pa.string()),
            req("object_id", pa.string()),
            req("audibility", pa.string()),
            req("sounding", INTERVALS),
            req("evidence", list_of(EVIDENCE)),
            opt("confidence", pa.float64()),
        ]
    )

    event_id: str
    object_id: str
    audibility: Audibility
    sounding: IntervalSet = Field(description="inside the event's segments; empty when silent")
    evidence: tuple[Evidence, ...]
    confidence: float | None = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _silent_has_no_sound(self) -> Self:
        if self.audibility == "visible_only" and self.sounding:
            raise ValueError(
                f"object {self.object_id} is visible_only in {self.event_id} but has sounding "
                f"intervals {[i.pair for i in self.sounding]}; drop them or change the audibility"
            )
        return self
