"""event: one audio-visual happening: a label, a description, one or more segments."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field

from earshot.schemas.base import INTERVALS, STRINGS, Interval, Record, check_interval_set, opt, req

TimeSource = Literal["given", "caption", "annotator"]
IntervalSet = Annotated[tuple[Interval, ...], AfterValidator(check_interval_set)]


class GivenEvent(Record):
    """An event as the manifest gives it: its times and label are authoritative (CONTRACTS 3)."""

    TABLE: ClassVar[str] = "given_events"
    KEY: ClassVar[tuple[str, ...]] = ("event_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("event_id", pa.string()),
            req("video_id", pa.string()),
            opt("label", pa.string()),
            req("description", pa.string()),
            req("segments", INTERVALS),
            req("time_source", pa.string()),
            req("caption_ids", STRINGS),
        ]
    )

    event_id: str
    video_id: str
    label: str | None = Field(description="a category; null where none is known")
    description: str
    segments: Annotated[IntervalSet, Field(min_length=1)]
    time_source: TimeSource
    caption_ids: tuple[str, ...]


class Event(GivenEvent):
    """One audio-visual happening of a video (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "events"
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [*GivenEvent.ARROW, opt("prompt_digest", pa.string()), opt("answer_key", pa.string())]
    )

    prompt_digest: str | None = Field(
        None, description="sha256 of the prompt that a model found it with; null: no model did"
    )
    answer_key: str | None = Field(None, description="of the raw answer in the request cache")
