"""Every record class: its pydantic fields and its Arrow schema are one thing, and nothing is lost.

The classes are found by walking the package, so a record added later is held to the same rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from earshot.schemas.arrow import from_table, table_schema, to_table
from earshot.schemas.base import (
    INSTANT,
    Frozen,
    Interval,
    Record,
    check_interval_set,
    digest_of,
    opt,
    to_intervals,
    to_pairs,
)
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.tube import Box, Tube, boxes_from_array, states_from_array
from tests.factories import (
    make_caption,
    make_event,
    make_event_object,
    make_inspection,
    make_object,
    make_tube,
)
from tests.schemas.strategies import interval_sets, record_classes, records

KINDS = record_classes()
BRIEF = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def as_arrow(name: str, annotation: Any) -> pa.Field:
    """Return the Arrow field that an annotation of a record calls for."""
    if get_origin(annotation) is Annotated:
        return as_arrow(name, get_args(annotation)[0])
    members = [member for member in get_args(annotation) if member is not NoneType]
    if get_origin(annotation) in (Union, UnionType):
        (member,) = members
        return as_arrow(name, member).with_nullable(True)
    return pa.field(name, _arrow_type(annotation, members), nullable=False)


def _arrow_type(annotation: Any, members: list[Any]) -> pa.DataType:
    if get_origin(annotation) is Literal:
        return pa.string()
    if get_origin(annotation) is tuple:
        return pa.list_(as_arrow("element", members[0]))
    if issubclass(annotation, Frozen):
        fields = annotation.model_fields.items()
        return pa.struct([as_arrow(name, field.annotation) for name, field in fields])
    simple = {str: pa.string(), bool: pa.bool_(), float: pa.float64(), datetime: INSTANT}
    return simple.get(annotation, pa.int64())


def widened(field: pa.Field) -> pa.Field:
    """Return a field with every integer as int64: a record's `int` may be stored narrower."""
    kind = field.type
    if pa.types.is_integer(kind):
        kind = pa.int64()
    elif pa.types.is_list(kind):
        kind = pa.list_(widened(kind.value_field))
    elif pa.types.is_struct(kind):
        kind = pa.struct([widened(inner) for inner in kind])
    return field.with_type(kind)


def list_paths(kind: pa.DataType, name: str) -> list[tuple[str, bool]]:
    """Return (path, nullable) of every list in a type."""
    if pa.types.is_struct(kind):
        return [found for inner in kind for found in _lists_in(inner, f"{name}.{inner.name}")]
    return _lists_in(kind.value_field, f"{name}[]") if pa.types.is_list(kind) else []


def _lists_in(field: pa.Field, name: str) -> list[tuple[str, bool]]:
    own = [(name, field.nullable)] if pa.types.is_list(field.type) else []
    return own + list_paths(field.type, name)


def test_every_record_of_contracts_is_found() -> None:
    """The walk over the package finds the nine tables of CONTRACTS 2."""
    tables = {kind.TABLE for kind in KINDS}
    assert tables >= {"videos", "captions", "events", "objects", "event_objects", "tubes"}
    assert tables >= {"inspections", "questions", "ledger"}


def test_tables_have_names_of_their_own() -> None:
    """No two record classes are written to one table."""
    assert len({kind.TABLE for kind in KINDS}) == len(KINDS)


@every_kind
def test_arrow_schema_says_what_the_model_says(kind: type[Record]) -> None:
    """Names, order, types and nullability are equal, in nested structs and lists too."""
    expected = [as_arrow(name, field.annotation) for name, field in kind.model_fields.items()]
    assert [widened(field) for field in kind.ARROW] == expected


@every_kind
def test_lists_are_never_null(kind: type[Record]) -> None:
    """No list, at any depth, may be null; an empty one says that there is nothing."""
    nullable = [path for field in kind.ARROW for path, null in _lists_in(field, field.name) if null]
    assert nullable == []


@every_kind
def test_key_fields_are_required_columns(kind: type[Record]) -> None:
    """A row is identified by fields that it has and that are never null."""
    assert kind.KEY
    assert not any(kind.ARROW.field(name).nullable for name in kind.KEY)


