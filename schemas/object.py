"""object: a named kind of thing in one video; its instances are tubes."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import STRINGS, Record, opt, req


class Object(Record):
    """A named kind of thing in one video (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "objects"
    KEY: ClassVar[tuple[str, ...]] = ("object_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("object_id", pa.string()),
            req("video_id", pa.string()),
            req("name", pa.string()),
            req("head", pa.string()),
            req("surfaces", STRINGS),
            req("accept", STRINGS),
            opt("count", pa.int32()),
            req("is_group", pa.bool_()),
            req("grounding_phrase", pa.string()),
        ]
    )

    object_id: str
    video_id: str
    name: str = Field(min_length=1, description="canonical name")
    head: str = Field(min_length=1, description="head noun, singular")
    surfaces: tuple[str, ...] = Field(description="as written in the captions")
    accept: tuple[str, ...] = Field(description="names a reader may answer, normalised")
    count: int | None = Field(ge=1, description="instances that the captions speak of, if said")
    is_group: bool = Field(description="a crowd, a choir: one box for all of it")
    grounding_phrase: str = Field(min_length=1, description="what a detector is asked for")
