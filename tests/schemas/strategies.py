"""Hypothesis strategies for every record class, derived from its fields and its Arrow schema.

A class whose rules go beyond its fields' types has a builder of its own in `BUILDERS`; any other
record, also one added tomorrow, is built from its annotations.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types as limits
import pyarrow as pa
from hypothesis import strategies as st
from pydantic import AfterValidator

import earshot.schemas
from earshot.schemas.base import Frozen, Interval, Record, check_interval_set
from earshot.schemas.caption import Caption
from earshot.schemas.event_object import EventObject
from earshot.schemas.generated_caption import GeneratedCaption
from earshot.schemas.ids import VIDEO_ID, check_video_id
from earshot.schemas.imported import RAvstRow, UnlinkedBoxes
from earshot.schemas.ledger import REASONS, LedgerRow
from earshot.schemas.tube import Box, OpinionTube, RevisedTube, ShownTube, Tube

R = TypeVar("R", bound=Record)

SECONDS = st.floats(0, 1e5)
INSTANTS = st.datetimes(
    datetime(1970, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.just(UTC),
)
# RFC 8785 numbers are doubles: a larger integer has no canonical form.
JSON_INTEGER = 2**53 - 1


def record_classes() -> tuple[type[Record], ...]:
    """Return every record class of `earshot.schemas`, found by importing all of its modules."""
    for module in pkgutil.iter_modules(earshot.schemas.__path__):
        importlib.import_module(f"earshot.schemas.{module.name}")
    found: list[type[Record]] = []
    left = Record.__subclasses__()
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if kind.__module__.startswith("earshot.schemas.") and kind not in found:
            found.append(kind)
    return tuple(sorted(found, key=lambda kind: kind.__name__))


def records(kind: type[R]) -> st.SearchStrategy[R]:
    """Return a strategy for valid records of a class."""
    return frozen(kind)  # type: ignore[return-value]


@cache
def frozen(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    """Return a strategy for valid models of a class, nested ones included."""
    return BUILDERS.get(kind, fields_of)(kind)


def fields_of(kind: type[Frozen], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Frozen]:
    """Build a model field by field; `given` replaces single fields."""
    arrow = getattr(kind, "ARROW", None)
    for name, field in kind.model_fields.items():
        bits = arrow.field(name).type.bit_width if _is_integer(arrow, name) else 32
        given.setdefault(name, _value(field.annotation, tuple(field.metadata), bits))
    return st.builds(kind, **given)


def interval_sets(min_size: int = 0) -> st.SearchStrategy[tuple[Interval, ...]]:
    """Sorted disjoint intervals; some touch."""
    bounds = st.lists(SECONDS, min_size=2 * min_size, max_size=8, unique=True).map(sorted)
    touching = bounds.map(lambda times: tuple(pairwise(times)))
    apart = bounds.map(lambda times: tuple(zip(times[::2], times[1::2], strict=False)))
    pairs = st.one_of(apart, touching) if min_size == 0 else apart
    return pairs.map(lambda each: tuple(Interval(start_s=s, end_s=e) for s, e in each))


def boxes() -> st.SearchStrategy[Box]:
    """Boxes with an area, anywhere."""
    side = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=2, unique=True).map(sorted)
    return st.builds(lambda x, y: Box(x1=x[0], y1=y[0], x2=x[1], y2=y[1]), side, side)


def _is_integer(arrow: pa.Schema | None, name: str) -> bool:
    return arrow is not None and pa.types.is_integer(arrow.field(name).type)


def _value(kind: Any, rules: tuple[Any, ...], bits: int = 32) -> st.SearchStrategy[Any]:
    """Return a strategy for values of an annotation under pydantic's field rules."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _value(inner, (*rules, *more), bits)
    members = [member for member in get_args(kind) if member is not NoneType]
    if get_origin(kind) in (Union, UnionType) and len(members) == 1:
        return st.none() | _value(members[0], rules, bits)
    if get_origin(kind) is Literal:
        return st.sampled_from(members)
    if get_origin(kind) is tuple and members[1:] == [Ellipsis]:
        least = _limit(rules, limits.MinLen, "min_length", 0)
        if any(isinstance(r, AfterValidator) and r.func is check_interval_set for r in rules):
            return interval_sets(least)
        return st.lists(_value(members[0], ()), min_size=least, max_size=4).map(tuple)
    if isinstance(kind, type) and issubclass(kind, Frozen):
        return frozen(kind)
    return _scalar(kind, rules, bits)


