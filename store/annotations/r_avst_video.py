"""One video of R-AVST's JSON as records: its events, objects, their parts and their boxes.

R-AVST says nothing of labels, frame sizes and instances, so none is made up. Boxes stay its own
pixels; one that two answers about an event share is one tube.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from pydantic import ValidationError

from earshot.errors import ItemError
from earshot.geometry.rounding import half_up
from earshot.names import norm
from earshot.rewards.grammar import MICRO, Block, BoxMicro, Line, Task, parse
from earshot.rewards.r_avst import TASKS, branch_of
from earshot.schemas.base import Interval, Record, digest_of
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import check_video_id, given_event_id, h8, object_id, tube_id
from earshot.schemas.imported import AnnotatedVideo, RAvstRow, UnlinkedBoxes
from earshot.schemas.manifest import as_written
from earshot.schemas.object import Object
from earshot.schemas.question import Branch
from earshot.schemas.tube import Box, Tube
from earshot.store.manifests.rows import as_object, list_field

BACKEND = "r-avst"
BACKEND_VERSION = "1"
_ZERO_BOX: BoxMicro = (0, 0, 0, 0)
_SPAN = re.compile(r" between (\d+(?:\.\d+)?) and (\d+(?:\.\d+)?), ")


@dataclass(frozen=True)
class _Named:
    """An object that an answer names, with the lines of its `<where>`."""

    event_position: int
    event_num: int
    task: Task
    branch: Branch | None
    question_position: int
    object_position: int
    surface: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class _Annotation:
    """What an entry of `annotation` says: one event's segment, and the objects of its answers."""

    segment: Interval
    named: tuple[_Named, ...]


def read_video(position: int, found: object) -> list[Record]:
    """Return the records of a video at a 0-based position of the file.

    Raises:
        ItemError: `bad_entry`, with place, value, expectation and remedy.
    """
    name = found.get("video_name") if isinstance(found, dict) else found
    with _at(f"video {position + 1} ({as_written(name)})"):
        video = _with_keys(found, ("video_name", "duration", "annotation"))
        annotated = AnnotatedVideo(
            video_id=check_video_id(_text(video, "video_name")),
            position=position,
            duration_s=_number(video, "duration"),
        )
        annotations = []
        for nth, one in enumerate(list_field(video, "annotation")):
            with _at(f"annotation {nth + 1}"):
                annotations.append(_annotation(nth, one))
        return [annotated, *_records(annotated.video_id, annotations)]


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Turn what is wrong into an ItemError that says where it stands."""
    try:
        yield
    except ItemError as error:
        raise ItemError(error.code, f"{place}: {error}", error.value) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = as_written(first.get("input"))
        message = f"{place}: {f'{where} {told}'.strip()}: {first['msg']}; mend it"
        raise ItemError("bad_entry", message, told) from error
    except ValueError as error:
        raise ItemError("bad_entry", f"{place}: {error}") from error


def _annotation(position: int, found: object) -> _Annotation:
    told = as_object(found)
    unknown = [key for key in told if key not in (*TASKS, "event_num")]
    if unknown:
        raise _bad("key", unknown[0], f"expected event_num, {', '.join(TASKS)}")
    number = told.get("event_num")
    if not isinstance(number, int) or isinstance(number, bool):
        raise _bad("event_num", number, "expected a whole number")
    named: list[_Named] = []
    spans, answered = list[Interval](), list[Interval]()
    questions = ((key, one) for key in told if key in TASKS for one in list_field(told, key))
    for nth, (key, one) in enumerate(questions):
        with _at(f"question {nth + 1}, {key}"):
            task = TASKS[key]
            question = _with_keys(one, ("Q", "A"))
            asked, answer = _text(question, "Q"), _text(question, "A")
            parsed = parse(answer, task)
            if parsed.status != "ok" or not parsed.answer.blocks:
                raise _bad("A", answer, "expected <answer> with at least one <object>")
            answered += (_interval(a / MICRO, b / MICRO) for a, b in parsed.answer.intervals_micro)
            for block in parsed.answer.blocks:
                _check_pixels(block)
            if task == "spatial":
                spans.append(_span(asked))
            branch = branch_of(task, asked)
            named += (
                _Named(position, number, task, branch, nth, place, block.name, block.lines)
                for place, block in enumerate(parsed.answer.blocks)
            )
    if not named:
        raise _bad("keys", sorted(told), "expected at least one question")
    return _Annotation(_segment(spans, answered), tuple(named))


def _check_pixels(block: Block) -> None:
    for _, box in block.lines:
        if box is not None and any(edge % MICRO for edge in box):
            raise _bad("box", [edge / MICRO for edge in box], "expected whole pixels")


def _span(asked: str) -> Interval:
    """Return the stretch that a spatial question names."""
    match = _SPAN.search(asked)
    if match is None:
        raise _bad("Q", asked, "expected `between S and E, ` with two times in seconds")
    return _interval(float(match[1]), float(match[2]))


def _segment(spans: list[Interval], answered: list[Interval]) -> Interval:
    """Return the event's segment: as questions name it, else as answers round it to 0.1 s."""
    told = list(dict.fromkeys(spans or answered))
    if len(told) != 1:
        pairs = [each.pair for each in told]
        raise _bad("times", pairs, "expected one stretch in all questions of an event")
    return told[0]


