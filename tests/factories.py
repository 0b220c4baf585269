"""Small valid records for tests; every field can be given, what is not given is plausible.

One video has one event, one object that sounds in it, one tube and one question a task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from earshot.rewards import grammar
from earshot.schemas import ids
from earshot.schemas.base import Interval, Record, digest_of
from earshot.schemas.build import Build
from earshot.schemas.caption import Caption
from earshot.schemas.config import Config
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.mention import Mention
from earshot.schemas.object import Object
from earshot.schemas.question import GridRecord, Question, Split, Task
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from earshot.schemas.tube import Box, Tube
from earshot.schemas.video import Video

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOX = (0.2, 0.3, 0.5, 0.7)

R = TypeVar("R", bound=Record)


def make_build(**changes: Any) -> Build:
    """A build with the default configuration."""
    values: dict[str, Any] = {
        "build_id": "b-20260301-1200",
        "at": NOW,
        "code_version": "0.1.0",
        "input_uri": "input.jsonl",
        "input_base": ".",
        "input_digest": digest_of(["input"]),
        "stages": {"probe": "1", "questions": "1"},
        "config": Config(),
    }
    return Build(**{**values, **changes})


def make_video(video_id: str = "v1", **changes: Any) -> Video:
    """A 20 s video with sound, 640 x 360 at 25 frames a second."""
    values: dict[str, Any] = {
        "video_id": video_id,
        "uri": f"videos/{video_id}.mp4",
        "sha256": digest_of(["file", video_id]),
        "bytes": 1_000_000,
        "duration_s": 20.0,
        "fps": 25.0,
        "n_frames": 500,
        "width": 640,
        "height": 360,
        "rotation_deg": 0,
        "is_vfr": False,
        "video_codec": "h264",
        "audio_codec": "aac",
        "has_audio": True,
        "is_silent": False,
        "licence": "CC BY 4.0",
        "source": "test",
    }
    return Video(**{**values, **changes})


def make_caption(video_id: str = "v1", position: int = 0, **changes: Any) -> Caption:
    """A caption over the first half of the video."""
    values: dict[str, Any] = {
        "caption_id": ids.caption_id(video_id, position),
        "video_id": video_id,
        "start_s": 0.0,
        "end_s": 10.0,
        "text": "A brown dog barks at the gate.",
        "caption_source": "given",
    }
    return Caption(**{**values, **changes})


def make_event(
    video_id: str = "v1",
    segments: Sequence[tuple[float, float]] = ((2.0, 6.0),),
    label: str = "dog barking",
    **changes: Any,
) -> Event:
    """An event that rests on the video's first caption."""
    captions = (ids.caption_id(video_id, 0),)
    values: dict[str, Any] = {
        "event_id": ids.event_id(video_id, captions, label, 0),
        "video_id": video_id,
        "label": label,
        "description": "a dog barks",
        "segments": tuple(Interval(start_s=start, end_s=end) for start, end in segments),
        "time_source": "given",
        "caption_ids": captions,
    }
    return Event(**{**values, **changes})


def make_mention(event: Event, **changes: Any) -> Mention:
    """`dog` in the event's caption."""
    caption = event.caption_ids[0]
    values: dict[str, Any] = {
        "mention_id": ids.mention_id(event.event_id, caption, 8, 11),
        "video_id": event.video_id,
        "event_id": event.event_id,
        "caption_id": caption,
        "surface": "dog",
        "char_start": 8,
        "char_end": 11,
        "head": "dog",
        "name": "dog",
        "count": 1,
        "is_group": False,
        "audibility": "visible_and_audible",
        "sounding": event.segments,
        "confidence": 0.9,
    }
    return Mention(**{**values, **changes})


def make_object(video_id: str = "v1", name: str = "dog", **changes: Any) -> Object:
    """A named thing of a video."""
    values: dict[str, Any] = {
        "object_id": ids.object_id(video_id, name),
        "video_id": video_id,
        "name": name,
        "head": name,
        "surfaces": (name,),
        "accept": (name,),
        "count": 1,
        "is_group": False,
        "grounding_phrase": name,
    }
    return Object(**{**values, **changes})


def make_event_object(event: Event, thing: Object, **changes: Any) -> EventObject:
    """The object sounds through the whole event."""
    values: dict[str, Any] = {
        "event_id": event.event_id,
        "object_id": thing.object_id,
        "audibility": "visible_and_audible",
        "sounding": event.segments,
        "evidence": (Evidence(caption_id=event.caption_ids[0], char_start=8, char_end=11),),
        "confidence": 0.9,
    }
    return EventObject(**{**values, **changes})


