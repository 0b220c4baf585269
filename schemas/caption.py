"""caption: text about a stretch of a video."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import Interval, Record, req

CaptionSource = Literal["given", "label", "generated"]


class Caption(Record):
    """A sentence or more about [start_s, end_s] of a video (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "captions"
    KEY: ClassVar[tuple[str, ...]] = ("caption_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("caption_id", pa.string()),
            req("video_id", pa.string()),
            req("start_s", pa.float64()),
            req("end_s", pa.float64()),
            req("text", pa.string()),
            req("caption_source", pa.string()),
        ]
    )

    caption_id: str
    video_id: str
    start_s: float = Field(ge=0)
    end_s: float
    text: str = Field(min_length=1)
    caption_source: CaptionSource

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if not self.start_s < self.end_s:
            raise ValueError(
                f"caption {self.caption_id} [{self.start_s}, {self.end_s}] s: start must be below "
                "end; mend the times or leave the caption out"
            )
        return self

    @property
    def interval(self) -> Interval:
        """The stretch that the caption speaks of."""
        return Interval(start_s=self.start_s, end_s=self.end_s)