def _bad(what: str, value: object, expected: str) -> ItemError:
    told = as_written(value)
    return ItemError("bad_entry", f"{what}: {told}; {expected}: mend it", told)


def _records(video_id: str, annotations: list[_Annotation]) -> Iterator[Record]:
    """Yield events, objects, their parts, their boxes, and who names them."""
    surfaces: dict[str, dict[str, None]] = defaultdict(dict)
    heard: dict[tuple[int, str], bool] = {}
    for position, each in enumerate(annotations):
        yield Event(
            event_id=_event_id(video_id, position),
            video_id=video_id,
            label=None,
            description=f"event {each.named[0].event_num} of R-AVST",
            segments=(each.segment,),
            time_source="given",
            caption_ids=(),
        )
        for one in each.named:
            thing = object_id(video_id, one.surface)
            surfaces[thing][one.surface] = None
            key = (position, thing)
            heard[key] = heard.get(key, False) or one.branch != "silent"
    for thing, written in surfaces.items():
        yield _object(video_id, thing, tuple(written))
    for (position, thing), is_heard in heard.items():
        yield EventObject(
            event_id=_event_id(video_id, position),
            object_id=thing,
            audibility="visible_and_audible" if is_heard else "visible_only",
            sounding=(annotations[position].segment,) if is_heard else (),
            evidence=(),
            confidence=None,
        )
    ids = dict[_Boxes, str]()
    for boxes in _by_first_sight(video_id, annotations):
        record = _boxes_record(video_id, boxes, ids)
        ids[boxes] = record.record_id
        yield record
    for each in annotations:
        for one in each.named:
            yield _row(video_id, each, one, ids)


def _event_id(video_id: str, position: int) -> str:
    """Id of an event: event numbers repeat within a video, places in the file don't."""
    return given_event_id(video_id, f"r-avst annotation {position}")


def _object(video_id: str, thing: str, surfaces: tuple[str, ...]) -> Object:
    name = norm(surfaces[0])
    return Object(
        object_id=thing,
        video_id=video_id,
        name=name,
        head=name.rpartition(" ")[2],
        surfaces=surfaces,
        accept=(name,),
        count=None,
        is_group=False,
        grounding_phrase=name,
    )


@dataclass(frozen=True)
class _Boxes:
    """The lines that answers give an object in a window; equal ones are one thing."""

    object_id: str
    window: Interval
    lines: tuple[Line, ...]

    @property
    def is_linked(self) -> bool:
        """Whether they are one instance: one line a time, in order, and seen at least once."""
        times = [line.time_micro for line in self.lines]
        in_order = all(a < b for a, b in pairwise(times))
        return in_order and self.first_seen is not None

    @property
    def first_seen(self) -> tuple[int, BoxMicro] | None:
        """Time and box of the first line that is no zero box."""
        seen = ((t, box) for t, box in self.lines if box is not None and box != _ZERO_BOX)
        return min(seen, default=None)

    def arrays(self) -> tuple[tuple[float, ...], tuple[Box | None, ...]]:
        """Return times in seconds and boxes, zero boxes as null."""
        times_s = tuple(line.time_micro / MICRO for line in self.lines)
        return times_s, tuple(_box(line.box_xyxy_micro) for line in self.lines)