def _scalar(kind: Any, rules: tuple[Any, ...], bits: int) -> st.SearchStrategy[Any]:
    if kind is str:
        if any(isinstance(r, AfterValidator) and r.func is check_video_id for r in rules):
            return st.from_regex(VIDEO_ID, fullmatch=True)
        pattern = next((r.pattern for r in rules if getattr(r, "pattern", None)), None)
        if pattern is not None:
            return st.from_regex(pattern).filter(lambda text: not text.endswith("\n"))
        return st.text(min_size=_limit(rules, limits.MinLen, "min_length", 0), max_size=12)
    if kind is bool:
        return st.booleans()
    if kind is datetime:
        return INSTANTS
    least = _limit(rules, limits.Ge, "ge", None)
    above = _limit(rules, limits.Gt, "gt", None)
    most = _limit(rules, limits.Le, "le", None)
    if kind is int:
        bound = min(2 ** (bits - 1) - 1, JSON_INTEGER)
        return st.integers(-bound if least is None else least, bound if most is None else most)
    if kind is float:
        return st.floats(
            least if above is None else above,
            most,
            exclude_min=above is not None,
            allow_nan=False,
            allow_infinity=False,
        )
    raise TypeError(f"no strategy for {kind!r}: add one here, or a builder for its record")


def _limit(rules: tuple[Any, ...], kind: type[Any], name: str, default: Any) -> Any:
    return next((getattr(rule, name) for rule in rules if isinstance(rule, kind)), default)


def _intervals(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    return interval_sets(1).map(lambda intervals: intervals[0])


def _captions(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    @st.composite
    def one(draw: st.DrawFn) -> Frozen:
        when = draw(_intervals(Interval))
        assert isinstance(when, Interval)
        start_s, end_s = st.just(when.start_s), st.just(when.end_s)
        return draw(fields_of(kind, start_s=start_s, end_s=end_s))

    return one()


def _event_objects(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    silent = fields_of(kind, audibility=st.just("visible_only"), sounding=st.just(()))
    heard = fields_of(kind, audibility=st.sampled_from(["visible_and_audible", "audible_only"]))
    return silent | heard


def _ledger_rows(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    plain = fields_of(kind, status=st.just("done"), reason_code=st.none())
    reasons = [
        fields_of(kind, status=st.just(reason.status), reason_code=st.just(code))
        for code, reason in REASONS.items()
    ]
    return st.one_of(plain, *reasons)


def _tubes(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    @st.composite
    def one(draw: st.DrawFn) -> Frozen:
        times_s = sorted(draw(st.sets(SECONDS, min_size=1, max_size=5)))
        seen = [draw(st.none() | boxes()) for _ in times_s]
        unseen = st.sampled_from(["absent", "unknown"])
        states = ["visible" if box else draw(unseen) for box in seen]
        scores = [draw(st.none() | st.floats(0, 1)) for _ in times_s]
        return draw(
            fields_of(
                kind,
                times_s=st.just(tuple(times_s)),
                boxes=st.just(tuple(seen)),
                state=st.just(tuple(states)),
                score=st.just(tuple(scores)),
            )
        )

    return one()


def _unlinked_boxes(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    @st.composite
    def one(draw: st.DrawFn) -> Frozen:
        times_s = draw(st.lists(SECONDS, max_size=5))
        seen = tuple(draw(st.none() | boxes()) for _ in times_s)
        return draw(fields_of(kind, times_s=st.just(tuple(times_s)), boxes=st.just(seen)))

    return one()


def _r_avst_rows(kind: type[Frozen]) -> st.SearchStrategy[Frozen]:
    some, none = st.text(max_size=12), st.none()
    where = st.sampled_from(["spatial", "spatio_temporal"])
    return st.one_of(
        fields_of(kind, task=st.just("temporal"), tube_id=none, unlinked_id=none),
        fields_of(kind, task=where, tube_id=some, unlinked_id=none),
        fields_of(kind, task=where, tube_id=none, unlinked_id=some),
    )


BUILDERS: dict[type[Frozen], Callable[[type[Frozen]], st.SearchStrategy[Frozen]]] = {
    Interval: _intervals,
    Box: lambda kind: boxes(),
    Caption: _captions,
    GeneratedCaption: _captions,
    EventObject: _event_objects,
    LedgerRow: _ledger_rows,
    Tube: _tubes,
    RevisedTube: _tubes,
    ShownTube: _tubes,
    OpinionTube: _tubes,
    UnlinkedBoxes: _unlinked_boxes,
    RAvstRow: _r_avst_rows,
}