@every_kind
def test_table_ends_with_the_digest(kind: type[Record]) -> None:
    """Beside its fields every table has one column more, the digest, never null."""
    schema = table_schema(kind)
    assert schema.names == [*kind.model_fields, "digest"]
    assert not schema.field("digest").nullable


@every_kind
def test_arrow_gives_the_records_back(kind: type[Record]) -> None:
    """Records to an Arrow table and back are equal, and so are their digests."""

    @BRIEF
    @given(st.lists(records(kind), max_size=3))
    def holds(rows: list[Record]) -> None:
        table = to_table(kind, rows)
        table.validate(full=True)
        back = from_table(kind, table)
        assert back == rows
        assert table.column("digest").to_pylist() == [row.digest for row in back]

    holds()


@every_kind
def test_nulls_stay_nulls(kind: type[Record]) -> None:
    """A value that a record leaves out is null in the table, and only such a value is."""

    @BRIEF
    @given(records(kind))
    def holds(row: Record) -> None:
        (written,) = to_table(kind, [row]).to_pylist()
        missing = {name for name in kind.model_fields if getattr(row, name) is None}
        assert {name for name, value in written.items() if value is None} == missing

    holds()


@every_kind
def test_parquet_gives_the_records_back(kind: type[Record], tmp_path: Path) -> None:
    """Records survive a Parquet file, whose schema keeps what may be null and what not."""

    @settings(BRIEF, max_examples=5)
    @given(st.lists(records(kind), min_size=1, max_size=4))
    def holds(rows: list[Record]) -> None:
        path = tmp_path / "rows.parquet"
        pq.write_table(to_table(kind, rows), path, compression="zstd")
        table = pq.read_table(path)
        assert table.schema == table_schema(kind)
        assert from_table(kind, table) == rows

    holds()


@every_kind
def test_json_gives_the_record_back(kind: type[Record]) -> None:
    """A record survives its JSON: what is kept in a file or sent to a flow is the same record."""

    @BRIEF
    @given(records(kind))
    def holds(row: Record) -> None:
        assert kind.model_validate_json(row.model_dump_json()) == row

    holds()


@every_kind
def test_digest_changes_exactly_with_the_content(kind: type[Record]) -> None:
    """Whatever field gets another value, the digest differs; with the same value it does not."""

    @BRIEF
    @given(records(kind), records(kind))
    def holds(row: Record, other: Record) -> None:
        assert kind.model_validate(row.model_dump()).digest == row.digest
        for name in kind.model_fields:
            changed = row.model_copy(update={name: getattr(other, name)})
            assert (changed.digest == row.digest) == (changed == row), name

    holds()


@every_kind
def test_records_refuse_unknown_fields_and_changes(kind: type[Record]) -> None:
    """A record has no field but its own, and none of them can be set afterwards."""

    @settings(BRIEF, max_examples=3)
    @given(records(kind))
    def holds(row: Record) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            kind.model_validate({**row.model_dump(), "colour": "red"})
        with pytest.raises(ValidationError, match="frozen"):
            setattr(row, kind.KEY[0], "other")

    holds()


@every_kind
def test_records_refuse_nan_null_lists_and_missing_keys(kind: type[Record]) -> None:
    """NaN and infinity are no numbers, null is no list, and a row without its key is no row."""

    @settings(BRIEF, max_examples=3)
    @given(records(kind))
    def holds(row: Record) -> None:
        values = row.model_dump()
        floats = [f.name for f in kind.ARROW if pa.types.is_floating(f.type)]
        lists = [f.name for f in kind.ARROW if pa.types.is_list(f.type)]
        bad = [(name, value) for name in floats for value in (float("nan"), float("inf"))]
        for name, value in [*bad, *((name, None) for name in (*lists, *kind.KEY))]:
            with pytest.raises(ValidationError):
                kind.model_validate({**values, name: value})

    holds()