def _by_first_sight(video_id: str, annotations: list[_Annotation]) -> list[_Boxes]:
    """Return the distinct boxes of a video in the order that tubes are counted in."""
    found = dict.fromkeys(
        _Boxes(object_id(video_id, one.surface), each.segment, one.lines)
        for each in annotations
        for one in each.named
        if one.task != "temporal"
    )
    return sorted(found, key=lambda boxes: boxes.first_seen or (0, _ZERO_BOX))


def _boxes_record(video_id: str, boxes: _Boxes, ids: Mapping[_Boxes, str]) -> Tube | UnlinkedBoxes:
    """Return the next boxes of an object and window, after those that have ids."""
    rounded = tuple(half_up(end, 1) for end in boxes.window.pair)
    ordinal = sum(
        other.object_id == boxes.object_id
        and other.is_linked == boxes.is_linked
        and tuple(half_up(end, 1) for end in other.window.pair) == rounded
        for other in ids
    )
    times_s, told = boxes.arrays()
    if not boxes.is_linked:
        return UnlinkedBoxes(
            unlinked_id=f"{boxes.object_id}/b-{h8([*rounded, ordinal])}",
            video_id=video_id,
            object_id=boxes.object_id,
            window=boxes.window,
            times_s=times_s,
            boxes=told,
            box_space="native_px",
        )
    return Tube(
        tube_id=tube_id(boxes.object_id, boxes.window.pair, ordinal),
        video_id=video_id,
        object_id=boxes.object_id,
        window=boxes.window,
        times_s=times_s,
        boxes=told,
        state=tuple("absent" if box is None else "visible" for box in told),
        score=(None,) * len(told),
        source="imported",
        synchrony=None,
        box_space="native_px",
        parent_digest=None,
        backend=BACKEND,
        backend_version=BACKEND_VERSION,
        weights_digest=None,
        settings_digest=digest_of([BACKEND, BACKEND_VERSION]),
        flags=(),
    )


def _row(video_id: str, each: _Annotation, one: _Named, ids: Mapping[_Boxes, str]) -> RAvstRow:
    thing = object_id(video_id, one.surface)
    boxes = _Boxes(thing, each.segment, one.lines)
    at = ids.get(boxes) if one.task != "temporal" else None
    return RAvstRow(
        video_id=video_id,
        event_id=_event_id(video_id, one.event_position),
        event_position=one.event_position,
        event_num=one.event_num,
        task=one.task,
        branch=one.branch,
        question_position=one.question_position,
        object_position=one.object_position,
        object_id=thing,
        surface=one.surface,
        tube_id=at if boxes.is_linked else None,
        unlinked_id=None if boxes.is_linked else at,
    )


def _box(box: BoxMicro | None) -> Box | None:
    if box is None or box == _ZERO_BOX:
        return None
    x1, y1, x2, y2 = (edge / MICRO for edge in box)
    return Box(x1=x1, y1=y1, x2=x2, y2=y2)


def _interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


def _with_keys(found: object, names: tuple[str, ...]) -> Mapping[str, object]:
    """Return a JSON object that has these keys and no others."""
    told = as_object(found)
    if set(told) != set(names):
        raise _bad("keys", list(told), f"expected {', '.join(names)}")
    return told


def _text(found: Mapping[str, object], name: str) -> str:
    value = found[name]
    if not isinstance(value, str):
        raise _bad(name, value, "expected a text")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise _bad(name, value, "expected characters that UTF-8 has, found a lone surrogate")
    return value


def _number(found: Mapping[str, object], name: str) -> float:
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(name, value, "expected a number")
    return value