def make_tube(
    thing: Object,
    window: tuple[float, float] = (2.0, 6.0),
    box: tuple[float, float, float, float] = BOX,
    **changes: Any,
) -> Tube:
    """A tube at 1 fps whose box stands still; the last time of the window is absent."""
    start_s, end_s = window
    count = max(2, math.ceil(end_s - start_s - 1e-6))
    times_s = tuple(start_s + index for index in range(count))
    x1, y1, x2, y2 = box
    visible = (Box(x1=x1, y1=y1, x2=x2, y2=y2),) * (count - 1)
    values: dict[str, Any] = {
        "tube_id": ids.tube_id(thing.object_id, window, 0),
        "video_id": thing.video_id,
        "object_id": thing.object_id,
        "window": Interval(start_s=start_s, end_s=end_s),
        "times_s": times_s,
        "boxes": (*visible, None),
        "state": (*["visible"] * (count - 1), "absent"),
        "score": (*[0.8] * (count - 1), None),
        "source": "detected",
        "synchrony": 0.7,
        "box_space": "norm",
        "parent_digest": None,
        "backend": "synchrony",
        "backend_version": "1",
        "weights_digest": None,
        "settings_digest": digest_of({}),
    }
    return Tube(**{**values, **changes})


def make_inspection(event: Event, tubes: Iterable[Tube] = (), **changes: Any) -> Inspection:
    """An automatic inspection that found everything right."""
    values: dict[str, Any] = {
        "inspection_id": ids.inspection_id(event.event_id, "automatic", event.event_id, "1"),
        "event_id": event.event_id,
        "verdict": "ok",
        "reasons": (),
        "segments": event.segments,
        "tubes": tuple(
            InspectedTube(
                tube_id=tube.tube_id,
                verdict="ok",
                before_digest=tube.digest,
                after_digest=tube.digest,
            )
            for tube in tubes
        ),
        "annotator": "rules",
        "at": NOW,
        "seconds": 0.0,
        "inspected_by": "automatic",
    }
    return Inspection(**{**values, **changes})


def make_truth(
    task: Task,
    interval: tuple[float, float] = (2.0, 6.0),
    box: tuple[float, float, float, float] = BOX,
    name: str = "dog",
    duration_s: float = 20.0,
) -> Truth:
    """The truth about one still tube over one interval; the last grid time is absent."""
    grid = make_grid(interval)
    rows = [(time_s, *box) for time_s in grid.times_s[:-1]] or [(grid.times_s[0], *box)]
    absent = [(time_s, None) for time_s in grid.times_s[1:][-1:]]
    tubes = () if task == "temporal" else (TruthTube(boxes=(*rows, *absent)),)
    return Truth(
        task=task,
        branch="sounding" if task == "spatial" else None,
        duration_s=duration_s,
        intervals=() if task == "spatial" else (interval,),
        objects=(TruthObject(name=name, accept=(name,), tubes=tubes),),
        grid=grid,
        box_space="norm",
    )


def make_grid(interval: tuple[float, float]) -> GridRecord:
    """The 1 s grid of one interval (CONTRACTS 4)."""
    start_s, end_s = interval
    count = max(1, math.ceil(end_s - start_s - 1e-6))
    times_s = tuple(round(start_s + index, 1) for index in range(count))
    return GridRecord(anchor_s=start_s, step_s=1.0, times_s=times_s)


def render_truth(truth: Truth) -> str:
    """The right answer to a truth, in the `earshot` pack's form."""
    blocks = []
    for thing in truth.objects:
        for tube in thing.tubes or (TruthTube(boxes=()),):
            lines = (
                grammar.make_line(row[0], None if row[1] is None else row[1:], truth.box_space)
                for row in tube.boxes
            )
            blocks.append(grammar.Block(thing.name, tuple(lines)))
    intervals = tuple(grammar.make_interval(start, end) for start, end in truth.intervals)
    return grammar.render(grammar.Answer(tuple(blocks), intervals), truth.task, truth.box_space)


def make_question(
    video_id: str = "v1",
    task: Task = "temporal",
    split: Split = "train",
    truth: Truth | None = None,
    **changes: Any,
) -> Question:
    """A question about the dog that barks; its answer is the rendered truth."""
    truth = truth or make_truth(task)
    event, thing = make_event(video_id), make_object(video_id)
    values: dict[str, Any] = {
        "video_id": video_id,
        "split": split,
        "task": task,
        "branch": truth.branch,
        "pack": "earshot",
        "template_id": f"{task}-1",
        "question": f"When does the dog sound and is visible? ({task})",
        "asked_object_id": None if task == "spatial" else thing.object_id,
        "answer": render_truth(truth),
        "truth_json": truth.canonical(),
        "span": Interval(start_s=2.0, end_s=6.0) if task == "spatial" else None,
        "grid": truth.grid,
        "event_ids": (event.event_id,),
        "object_ids": (thing.object_id,),
        "tube_ids": () if task == "temporal" else (make_tube(thing).tube_id,),
        "inspection_ids": (make_inspection(event).inspection_id,),
        "inspected_by": "automatic",
        "box_space": truth.box_space,
    }
    values.update(changes)
    values.setdefault(
        "question_id",
        ids.question_id(
            video_id,
            values["task"],
            values["branch"],
            values["pack"],
            values["template_id"],
            values["event_ids"],
            values["object_ids"],
        ),
    )
    return Question(**values)
