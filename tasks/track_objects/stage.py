"""Stage `track`: builds clips from events and objects, has a backend follow them, makes tubes.

Takes videos with their events and objects, gives tubes and what became of each object; decoding
happens in a killable child. Never looks at a pixel itself.

A clip is a group of events whose windows (hulls of their segments) overlap: so an object has one
tube an instance at any time, not one for each event. Windows that only touch stay apart. A window
that `audible_only` objects alone would need is not opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from earshot.errors import ItemError
from earshot.geometry import intervals
from earshot.geometry.rounding import half_up
from earshot.geometry.tubes import VISIBLE
from earshot.media.audio import Envelope, read_envelope
from earshot.media.child import Worker
from earshot.media.decord_source import check_decord, read_frames_decord
from earshot.media.fetch import local_file
from earshot.media.frames import (
    ChildSource,
    FrameSource,
    Reader,
    SourceInfo,
    read_frames,
    window_times,
)
from earshot.schemas.base import Interval, Record, to_pairs
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import tube_id
from earshot.schemas.ledger import ItemKind
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube, TubeMasks, boxes_from_array, states_from_array
from earshot.schemas.video import Video
from earshot.store.stage import (
    Digests,
    Done,
    Estimate,
    Item,
    Outcome,
    Quarantined,
    Reads,
    Stage,
    StageInput,
)
from earshot.tasks.track_objects.protocol import Clip, Found, Target, Tracker, TrackResult

OpenFrames = Callable[[int | None], FrameSource]
READERS: dict[str, Reader] = {"pyav": read_frames, "decord": read_frames_decord}


class TrackObjects(Stage[TrackConfig]):
    """Follows objects with the configured backend (CONTRACTS 9, tracker)."""

    name: ClassVar[str] = "track"
    version: ClassVar[str] = "5"
    section: ClassVar[str] = "track"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(
            Video,
            ("sha256", "duration_s", "width", "height", "fps", "has_audio", "is_silent"),
            beside=("uri",),
        ),
        Reads(Event, ("event_id", "segments")),
        Reads(Object, ("object_id", "name", "count", "is_group", "grounding_phrase")),
        Reads(EventObject, ("event_id", "object_id", "audibility", "sounding")),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (Tube, TubeMasks)
    item_kind: ClassVar[ItemKind | None] = "object"
    batch = "track_batch_size"

    @cached_property
    def tracker(self) -> Tracker:
        """The backend, not yet opened; only the chosen one's libraries are imported."""
        if self.config.backend == "import":
            from earshot.tasks.track_objects.imports import ImportTracker

            return ImportTracker(self.config, self.context.input_base)
        if self.config.backend == "grounded_sam2":
            from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker

            return GroundedSam2Tracker(self.config)
        if self.config.backend == "grounded_sam2_original":
            from earshot.tasks.track_objects.grounded_sam2_original.tracker import OriginalTracker

            return OriginalTracker(self.config)
        from earshot.tasks.track_objects.synchrony import SynchronyTracker

        return SynchronyTracker(self.config)

    def digests(self) -> Digests:
        """Return the backend's digest as the model's.

        Raises:
            MissingExtraError: the decoder is not installed.
        """
        if self.config.decoder == "decord":
            check_decord()
        return Digests(model=self.tracker.digest())

    def outside(self, given: StageInput) -> dict[str, Any]:
        """Return the digest of the imported files, where the backend has any."""
        try:
            stamp = self.tracker.stamp(given.video_id)
        except ItemError:
            stamp = "unreadable"
        return {} if stamp is None else {"files": stamp}

    def outside_of_all(self) -> dict[str, Any] | None:
        """Return None for a backend that takes files."""
        return None if self.config.backend == "import" else {}

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Return the ids of the video's objects."""
        return tuple(thing.object_id for thing in given.all(Object))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` with tubes, or `Quarantined`, for each video; one child serves the batch."""
        self.tracker.open()
        try:
            with Worker(self.context.limit_s) as worker:
                for given in batch:
                    yield self._track(given, worker)
        finally:
            self.tracker.close()

    def estimate(self, batch: Sequence[StageInput]) -> Estimate:
        """Return what the backend says of the clips."""
        clips = [clip for given in batch for clip in self._clips(given, _unopened, None)]
        return self.tracker.estimate(clips)

    def _track(self, given: StageInput, worker: Worker) -> Outcome:
        try:
            with ExitStack() as files:
                clips = self._opened_clips(given, worker, files)
                results = list(self.tracker.track(clips))
        except ItemError as fault:
            return Quarantined.by(fault, given.video_id)
        pairs = [pair for result in results for pair in self._tubes(result)]
        tubes = [tube for tube, _ in pairs]
        items = _items(given, tubes, results)
        said = [] if tubes else [f"no tube for any of {len(items)} object(s)"]
        said += _nameless(results)
        return Done(
            given.video_id,
            items=items,
            rows=(*tubes, *(masks for _, masks in pairs if masks is not None)),
            reason_code=None if tubes else "empty",
            message="; ".join(said) or None,
        )

    def _opened_clips(self, given: StageInput, worker: Worker, files: ExitStack) -> list[Clip]:
        """Return the clips of a video, whose file stays as long as `files`."""
        video, context = given.one(Video), self.context
        wanted = self._clips(given, _unopened, None)
        if not wanted or not self.tracker.looks:
            return wanted
        place = video.uri, context.input_base, context.cache
        path = files.enter_context(local_file(*place, sha256=video.sha256, fetch=context.fetch))
        info = _info(video)
        envelope = None
        if video.has_audio and not video.is_silent:
            envelope = worker.call(read_envelope, path, -math.inf)
        open_frames = partial(ChildSource, worker, path, info, read=READERS[self.config.decoder])
        return self._clips(given, open_frames, envelope)

    def _clips(
        self, given: StageInput, open_frames: OpenFrames, envelope: Envelope | None
    ) -> list[Clip]:
        """Return the clips that have something to follow, by time."""
        video, margin_s = given.one(Video), self.config.margin_s
        clips = []
        for window in windows(given.all(Event)):
            targets = _targets(given, window.event_ids)
            if targets:
                context_s = (
                    max(window.start_s - margin_s, 0.0),
                    min(window.end_s + margin_s, video.duration_s),
                )
                clips.append(
                    Clip(
                        video_id=given.video_id,
                        info=_info(video),
                        window_s=(window.start_s, window.end_s),
                        context_s=context_s,
                        times_s=sample_times(window.start_s, window.end_s, self.config.fps),
                        targets=targets,
                        open_frames=open_frames,
                        envelope=envelope,
                    )
                )
        return clips

    def _tubes(self, result: TrackResult) -> list[tuple[Tube, TubeMasks | None]]:
        """Return the rows of a clip; ordinals by first visible time, then left edge."""
        rows = []
        for target in result.clip.targets:
            instances = [f for f in result.found if f.object_id == target.object_id]
            instances = [f for f in instances if np.any(f.states == VISIBLE)]
            for ordinal, found in enumerate(sorted(instances, key=_first_seen)):
                tube = self._tube(result.clip, found, ordinal)
                rows.append((tube, _masks(tube, found)))
        return rows

    def _tube(self, clip: Clip, found: Found, ordinal: int) -> Tube:
        scores = np.round(found.scores, 4)
        return Tube(
            tube_id=tube_id(found.object_id, clip.window_s, ordinal),
            video_id=clip.video_id,
            object_id=found.object_id,
            window=Interval(start_s=clip.window_s[0], end_s=clip.window_s[1]),
            times_s=clip.times_s if found.times_s is None else found.times_s,
            boxes=boxes_from_array(np.round(found.boxes, 6)),
            state=states_from_array(found.states),
            score=tuple(None if math.isnan(score) else score for score in scores.tolist()),
            source=found.source,
            synchrony=None if found.synchrony is None else round(found.synchrony, 4),
            box_space="norm",
            parent_digest=None,
            backend=self.tracker.backend,
            backend_version=self.tracker.backend_version,
            weights_digest=self.tracker.weights_digest,
            settings_digest=self.tracker.digest(),
            flags=found.flags,
        )


def _masks(tube: Tube, found: Found) -> TubeMasks | None:
    if found.masks is None:
        return None
    return TubeMasks(
        tube_id=tube.tube_id,
        video_id=tube.video_id,
        height=found.masks.height,
        width=found.masks.width,
        counts=tuple(None if each is None else each.decode() for each in found.masks.counts),
    )


@dataclass(frozen=True)
class Window:
    """A stretch of a video in which the windows of some events overlap."""

    start_s: float
    end_s: float
    event_ids: tuple[str, ...]


def windows(events: Sequence[Event]) -> list[Window]:
    """Return the windows of a video's events, sorted; overlaps below 0.1 s only touch."""
    found: list[Window] = []
    hulls = [
        Window(event.segments[0].start_s, event.segments[-1].end_s, (event.event_id,))
        for event in events
    ]
    for hull in sorted(hulls, key=lambda w: (w.start_s, w.end_s, w.event_ids)):
        last = found[-1] if found else None
        if last is not None and half_up(hull.start_s, 1) < half_up(last.end_s, 1):
            end_s = max(last.end_s, hull.end_s)
            found[-1] = Window(last.start_s, end_s, last.event_ids + hull.event_ids)
        else:
            found.append(hull)
    return found


def sample_times(start_s: float, end_s: float, fps: float) -> tuple[float, ...]:
    """Return the sample times of a window, at least one.

    They begin at its start rounded half-up to 0.1 s, and the rate is `fps` rounded up to a whole
    number, so that the 1 s question grid is among them (CONTRACTS 4).
    """
    first_s, last_s = half_up(start_s, 1), half_up(end_s, 1)
    return window_times(first_s, max(first_s, last_s), max(math.ceil(fps), 1))


def _targets(given: StageInput, event_ids: tuple[str, ...]) -> tuple[Target, ...]:
    """Return the objects that can be seen in one of the events, with when they sound there."""
    parts: dict[str, list[EventObject]] = {}
    for part in given.all(EventObject):
        if part.event_id in event_ids and part.audibility != "audible_only":
            parts.setdefault(part.object_id, []).append(part)
    return tuple(
        Target(
            object_id=thing.object_id,
            name=thing.name,
            phrase=thing.grounding_phrase,
            count=1 if thing.is_group else thing.count,
            is_group=thing.is_group,
            sounding=intervals.normalise(
                [pair for part in parts[thing.object_id] for pair in to_pairs(part.sounding)]
            ),
        )
        for thing in given.all(Object)
        if thing.object_id in parts
    )


def _items(
    given: StageInput, tubes: Sequence[Tube], results: Sequence[TrackResult]
) -> tuple[Item, ...]:
    """Return what became of each object; the last window that refused it says why."""
    refused = {object_id: why for each in results for object_id, why in each.refused.items()}
    tracked = {tube.object_id for tube in tubes}
    seen = {p.object_id for p in given.all(EventObject) if p.audibility != "audible_only"}
    items = []
    for thing in given.all(Object):
        if thing.object_id in tracked:
            items.append(Item(thing.object_id))
        elif thing.object_id in seen:
            message = refused.get(thing.object_id, f"no {thing.name} found")
            items.append(Item(thing.object_id, "filtered", "not_detected", message))
        else:
            message = f"{thing.name} is heard in all of its events and seen in none"
            items.append(Item(thing.object_id, "filtered", "audible_only", message))
    return tuple(items)


def _nameless(results: Sequence[TrackResult]) -> list[str]:
    """Say which tracks of the files are no object in any window."""
    left = frozenset[str].intersection(*(each.nameless for each in results)) if results else ()
    if not left:
        return []
    shown = sorted(left)
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return [f"{len(shown)} track(s) of the file are no object here: {', '.join(shown[:8])}{more}"]


def _info(video: Video) -> SourceInfo:
    return SourceInfo(video.duration_s, video.fps, video.width, video.height)


def _first_seen(found: Found) -> tuple[int, float]:
    first = int(np.flatnonzero(found.states == VISIBLE)[0])
    return first, float(found.boxes[first, 0])


def _unopened(long_side_px: int | None) -> FrameSource:
    raise AssertionError(f"estimate opened a frame source of {long_side_px} pixels")
