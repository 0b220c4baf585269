"""From a Label Studio annotation to an inspection, with the tubes as the person left them.

Takes a task's data, what was sent with it, the annotation and the dense tubes as they were shown;
gives records. Never asks a server. What nobody touched keeps its dense tube to the last bit;
between edited key frames our own interpolation counts, never the exported one (half of its times
are late, and one odd key breaks a whole export).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.annotation_ui.clip import Clock, Frames
from earshot.annotation_ui.keys import Key, boxes_at, is_touched, read_keys, without_leftovers
from earshot.annotation_ui.labeling import EVENT, VERDICTS
from earshot.annotation_ui.show import seal
from earshot.errors import ItemError
from earshot.geometry.intervals import normalise
from earshot.geometry.tubes import ABSENT, VISIBLE, at, native_step_s
from earshot.schemas import ids
from earshot.schemas.base import Interval, canonical_json, digest_of, to_intervals
from earshot.schemas.inspection import InspectedTube, Inspection, TubeVerdict
from earshot.schemas.tube import RevisedTube, Tube, boxes_from_array, states_from_array

DELETED = "deleted"
BACKEND = "label_studio"
STEP_S = 0.2
"""Sampling of a box that a person drew where no tube was."""

_SAME_S = 1e-3

Json = Mapping[str, Any]
FloatArray = npt.NDArray[np.float64]


class AnnotationError(ItemError):
    """An annotation that can't be taken as it is: a person has to look at it again."""

    def __init__(self, message: str, value: str | None = None) -> None:
        super().__init__("bad_annotation", message, value)


@dataclass(frozen=True)
class Decision:
    """What a person decided about an event.

    Attributes:
        inspection: the decision.
        revised: tubes that they changed or drew.
        kept: every tube that stands, as they left it, by id.
        phantoms: results that nobody made, in words.
    """

    inspection: Inspection
    revised: tuple[RevisedTube, ...]
    kept: Mapping[str, Tube] = field(repr=False)
    phantoms: tuple[str, ...]


@dataclass
class Results:
    """An annotation's results, sorted by what they are."""

    boxes: dict[str, Json] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    box_reasons: dict[str, str] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    verdict: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)


def read_decision(
    project: int,
    task: Json,
    annotation: Json,
    sent: Sequence[Json],
    dense: Mapping[str, Tube],
) -> Decision | None:
    """Return what an annotation says; None where the task was skipped.

    Args:
        project: number of the project.
        task: with `id` and `data`.
        annotation: as the server gives it.
        sent: the results of the prediction that the annotation began with.
        dense: the tubes as they were shown, by digest; missing ones are made of their key frames.

    Raises:
        AnnotationError: if it contradicts itself or what was shown.
    """
    if annotation.get("was_cancelled"):
        return None
    data = task["data"]
    told = json.loads(data["shown"])
    clock = Clock(told["offset_s"], data["fps"], told["n_frames"])
    before, left = sort_results(sent), sort_results(annotation.get("result") or ())
    if len(left.verdict) != 1 or left.verdict[0] not in VERDICTS:
        raise AnnotationError(
            f"verdict {left.verdict}: expected one of {', '.join(VERDICTS)}; open the task, choose "
            "one, update"
        )
    reader = _Reader(told, clock, dense, str(annotation["id"]))
    for name, shown in told["tubes"].items():
        reader.compare(name, shown, before.boxes.get(name), left)
    verdict = left.verdict[0]
    drawn = sorted(left.boxes.keys() - told["tubes"].keys())
    if verdict != "ok":  # nobody is sent back to name a box of an event that does not stand
        nameless = [name for name in drawn if left.labels.get(name) not in told["labels"]]
        left.phantoms += [
            f"box {name} of no object in an event that is {verdict}" for name in nameless
        ]
        drawn = [name for name in drawn if name not in nameless]
    reader.add(drawn, left)
    segments = _segments(told, clock, before.spans, left)
    if verdict == "ok":
        reader.check_groups()
    if verdict == "ok" and not segments:
        raise AnnotationError(
            "ok without an event span: draw it on the waveform (t), or reject the event"
        )
    inspection = Inspection(
        inspection_id=inspection_of(project, task, annotation),
        event_id=data["event_id"],
        verdict=verdict,
        # Reasons stay checked behind a verdict that was changed to another.
        reasons=(
            *(left.reasons if verdict == "reject" else ()),
            *(f"comment: {text}" for text in left.comments),
        ),
        segments=segments,
        shown_segments=to_intervals(tuple(map(tuple, told["segments"]))),
        tubes=tuple(reader.inspected),
        annotator=annotator_of(annotation),
        at=datetime.fromisoformat(annotation["updated_at"]),
        seconds=max(float(annotation.get("lead_time") or 0.0), 0.0),
        inspected_by="human",
        raw=raw_of(annotation),
    )
    return Decision(inspection, tuple(reader.revised), reader.kept, tuple(left.phantoms))