def test_extra_columns_stand_before_the_digest_and_are_left_out_on_the_way_back() -> None:
    """A stage key written beside the records does not disturb reading them."""
    rows = [make_caption(position=0), make_caption(position=1)]
    key = opt("stage_key", pa.string())
    table = to_table(Caption, rows, {"stage_key": (key, ["k", None])})
    assert table.column_names[-2:] == ["stage_key", "digest"]
    assert table.column("stage_key").to_pylist() == ["k", None]
    assert from_table(Caption, table) == rows


def test_extra_columns_are_parallel_to_the_records() -> None:
    """One value too few is an error, not a shorter table."""
    with pytest.raises(ValueError, match="zip"):
        to_table(Caption, [make_caption()], {"stage_key": (opt("stage_key", pa.string()), [])})


def test_a_value_beyond_the_arrow_type_is_refused() -> None:
    """A number that its column can't hold is an error, never cut."""
    row = make_object(count=2**31)
    with pytest.raises(pa.ArrowInvalid, match="too large to fit"):
        to_table(type(row), [row])


def test_a_table_with_a_broken_row_is_refused() -> None:
    """Reading a table checks the rules of its records."""
    rows = pa.Table.from_pylist([{**make_caption().model_dump(), "caption_source": "guess"}])
    with pytest.raises(ValidationError, match="caption_source"):
        from_table(Caption, rows)


def test_record_id_joins_the_key() -> None:
    """A key of several fields is one id with `+` between them."""
    event, thing = make_event(), make_object()
    row = make_event_object(event, thing)
    assert row.record_id == f"{event.event_id}+{thing.object_id}"
    assert event.record_id == event.event_id


def test_only_what_people_decide_accumulates() -> None:
    """Inspections and the tubes that people left count under whatever stage key they were made."""
    kept = {kind.TABLE for kind in KINDS if kind.ACCUMULATES}
    decisions = {"inspections", "opinions", "question_inspections"}
    assert kept == decisions | {"revised_tubes", "shown_tubes", "opinion_tubes"}


def test_an_instant_is_one_whatever_its_time_zone() -> None:
    """Equal instants written in two time zones are one record with one digest."""
    inspection = make_inspection(make_event())
    moved = inspection.at.astimezone(timezone(timedelta(hours=2)))
    again = make_inspection(make_event(), at=moved)
    assert again.digest == inspection.digest
    assert again.at.utcoffset() == timedelta(0)


def test_an_instant_needs_a_time_zone() -> None:
    """A local time that does not say where is refused: the table would call it UTC."""
    with pytest.raises(ValidationError, match="has no time zone"):
        make_inspection(make_event(), at=datetime(2026, 3, 1, 12))


@BRIEF
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_an_interval_has_length(start_s: float, end_s: float) -> None:
    """An interval exists exactly where both bounds are finite and start is below end."""
    fits = start_s < end_s and abs(start_s) < float("inf") and abs(end_s) < float("inf")
    try:
        assert Interval(start_s=start_s, end_s=end_s).pair == (start_s, end_s)
        assert fits
    except ValidationError:
        assert not fits


@BRIEF
@given(interval_sets(), st.randoms())
def test_interval_sets_are_sorted_and_disjoint(intervals: Any, random: Any) -> None:
    """A sorted disjoint set is taken as it is; the same set in another order is refused."""
    assert check_interval_set(intervals) == intervals
    assert to_intervals(to_pairs(intervals)) == intervals
    shuffled = list(intervals)
    random.shuffle(shuffled)
    if tuple(shuffled) != intervals:
        with pytest.raises(ValueError, match=r"pass them through geometry\.intervals"):
            check_interval_set(tuple(shuffled))


def test_overlapping_segments_are_refused_and_touching_ones_are_not() -> None:
    """Intervals are half-open: two that share one bound are disjoint."""
    assert len(make_event(segments=((0, 2), (2, 4))).segments) == 2
    with pytest.raises(ValidationError, match="overlap or are not sorted"):
        make_event(segments=((0, 2.1), (2, 4)))


