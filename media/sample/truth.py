"""Turns a script, its boxes and its captions into the project's own records.

Takes what was painted and mixed, gives rows that are exact by construction: a thing is seen where
its pixels are, and sounds from its first onset to the end of its last sound.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.geometry.intervals import intersect
from earshot.media.sample.captions import Written
from earshot.media.sample.script import Beat, Script
from earshot.names import norm
from earshot.schemas import ids
from earshot.schemas.base import Interval, digest_of, to_intervals
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.manifest import ManifestEntry, RawCaption, RawEvent, RawInterval
from earshot.schemas.mention import Audibility
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube, boxes_from_array, states_from_array
from earshot.schemas.video import Video

VERSION = "1"
LICENCE = "CC0-1.0"
SOURCE = "earshot sample world"


@dataclass(frozen=True)
class VideoTruth:
    """Everything that is true of one video, and what the pipeline is told of it."""

    scenario: str
    entry: ManifestEntry
    video: Video
    captions: tuple[Caption, ...]
    events: tuple[Event, ...]
    objects: tuple[Object, ...]
    event_objects: tuple[EventObject, ...]
    tubes: tuple[Tube, ...]


class Recorder:
    """Makes the records of one video.

    Args:
        script: the video's script.
        written: its captions, in manifest order.
        boxes_px: (actors, frames, 4) half-open xyxy in pixels, NaN where an actor is not seen.
    """

    def __init__(
        self, script: Script, written: tuple[Written, ...], boxes_px: npt.NDArray[np.float64]
    ) -> None:
        self._script = script
        self._written = written
        self._boxes = boxes_px / np.array(
            [script.width, script.height, script.width, script.height], dtype=np.float64
        )
        self._seen = ~np.isnan(boxes_px[..., 0])

    def truth(self, file: Path, uri: str) -> VideoTruth:
        """Return all records; `file` is the encoded video, `uri` its name in the manifest."""
        beats = self._script.scene.beats
        return VideoTruth(
            scenario=self._script.scenario,
            entry=self._entry(uri),
            video=self._video(file, uri),
            captions=tuple(self._caption(at) for at in range(len(self._written))),
            events=tuple(self._event(at) for at in range(len(beats))),
            objects=tuple(self._object(key) for key in range(len(self._script.scene.actors))),
            event_objects=tuple(
                row for at in range(len(beats)) for row in self._event_objects(at, beats[at])
            ),
            tubes=tuple(self._tube(key) for key in np.flatnonzero(self._seen.any(axis=1)).tolist()),
        )

    def _entry(self, uri: str) -> ManifestEntry:
        script = self._script
        events = tuple(
            RawEvent(
                event_id=f"e{at + 1}",
                label=beat.label,
                segments=tuple(RawInterval(start_s=s, end_s=e) for s, e in beat.segments),
            )
            for at, beat in enumerate(script.scene.beats)
        )
        return ManifestEntry(
            video_id=script.video_id,
            uri=uri,
            captions=tuple(
                RawCaption(start_s=w.start_s, end_s=w.end_s, text=w.text) for w in self._written
            ),
            events=events if script.gives_events else (),
            licence=LICENCE,
            source=SOURCE,
        )

    def _video(self, file: Path, uri: str) -> Video:
        script, data = self._script, file.read_bytes()
        return Video(
            video_id=script.video_id,
            uri=uri,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            duration_s=script.duration_s,
            fps=float(script.fps),
            n_frames=script.n_frames,
            width=script.width,
            height=script.height,
            rotation_deg=0,
            is_vfr=False,
            video_codec="h264",
            audio_codec="aac" if script.has_audio else None,
            has_audio=script.has_audio,
            is_silent=script.is_silent if script.has_audio else None,
            licence=LICENCE,
            source=SOURCE,
        )

    def _caption_id(self, position: int) -> str:
        return ids.caption_id(self._script.video_id, position)

    def _caption(self, position: int) -> Caption:
        written = self._written[position]
        return Caption(
            caption_id=self._caption_id(position),
            video_id=self._script.video_id,
            start_s=written.start_s,
            end_s=written.end_s,
            text=written.text,
            caption_source="given",
        )

    def _telling(self, beat: int) -> tuple[int, ...]:
        return tuple(at for at, written in enumerate(self._written) if beat in written.beats)

    def _event_id(self, at: int) -> str:
        video_id, beat = self._script.video_id, self._script.scene.beats[at]
        if self._script.gives_events:
            return ids.given_event_id(video_id, f"e{at + 1}")
        captions = [self._caption_id(position) for position in self._telling(at)]
        return ids.event_id(video_id, captions, beat.label, 0)

    def _event(self, at: int) -> Event:
        beat, telling = self._script.scene.beats[at], self._telling(at)
        return Event(
            event_id=self._event_id(at),
            video_id=self._script.video_id,
            label=beat.label,
            description=" ".join(self._written[position].text for position in telling),
            segments=to_intervals(beat.segments),
            time_source="given" if self._script.gives_events else "caption",
            caption_ids=tuple(self._caption_id(position) for position in telling),
        )

    def _object_id(self, key: int) -> str:
        return ids.object_id(self._script.video_id, self._script.scene.actors[key].name)

    def _object(self, key: int) -> Object:
        actor = self._script.scene.actors[key]
        look, kind = actor.look, actor.kind
        surfaces = sorted(
            {
                written.text[naming.char_start : naming.char_end]
                for written in self._written
                for naming in written.namings
                if naming.actor == key
            }
        )
        head = look.noun.split()[-1]
        names = [*surfaces, actor.name, head, kind.name, look.noun, *kind.nouns]
        return Object(
            object_id=self._object_id(key),
            video_id=self._script.video_id,
            name=actor.name,
            head=head,
            surfaces=tuple(surfaces),
            accept=tuple(sorted({norm(name) for name in names})),
            count=1,
            is_group=False,
            grounding_phrase=f"{look.colour} {look.noun}".strip(),
        )

    def _event_objects(self, at: int, beat: Beat) -> list[EventObject]:
        rows = []
        for key, actor in enumerate(self._script.scene.actors):
            sounding = intersect(actor.stretches, beat.segments)
            audibility = self._audibility(key, beat, sounds=bool(sounding))
            if audibility is not None:
                rows.append(
                    EventObject(
                        event_id=self._event_id(at),
                        object_id=self._object_id(key),
                        audibility=audibility,
                        sounding=to_intervals(sounding),
                        evidence=self._evidence(at, key),
                        confidence=None,
                    )
                )
        return rows

    def _audibility(self, key: int, beat: Beat, *, sounds: bool) -> Audibility | None:
        times_s = self._script.times_s
        inside = np.any([(times_s >= s) & (times_s < e) for s, e in beat.segments], axis=0)
        if bool((inside & self._seen[key]).any()):
            return "visible_and_audible" if sounds else "visible_only"
        return "audible_only" if sounds else None

    def _evidence(self, beat: int, key: int) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(
                caption_id=self._caption_id(position),
                char_start=naming.char_start,
                char_end=naming.char_end,
            )
            for position in self._telling(beat)
            for naming in self._written[position].namings
            if naming.actor == key
        )

    def _tube(self, key: int) -> Tube:
        script, window = self._script, (0.0, self._script.duration_s)
        return Tube(
            tube_id=ids.tube_id(self._object_id(key), window, 0),
            video_id=script.video_id,
            object_id=self._object_id(key),
            window=Interval(start_s=window[0], end_s=window[1]),
            times_s=tuple(script.times_s.tolist()),
            boxes=boxes_from_array(self._boxes[key]),
            state=states_from_array(self._seen[key].astype(np.int8)),
            score=(None,) * script.n_frames,
            source="imported",
            synchrony=None,
            box_space="norm",
            parent_digest=None,
            backend="sample_world",
            backend_version=VERSION,
            weights_digest=None,
            settings_digest=digest_of({"video_id": script.video_id, "version": VERSION}),
        )
