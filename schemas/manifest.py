"""The input manifest: one line a video (CONTRACTS 3).

{"video_id": "yard-01", "uri": "videos/yard-01.mp4", "captions": [{"start_s": 0, "end_s": 4.2,
"text": "A brown dog barks at the gate."}], "events": [{"label": "dog barking", "segments":
[{"start_s": 0.5, "end_s": 3.9}]}], "licence": "CC BY 4.0", "source": "own", "split_group": "yard"}

Times are kept as written here, also those that are no numbers, and a caption or event that can't be
read at all is kept as text: what is wrong with one is found out, and said, by the stage `captions`,
so that it never costs its video.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import pyarrow as pa
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

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


# ASCII only: float() would also take 1_000 and the digits of other scripts.
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE
)
_BRIEF = 200


def seconds_of(value: object) -> float | None:
    """Return a time as a number, also one that is written as text; None where it is no number."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_written(value: object) -> str:
    """Return the beginning of a value's JSON (a text as it is), fit for UTF-8."""
    try:
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        )
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that JSON can't hold"
    return text[:_BRIEF].encode(errors="backslashreplace").decode()


class RawInterval(Frozen):
    """Times as written; not yet checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    start_s: float | None = None
    end_s: float | None = None
    times_as_written: Text | None = Field(
        None, description="what stands in place of the times, where one of them is no number"
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        written = given.get("start_s"), given.get("end_s")
        start_s, end_s = map(seconds_of, written)
        row = {**given, "start_s": start_s, "end_s": end_s}
        if (start_s is None or end_s is None) and given.get("times_as_written") is None:
            row["times_as_written"] = as_written(written)
        return row

    @field_serializer("start_s", "end_s", when_used="json")
    def _told(self, time_s: float | None) -> float | str | None:
        # JSON has no NaN, and the digest of an entry must not fail on what a stage will report.
        return time_s if time_s is None or math.isfinite(time_s) else str(time_s)


def _text_or_none(text: object) -> object:
    return "" if text is None else text


class RawCaption(RawInterval):
    """A caption as written."""

    text: Annotated[Text, BeforeValidator(_text_or_none)] = ""
    unread: Text | None = Field(
        None, description="the row as written, where it is no caption; all else is empty then"
    )


class RawEvent(Frozen):
    """An event as written: its times and label are authoritative."""

    event_id: Text | None = None
    label: Text | None = None
    description: Text | None = None
    segments: tuple[RawInterval, ...] = ()
    unread: Text | None = Field(
        None, description="the row as written, where it is no event; all else is empty then"
    )


_Raw = TypeVar("_Raw", RawCaption, RawEvent)


def _each(kind: type[_Raw]) -> Callable[[object], object]:
    """Return a validator that keeps each bad row of a list as text, and the list with it."""

    def read(one: object) -> _Raw:
        try:
            return kind.model_validate(one)
        except ValidationError:
            return kind(unread=as_written(one))

    def read_all(rows: object) -> object:
        return tuple(map(read, rows)) if isinstance(rows, list | tuple) else rows

    return read_all


_RAW_INTERVAL = pa.struct(
    [
        opt("start_s", pa.float64()),
        opt("end_s", pa.float64()),
        opt("times_as_written", pa.string()),
    ]
)
_RAW_CAPTION = pa.struct([*_RAW_INTERVAL, req("text", pa.string()), opt("unread", pa.string())])
_RAW_EVENT = pa.struct(
    [
        opt("event_id", pa.string()),
        opt("label", pa.string()),
        opt("description", pa.string()),
        req("segments", list_of(_RAW_INTERVAL)),
        opt("unread", pa.string()),
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
            opt("sha256", pa.string()),
            opt("licence", pa.string()),
            opt("source", pa.string()),
            opt("split_group", pa.string()),
        ]
    )

    video_id: Annotated[str, AfterValidator(check_video_id)]
    uri: Text = Field(min_length=1, description="path relative to the manifest, or an fsspec URL")
    captions: Annotated[tuple[RawCaption, ...], BeforeValidator(_each(RawCaption))] = ()
    events: Annotated[tuple[RawEvent, ...], BeforeValidator(_each(RawEvent))] = ()
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="of the file, where it is known beforehand"
    )
    licence: Text | None = None
    source: Text | None = None
    split_group: Text | None = None