def inspection_of(project: int, task: Json, annotation: Json) -> str:
    """Return the id of an annotation's decision; one that is updated is another decision."""
    version = f"{annotation['id']}@{annotation['updated_at']}"
    return ids.inspection_id(task["data"]["event_id"], str(project), str(task["id"]), version)


def annotator_of(annotation: Json) -> str:
    """Return who made an annotation, by number."""
    who = annotation.get("completed_by")
    return f"user-{who.get('id') if isinstance(who, Mapping) else who}"


def is_gold(data: Json) -> bool:
    """Whether a task is one of those whose truth is known."""
    told = json.loads(data["shown"])
    return bool(told.get("seal") == seal(data["uid"], is_gold=True))


def raw_of(annotation: Json) -> str:
    """Return the annotation as JSON, without the copies of sequences and of the prediction."""
    kept = {name: value for name, value in annotation.items() if name != "prediction"}
    kept["result"] = [
        {**each, "value": {k: v for k, v in each["value"].items() if k != "sequence"}}
        if each.get("type") == "choices" and "sequence" in (each.get("value") or {})
        else each
        for each in annotation.get("result") or ()
    ]
    return canonical_json(kept).decode()


def sort_results(results: Sequence[Json]) -> Results:
    """Return an annotation's results by what they are."""
    found = Results()
    texts = {"verdict": found.verdict, "reason": found.reasons}
    for each in results:
        name, kind, value = each.get("from_name"), each.get("type"), each.get("value") or {}
        match (name, kind):
            case ("box", "videorectangle") if value.get("sequence"):
                found.boxes[each["id"]] = value
                if value.get("labels"):
                    found.labels[each["id"]] = value["labels"][0]
            case ("object", "labels") if value.get("labels"):
                found.labels.setdefault(each["id"], value["labels"][0])
            case ("span", "labels") if "start" in value and value.get("labels") == [EVENT]:
                found.spans[each["id"]] = (float(value["start"]), float(value["end"]))
            case (("verdict" | "reason"), "choices"):
                texts[str(name)] += value.get("choices") or ()
            case ("box_reason", "choices") if value.get("choices"):
                found.box_reasons[each["id"]] = value["choices"][0]
            case ("comment", "textarea"):
                text = value.get("text") or ()
                found.comments += [text] if isinstance(text, str) else text
            case _:
                found.phantoms.append(f"{kind} of {name} ({each.get('id')})")
    for lost in sorted((found.labels.keys() | found.box_reasons.keys()) - found.boxes.keys()):
        found.phantoms.append(f"label or reason of {lost}, which is no box")
    return found


def _segments(
    told: Json, clock: Clock, sent: Mapping[str, tuple[float, float]], left: Results
) -> tuple[Interval, ...]:
    """Return the event's segments as they were left; an edge that nobody moved stays exact."""
    if _are_same(sent, left.spans):
        return to_intervals(tuple(map(tuple, told["segments"])))
    edges = [edge for pair in told["segments"] for edge in pair]
    known = [edge for pair in sent.values() for edge in pair]
    # A clip's last frame may reach beyond the video. Tasks of earlier versions don't know its end.
    ends_s = float(told.get("duration_s", math.inf))

    def edge_s(clip_s: float) -> float:
        time_s = clock.video_s(clip_s)
        if any(abs(clip_s - was) <= _SAME_S for was in known):
            return float(min(edges, key=lambda edge: abs(edge - time_s)))
        return min(max(round(time_s, 3), 0.0), ends_s)

    pairs = [(edge_s(start), edge_s(end)) for start, end in left.spans.values()]
    return to_intervals(normalise([pair for pair in pairs if pair[0] < pair[1]]))


def _are_same(
    sent: Mapping[str, tuple[float, float]], left: Mapping[str, tuple[float, float]]
) -> bool:
    return sent.keys() == left.keys() and all(
        abs(was - now) <= _SAME_S
        for name, pair in sent.items()
        for was, now in zip(pair, left[name], strict=True)
    )


