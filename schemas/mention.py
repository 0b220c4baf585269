"""mention: one naming of a thing at one place of a caption, seen from one event.

Caption analysers (rules, an LLM) give mentions; key-object extraction joins them into objects.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import INTERVALS, Record, opt, req
from earshot.schemas.event import IntervalSet

Audibility = Literal["visible_and_audible", "visible_only", "audible_only"]


class Mention(Record):
    """A thing named in a caption, with the verbatim span that names it."""

    TABLE: ClassVar[str] = "mentions"
    KEY: ClassVar[tuple[str, ...]] = ("mention_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("mention_id", pa.string()),
            req("video_id", pa.string()),
            req("event_id", pa.string()),
            req("caption_id", pa.string()),
            req("surface", pa.string()),
            req("char_start", pa.int32()),
            req("char_end", pa.int32()),
            req("head", pa.string()),
            req("name", pa.string()),
            opt("count", pa.int32()),
            req("is_group", pa.bool_()),
            req("audibility", pa.string()),
            req("sounding", INTERVALS),
            opt("confidence", pa.float64()),
            opt("prompt_digest", pa.string()),
            opt("answer_key", pa.string()),
        ]
    )

    mention_id: str
    video_id: str
    event_id: str
    caption_id: str
    surface: str = Field(min_length=1, description="the words as written")
    char_start: int = Field(ge=0)
    char_end: int = Field(description="half-open end of the span in the caption's text")
    head: str = Field(min_length=1, description="head noun, singular")
    name: str = Field(min_length=1, description="canonical name")
    count: int | None = Field(ge=1)
    is_group: bool
    audibility: Audibility
    sounding: IntervalSet = Field(description="inside the event's segments; empty when silent")
    confidence: float | None = Field(ge=0, le=1)
    prompt_digest: str | None = Field(
        None, description="sha256 of the prompt that a model found it with; null: no model did"
    )
    answer_key: str | None = Field(None, description="of the raw answer in the request cache")