def test_an_event_has_a_segment() -> None:
    """An event that happens nowhere is no event."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        make_event(segments=())
    assert Event.ARROW.field("label").nullable


def test_a_caption_is_about_a_stretch() -> None:
    """A caption without length or before the video's start is refused."""
    assert make_caption().interval.pair == (0.0, 10.0)
    for start_s, end_s in ((3.0, 3.0), (4.0, 3.0), (-1.0, 3.0)):
        with pytest.raises(ValidationError):
            make_caption(start_s=start_s, end_s=end_s)


def test_what_is_only_seen_does_not_sound() -> None:
    """A `visible_only` object has no sounding interval; an audible one may have none yet."""
    event, thing = make_event(), make_object()
    with pytest.raises(ValidationError, match="drop them or change the audibility"):
        make_event_object(event, thing, audibility="visible_only")
    silent = make_event_object(event, thing, audibility="visible_only", sounding=())
    heard = make_event_object(event, thing, audibility="audible_only", sounding=())
    assert isinstance(silent, EventObject)
    assert heard.sounding == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": ("visible", "visible", "absent", "absent")}, "a box stands exactly where"),
        ({"state": ("visible",) * 4}, "a box stands exactly where"),
        ({"times_s": (2.0, 3.0, 3.0, 4.0)}, "strictly ascending"),
        ({"times_s": (2.0, 4.0, 3.0, 5.0)}, "strictly ascending"),
        ({"times_s": (2.0, 3.0, 4.0)}, r"lengths \[3, 4\]"),
        ({"score": ()}, r"lengths \[0, 4\]"),
        ({"boxes": ()}, r"lengths \[0, 4\]"),
        ({"times_s": (), "boxes": (), "state": (), "score": ()}, "at least 1 item"),
        ({"box_space": "rel1000"}, "'norm' or 'native_px'"),
    ],
)
def test_a_tube_is_parallel_arrays(changes: dict[str, Any], message: str) -> None:
    """One length, ascending times, a box exactly where it is visible, a native box space."""
    with pytest.raises(ValidationError, match=message):
        make_tube(make_object(), **changes)


def test_a_box_has_an_area() -> None:
    """The zero box of R-AVST is no box: an object that is not there has null."""
    for corners in ((0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 1, 1)):
        with pytest.raises(ValidationError, match="has no box"):
            Box(**dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True)))


@BRIEF
@given(records(Tube))
def test_a_tubes_arrays_are_the_tube(tube: Tube) -> None:
    """Arrays for geometry and back lose nothing, and what is not visible is NaN there."""
    times_s, boxes, states = tube.arrays()
    assert tuple(times_s.tolist()) == tube.times_s
    assert boxes_from_array(boxes) == tube.boxes
    assert states_from_array(states) == tube.state


@pytest.mark.parametrize("time_s", [float("nan"), float("inf"), float("-inf")])
def test_a_manifest_entry_keeps_a_time_that_is_no_number(time_s: float) -> None:
    """A wrong time is kept as written for its stage to report, and the entry has a digest."""
    entry = ManifestEntry.model_validate(
        {
            "video_id": "v1",
            "uri": "v1.mp4",
            "captions": [{"start_s": time_s, "end_s": 1, "text": "a dog"}],
        }
    )
    (back,) = from_table(ManifestEntry, to_table(ManifestEntry, [entry]))
    assert back.digest == entry.digest != digest_of(None)
    assert str(back.captions[0].start_s) == str(time_s)


def test_a_manifest_entry_refuses_text_that_no_file_can_hold() -> None:
    """Half a surrogate pair, which JSON can spell, is refused at the door."""
    with pytest.raises(ValidationError, match="half of a surrogate pair at character 2"):
        ManifestEntry(video_id="v1", uri="v1.mp4", licence="CC\ud800")


@pytest.mark.parametrize("video_id", ["", "a/b", "a b", "ä", "x" * 129, "a\n"])
def test_a_manifest_entry_refuses_a_wrong_video_id(video_id: str) -> None:
    """A video id is 1-128 characters that need no quoting anywhere."""
    with pytest.raises(ValidationError, match="rename it in the manifest"):
        ManifestEntry(video_id=video_id, uri="v.mp4")