class _Reader:
    """Reads the boxes of one annotation and gathers what becomes of the tubes."""

    def __init__(
        self, told: Json, clock: Clock, dense: Mapping[str, Tube], annotation: str
    ) -> None:
        self.told = told
        self.clock = clock
        self.dense = dense
        self.annotation = annotation
        self.aspect = told["size"][0] / told["size"][1]
        self.inspected: list[InspectedTube] = []
        self.revised: list[RevisedTube] = []
        self.kept: dict[str, Tube] = {}

    def compare(self, name: str, shown: Json, sent: Json | None, left: Results) -> None:
        """Note what became of a tube that was shown."""
        tube = self.dense.get(shown["digest"])
        if sent is None:  # it is unseen in the whole clip: there was no box to judge
            self._judge(shown, "ok", tube)
            return
        now = left.boxes.get(name)
        reason = left.box_reasons.get(name, DELETED if now is None else None)
        if now is None or reason is not None:
            self._judge(shown, "rejected", None, reason)
            return
        keys = _keys(sent), without_leftovers(_keys(sent), _keys(now))
        object_id = self._object(name, left)
        tube = tube or self._made(shown, keys[0])
        changed = self._changed(tube, *keys)
        if object_id != shown["object_id"]:
            self._judge(shown, "rejected", None, "another thing")
            self._add(object_id, changed or tube, tube.digest)
            return
        if changed is None:
            self._judge(shown, "ok", tube)
        elif all(box is None for box in changed.boxes):
            self._judge(shown, "rejected", None, "not there")
        else:
            self.revised.append(changed)
            self._judge(shown, "fixed", changed)

    def add(self, names: Sequence[str], left: Results) -> None:
        """Note the boxes that a person drew, in an order that does not depend on random names."""
        drawn = [(_keys(left.boxes[name]), name) for name in names]
        for keys, name in sorted(drawn, key=lambda one: (one[0][0].frame, one[0][0].x)):
            if name not in left.box_reasons:
                self._draw(self._object(name, left), keys)

    def check_groups(self) -> None:
        """Raise AnnotationError where a group has two boxes at one time."""
        for one, other in combinations(self.kept.values(), 2):
            if one.object_id != other.object_id or one.object_id not in self.told["groups"]:
                continue
            times_s, _, states = one.arrays()
            seen = times_s[states == VISIBLE]
            both = seen[at(*other.arrays(), seen)[1] == VISIBLE] if seen.size else seen
            if both.size:
                name = next(n for n, of in self.told["labels"].items() if of == one.object_id)
                raise AnnotationError(
                    f"{name} has two boxes at frame {self.clock.frames(both[:1])[0]}: expected one "
                    "around all of the group; open the task, delete the others, update",
                    name,
                )

    def _judge(
        self, shown: Json, verdict: TubeVerdict, tube: Tube | None, reason: str | None = None
    ) -> None:
        after = None if verdict == "rejected" else shown["digest"]
        if tube is not None:
            self.kept[tube.tube_id] = tube
            after = tube.digest if verdict == "fixed" else after
        self.inspected.append(
            InspectedTube(
                tube_id=shown["tube_id"],
                verdict=verdict,
                reason=reason,
                before_digest=shown["digest"],
                after_digest=after,
            )
        )

    def _object(self, name: str, left: Results) -> str:
        label = left.labels.get(name)
        if label not in self.told["labels"]:
            raise AnnotationError(
                f"a box is called {label!r}: expected one of {sorted(self.told['labels'])}; open "
                "the task, select the box, press the object's digit, update",
                label,
            )
        return str(self.told["labels"][label])

    def _unit(self, tube: Tube) -> FloatArray:
        size = self.told["size"] if tube.box_space == "native_px" else (1, 1)
        return np.array([*size, *size], dtype=np.float64)

    def _changed(self, tube: Tube, sent: list[Key], left: list[Key]) -> RevisedTube | None:
        """Return the tube with the person's boxes where they differ from those sent; or None."""
        times_s, boxes, states = tube.arrays()
        frames = self.clock.frames(times_s)
        touched = self.clock.holds(frames) & is_touched(sent, left, frames)
        before, after = self._beyond(tube, left)
        if not touched.any() and not before and not after:
            return None
        edited, shown = boxes_at(left, frames, self.aspect)
        boxes[touched] = edited[touched] * self._unit(tube)
        states[touched] = np.where(shown[touched], VISIBLE, ABSENT)
        new_s = np.array([*before, *times_s, *after])
        outer, outer_shown = boxes_at(left, self.clock.frames(new_s), self.aspect)
        inner = slice(len(before), len(before) + times_s.size)
        outer = outer * self._unit(tube)
        outer_states = np.where(outer_shown, VISIBLE, ABSENT).astype(np.int8)
        outer[inner], outer_states[inner] = boxes, states
        kept = np.zeros(new_s.size, dtype=bool)
        kept[inner] = ~touched
        scores: list[float | None] = [None] * new_s.size
        scores[inner] = [s if k else None for s, k in zip(tube.score, ~touched, strict=True)]
        window = Interval(
            start_s=min(tube.window.start_s, float(new_s[0])),
            end_s=max(tube.window.end_s, float(new_s[-1])),
        )
        values = tube.model_dump() | {
            "window": window,
            "times_s": tuple(new_s.tolist()),
            "boxes": boxes_from_array(outer),
            "state": states_from_array(outer_states),
            "score": tuple(scores),
            "source": "human",
            "parent_digest": tube.digest,
        }
        return RevisedTube(**values)

    def _beyond(self, tube: Tube, left: list[Key]) -> tuple[list[float], list[float]]:
        """Return sample times before and behind a tube, as far as a person drew it there."""
        step_s = native_step_s(tube.times_s) or STEP_S
        first, last = tube.times_s[0], tube.times_s[-1]
        n_early = int((first - self.clock.offset_s) / step_s + 1e-6)
        n_late = int((self.clock.end_s - last) / step_s + 1e-6)
        early = [round(first - step_s * number, 6) for number in range(1, n_early + 1)]
        late = [round(last + step_s * number, 6) for number in range(1, n_late + 1)]
        ends = self.clock.frames([first, last])
        return self._seen(early, ends, left)[::-1], self._seen(late, ends, left)

    def _seen(self, times_s: list[float], ends: Frames, left: list[Key]) -> list[float]:
        """Return the times up to the last one at which the box is shown outside the tube."""
        frames = self.clock.frames(times_s)
        outside = self.clock.holds(frames) & ((frames < ends[0]) | (frames > ends[1]))
        seen = boxes_at(left, frames, self.aspect)[1] & outside
        return times_s[: int(np.flatnonzero(seen)[-1]) + 1] if seen.any() else []

    def _draw(self, object_id: str, keys: list[Key]) -> None:
        """Add a tube of an object from key frames, sampled through the whole clip."""
        told = {
            "tube_id": object_id,  # until it is added: its number is not known yet
            "object_id": object_id,
            "window": self._window,
            "from_s": self._window[0],
            "step_s": STEP_S,
            "n": int(self.clock.duration_s / STEP_S + 1e-6) + 1,
        }
        self._add(object_id, self._made(told, keys), None)

    @property
    def _window(self) -> tuple[float, float]:
        return round(self.clock.offset_s, 6), round(self.clock.end_s, 6)

    def _add(self, object_id: str, tube: Tube, parent_digest: str | None) -> None:
        """Add a tube of an object that it was not shown as."""
        if all(box is None for box in tube.boxes):
            return
        taken = {t.tube_id for t in self.inspected} | {
            each["tube_id"] for each in self.told["tubes"].values()
        }
        number = 0
        while (tube_id := ids.tube_id(object_id, self._window, number)) in taken:
            number += 1
        changes = {
            "tube_id": tube_id,
            "object_id": object_id,
            "source": "human",
            "parent_digest": parent_digest,
        }
        revised = RevisedTube(**{**tube.model_dump(), **changes})
        self.revised.append(revised)
        self.kept[tube_id] = revised
        self.inspected.append(
            InspectedTube(tube_id=tube_id, verdict="added", after_digest=revised.digest)
        )

    def _made(self, told: Json, keys: list[Key]) -> Tube:
        """Return a tube made of key frames alone."""
        times = told.get("at_s") or [
            round(told["from_s"] + told["step_s"] * number, 6) for number in range(told["n"])
        ]
        frames = self.clock.frames(times)
        boxes, shown = boxes_at(keys, frames, self.aspect)
        states = np.where(shown & self.clock.holds(frames), VISIBLE, ABSENT).astype(np.int8)
        boxes[states != VISIBLE] = np.nan
        start_s, end_s = told["window"]
        return Tube(
            tube_id=told["tube_id"],
            video_id=ids.video_of(told["tube_id"]),
            object_id=told["object_id"],
            window=Interval(start_s=start_s, end_s=end_s),
            times_s=tuple(times),
            boxes=boxes_from_array(boxes),
            state=states_from_array(states),
            score=(None,) * len(times),
            source="human",
            synchrony=None,
            box_space="norm",
            parent_digest=None,
            backend=BACKEND,
            backend_version="1",
            weights_digest=None,
            settings_digest=digest_of(["label_studio", STEP_S]),
        )


def _keys(value: Json) -> list[Key]:
    try:
        return read_keys(value["sequence"])
    except ValueError as error:
        raise AnnotationError(f"{error}; draw the box again") from error
