"""The input manifest: one line a video (CONTRACTS 3).

{"video_id": "yard-01", "uri": "videos/yard-01.mp4", "captions": [{"start_s": 0, "end_s": 4.2,
"text": "A brown dog barks at the gate."}], "events": [{"label": "dog barking", "segments":
[{"start_s": 0.5, "end_s": 3.9}]}], "licence": "CC BY 4.0", "source": "own", "split_group": "yard"}

Times are kept as written here: what is wrong with them is found out, and said, by the stages.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import pyarrow as pa
from pydantic import AfterValidator, ConfigDict, Field, field_serializer

from earshot.schemas.base import Frozen, Record, list_of, opt, req
from earshot.schemas.ids import check_video_id


def _writable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"half of a surrogate pair at character {error.start}; expected text that UTF-8 can "
            "hold: write the whole character"
        ) from error
    return text


Text = Annotated[str, AfterValidator(_writable)]


class RawInterval(Frozen):
    """Times as written; not yet checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    start_s: float
    end_s: float

    @field_serializer("start_s", "end_s", when_used="json")
    def _told(self, time_s: float) -> float | str:
        # JSON has no NaN, and the digest of an entry must not fail on what a stage will report.
        return time_s if math.isfinite(time_s) else str(time_s)


class RawCaption(RawInterval):
    """A caption as written."""

    text: Text


class RawEvent(Frozen):
    """An event as written: its times and label are authoritative."""

    event_id: Text | None = None
    label: Text | None = None
    description: Text | None = None
    segments: tuple[RawInterval, ...]


_RAW_INTERVAL = pa.struct([req("start_s", pa.float64()), req("end_s", pa.float64())])
_RAW_CAPTION = pa.struct([*_RAW_INTERVAL, req("text", pa.string())])
_RAW_EVENT = pa.struct(
    [
        opt("event_id", pa.string()),
        opt("label", pa.string()),
        opt("description", pa.string()),
        req("segments", list_of(_RAW_INTERVAL)),
    ]
)


class ManifestEntry(Record):
    """One video of the input, with its captions and perhaps its events."""

    TABLE: ClassVar[str] = "manifest"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("uri", pa.string()),
            req("captions", list_of(_RAW_CAPTION)),
            req("events", list_of(_RAW_EVENT)),
            opt("licence", pa.string()),
            opt("source", pa.string()),
            opt("split_group", pa.string()),
        ]
    )

    video_id: Annotated[str, AfterValidator(check_video_id)]
    uri: Text = Field(min_length=1, description="path relative to the manifest, or an fsspec URL")
    captions: tuple[RawCaption, ...] = ()
    events: tuple[RawEvent, ...] = ()
    licence: Text | None = None
    source: Text | None = None
    split_group: Text | None = None
