"""From an event with its objects and tubes to a Label Studio task with its prediction.

Takes records and the clip that was cut for them, gives JSON. Never asks a server; what a person
makes of it is read back in `earshot.annotation_ui.read`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.keys import Key, keys_of
from earshot.annotation_ui.labeling import EVENT, OBJECT_KEYS
from earshot.geometry.intervals import intersect
from earshot.geometry.tubes import VISIBLE
from earshot.schemas.base import digest_of, to_pairs
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import h8
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video

MODEL_VERSION = "earshot"
"""One for all: a project shows only the predictions of its own model version."""

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#911eb4", "#008080", "#9a6324", "#f032e6", "#808000")
_GREY = "#7f7f7f"


@dataclass(frozen=True)
class Shown:
    """What a person is shown of one event.

    Attributes:
        event, parts, objects, tubes: the event's own.
        video: whose displayed size turned boxes and pixel boxes need.
        clip: where the server finds the clip.
        clock: of the clip.
        captions: what is said of the event.
        times_reopened: how often people's verdicts on it were taken back: it is asked anew.
        gold: how often it was asked before though its truth is known; None: it is no such task.
        said: what people said of it before, for whoever settles a difference.
        known_digests: of tubes by id, where they are known: to make one takes its time.
    """

    video: Video
    event: Event
    parts: Sequence[EventObject]
    objects: Sequence[Object]
    tubes: Sequence[Tube]
    clip: str
    clock: Clock
    captions: Sequence[str] = ()
    times_reopened: int = 0
    gold: int | None = None
    said: str = ""
    known_digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of each tube by its id."""
        known = self.known_digests
        return {tube.tube_id: known.get(tube.tube_id) or tube.digest for tube in self.tubes}

    @cached_property
    def uid(self) -> str:
        """The event and a digest of what is shown of it: another tube or time, another task."""
        things = [[each.object_id, each.name, each.is_group] for each in self.objects]
        sounds = [[part.object_id, bool(part.sounding)] for part in self.parts]
        content = [
            to_pairs(self.event.segments),
            sorted(things),
            sorted(sounds),
            sorted(self.digests.values()),
            [self.clock.offset_s, self.clock.fps, self.clock.n_frames],
            self.times_reopened,
            *([] if self.gold is None else ["gold", self.gold]),
        ]
        return f"{self.event.event_id}+{digest_of(content)[:16]}"

    @cached_property
    def certainties(self) -> dict[str, float]:
        """How sure the tracker is of each tube by its id, in [0, 1]."""
        return {tube.tube_id: _certainty(tube) for tube in self.tubes}

    @property
    def certainty(self) -> float:
        """How sure the tracker is of its least sure tube; 0 where it found none."""
        return min(self.certainties.values(), default=0.0)


def _certainty(tube: Tube) -> float:
    if "ambiguous_identity" in tube.flags:
        return 0.0
    scores = [score for score in tube.score if score is not None]
    found = sum(scores) / len(scores) if scores else 0.0
    synchrony = 1.0 if tube.synchrony is None else min(max(tube.synchrony, 0.0), 1.0)
    return min(max(found * synchrony, 0.0), 1.0)


def task_of(shown: Shown) -> dict[str, Any]:
    """Return the task to import: its data and one prediction."""
    labels = labels_of(shown)
    by_object = {object_id: label for label, object_id in labels.items()}
    regions = {region_id(tube): tube for tube in shown.tubes}
    results = [
        _box(name, keys, by_object[tube.object_id], shown.certainties[tube.tube_id], shown.clock)
        for name, tube in regions.items()
        if (keys := sent_keys(tube, shown))
    ]
    results += [
        _span(number, shown.clock.clip_s(start_s), shown.clock.clip_s(end_s), shown.clock)
        for number, (start_s, end_s) in enumerate(spans_of(shown))
    ]
    address = address_of(shown.clip)
    told = {
        "v": 1,
        "offset_s": shown.clock.offset_s,
        "n_frames": shown.clock.n_frames,
        "duration_s": shown.video.duration_s,
        "size": [shown.video.width, shown.video.height],
        "segments": to_pairs(shown.event.segments),
        "labels": labels,
        "groups": sorted(each.object_id for each in shown.objects if each.is_group),
        "tubes": {name: _told(tube, shown.digests[tube.tube_id]) for name, tube in regions.items()},
        "seal": seal(shown.uid, is_gold=shown.gold is not None),
    }
    data = {
        "uid": shown.uid,
        "event_id": shown.event.event_id,
        "video": address,
        "audio": address,
        "fps": shown.clock.fps,
        "objects": _object_labels(shown, labels),
        "question": f"Who makes the sound: {shown.event.label or shown.event.description}?",
        "caption": "\n".join(shown.captions) or "(no caption)",
        "expected": "\n".join(filter(None, (_expected(shown), shown.said))),
        "provenance": f"{shown.event.event_id}, {shown.clock.offset_s:.2f} s into the video",
        "shown": json.dumps(told, separators=(",", ":")),
    }
    prediction = {"model_version": MODEL_VERSION, "score": shown.certainty, "result": results}
    return {"data": data, "predictions": [prediction]}


