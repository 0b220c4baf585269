"""What all records share: frozen models, canonical JSON, digests and the Arrow field helpers.

Takes Python values and gives immutable records; never touches a file.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator


def faults_of(error: ValidationError) -> str:
    """Return how many faults a document has and the first one, in a line: it may have hundreds."""
    return f"{error.error_count()} faults, first: {error.errors(include_url=False)[0]['msg']}"


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 canonical JSON of a JSON-like value.

    Raises:
        rfc8785.CanonicalizationError: for NaN, infinity or a type that JSON does not have.
    """
    try:
        return _ENCODER.encode(_plain(value)).encode()
    except (_Unusual, UnicodeEncodeError):
        return rfc8785.dumps(value)


# The library takes 2 us a number, and a tube has 500 of them: what the standard encoder writes in
# the canonical form too is left to it, and only the unusual to the library.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)
_SAFE_INT = 2**53 - 1


class _Unusual(Exception):  # noqa: N818 - no error: a turn of the way
    """A value whose canonical form the standard encoder does not write."""


def _plain(value: Any) -> Any:
    """Return a value that the standard encoder writes in canonical form."""
    kind = type(value)
    if kind is float:
        # Between these bounds shortest decimals are written alike, but for the `.0` of whole ones.
        if 1e-4 <= value < 1e15 or -1e15 < value <= -1e-4 or value == 0:
            return int(value) if value.is_integer() else value
        raise _Unusual
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -_SAFE_INT <= value <= _SAFE_INT:
            return value
        raise _Unusual
    if kind is list or kind is tuple:
        return [_plain(one) for one in value]
    if kind is dict:
        return {name: _plain(value[name]) for name in _in_order(tuple(value))}
    raise _Unusual


@lru_cache(maxsize=1024)
def _in_order(names: tuple[Any, ...]) -> tuple[str, ...]:
    """Return field names sorted; ASCII sorts alike by characters and by UTF-16, the canon."""
    if all(type(name) is str and name.isascii() for name in names):
        return tuple(sorted(names))
    raise _Unusual


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Return the sha256 over the canonical JSON of a JSON-like value."""
    return sha256_hex(canonical_json(value))


def _in_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError(f"{at} has no time zone; expected one: use datetime.now(UTC)")
    return at.astimezone(UTC)


# One instant, one digest: without this a time zone would not survive the Arrow table.
Instant = Annotated[datetime, AfterValidator(_in_utc)]


class Frozen(BaseModel):
    """An immutable model that refuses unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Interval(Frozen):
    """A stretch of time in seconds from the container's start, start < end."""

    start_s: float
    end_s: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.start_s < self.end_s:
            raise ValueError(
                f"interval [{self.start_s}, {self.end_s}] s: start must be below end; "
                "mend the times or leave the interval out"
            )
        return self

    @property
    def pair(self) -> tuple[float, float]:
        """(start_s, end_s), the form that `earshot.geometry.intervals` takes."""
        return (self.start_s, self.end_s)


def check_interval_set(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Return the intervals unchanged if they are sorted and disjoint, else raise ValueError."""
    for before, after in itertools.pairwise(intervals):
        if after.start_s < before.end_s:
            raise ValueError(
                f"intervals {before.pair} and {after.pair} s overlap or are not sorted; "
                "pass them through geometry.intervals.normalise"
            )
    return intervals


@lru_cache(maxsize=256)  # what sounds mostly does so for all of its event
def to_intervals(pairs: tuple[tuple[float, float], ...]) -> tuple[Interval, ...]:
    """Turn (start, end) pairs, as geometry gives them, into `Interval` records."""
    return tuple(Interval(start_s=start, end_s=end) for start, end in pairs)


def to_pairs(intervals: tuple[Interval, ...]) -> tuple[tuple[float, float], ...]:
    """Turn `Interval` records into the (start, end) pairs that geometry takes."""
    return tuple(interval.pair for interval in intervals)


class Record(Frozen):
    """A row of a workspace or release table (CONTRACTS 2).

    Class attributes: `TABLE` is the table's name, `KEY` the fields that identify a row, `ARROW` the
    table's schema without the `digest` column, which every table has at its end. Rows of a table
    that `ACCUMULATES` count whatever the stage key they were written under: what people decided is
    never computed away.
    """

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]
    ARROW: ClassVar[pa.Schema]
    ACCUMULATES: ClassVar[bool] = False

    @property
    def record_id(self) -> str:
        """The row's id: its key fields joined with `+` where there are several."""
        return "+".join(str(getattr(self, name)) for name in self.KEY)

    @property
    def digest(self) -> str:
        """sha256 of the content: equal id and other digest means changed (CONTRACTS 1)."""
        return digest_of(self.model_dump(mode="json"))


def req(name: str, kind: pa.DataType) -> pa.Field:
    """An Arrow field that is never null."""
    return pa.field(name, kind, nullable=False)


def opt(name: str, kind: pa.DataType) -> pa.Field:
    """An Arrow field that may be null."""
    return pa.field(name, kind, nullable=True)


def list_of(kind: pa.DataType, *, nullable: bool = False) -> pa.DataType:
    """An Arrow list; its elements are null only where `nullable` says so."""
    return pa.list_(pa.field("element", kind, nullable=nullable))


INTERVAL = pa.struct([req("start_s", pa.float64()), req("end_s", pa.float64())])
INTERVALS = list_of(INTERVAL)
STRINGS = list_of(pa.string())
INSTANT = pa.timestamp("us", tz="UTC")