def address_of(clip: str) -> str:
    """Return where the server shows a clip of its media root."""
    return f"/data/local-files/?d={clip}"


def seal(uid: str, *, is_gold: bool) -> str:
    """Return what tells a task whose truth is known from another, to us and not to people."""
    return h8([uid, "gold" if is_gold else "plain"])


def _told(tube: Tube, digest: str) -> dict[str, Any]:
    """Return what a tube is read back with, where nothing else of it is left."""
    times, n = tube.times_s, len(tube.times_s)
    from_s = round(times[0], 6)
    step_s = round((times[-1] - times[0]) / max(n - 1, 1), 6)
    is_even = np.abs(np.array(times) - from_s - step_s * np.arange(n)).max() < 1e-4
    samples: dict[str, Any] = (
        {"from_s": from_s, "step_s": step_s, "n": n}
        if is_even
        else {"at_s": [round(time_s, 6) for time_s in times]}
    )
    return {
        "tube_id": tube.tube_id,
        "digest": digest,
        "object_id": tube.object_id,
        "window": tube.window.pair,
        **samples,
    }


def region_id(tube: Tube) -> str:
    """Return the id of a tube's region, without what all tubes of a video share."""
    return tube.tube_id.split("/", 1)[1].replace("/", "-")


def labels_of(shown: Shown) -> dict[str, str]:
    """Return the label of each object, as it stands on boxes and buttons, to the object's id."""
    sounding = {part.object_id for part in shown.parts if part.sounding}
    named: dict[str, str] = {}
    # What is asked about stands first, and has the first keys.
    for each in sorted(shown.objects, key=lambda one: one.object_id not in sounding):
        word = "sounds" if each.object_id in sounding else "silent"
        group = ", one box for all" if each.is_group else ""
        named[f"{each.name} ({word}{group})"] = each.object_id
    return named


def _object_labels(shown: Shown, labels: dict[str, str]) -> list[dict[str, str]]:
    sounding = {part.object_id for part in shown.parts if part.sounding}
    made = []
    for number, (label, object_id) in enumerate(labels.items()):
        colour = COLOURS[number % len(COLOURS)] if object_id in sounding else _GREY
        one = {"value": label, "background": colour}
        made.append(one | ({"hotkey": OBJECT_KEYS[number]} if number < len(OBJECT_KEYS) else {}))
    return made


def _expected(shown: Shown) -> str:
    sounding = {part.object_id for part in shown.parts if part.sounding}
    names = [each.name for each in shown.objects if each.object_id in sounding]
    return f"Sounding: {', '.join(names) or 'nothing that is seen'}"


def spans_of(shown: Shown) -> list[tuple[float, float]]:
    """Return the event's segments inside the clip, in the video's seconds."""
    clip = (shown.clock.offset_s, shown.clock.end_s)
    return list(intersect(to_pairs(shown.event.segments), [clip]))


def sent_keys(tube: Tube, shown: Shown) -> list[Key]:
    """Return the keys that a tube is shown by."""
    times_s, boxes, states = tube.arrays()
    unit = unit_of(tube, shown.video)
    return keys_of(
        times_s, np.where((states == VISIBLE)[:, None], boxes / unit, 0), states, shown.clock
    )


def unit_of(tube: Tube, video: Video) -> npt.NDArray[np.float64]:
    """Return what a whole picture is in the tube's own box space."""
    size = (video.width, video.height) if tube.box_space == "native_px" else (1, 1)
    return np.array([*size, *size], dtype=np.float64)


def _box(name: str, keys: list[Key], label: str, certainty: float, clock: Clock) -> dict[str, Any]:
    value = {
        "framesCount": clock.n_frames,
        "duration": clock.duration_s,
        "labels": [label],
        "sequence": [key.to_json(clock.fps) for key in keys],
    }
    return {
        "id": name,
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "score": certainty,
        "value": value,
    }


def _span(number: int, start_s: float, end_s: float, clock: Clock) -> dict[str, Any]:
    value = {"start": start_s, "end": end_s, "channel": 0, "labels": [EVENT]}
    return {
        "id": f"span-{number}",
        "from_name": "span",
        "to_name": "audio",
        "type": "labels",
        "original_length": clock.duration_s,
        "value": value,
    }
