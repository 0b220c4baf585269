"""Stand-in stages: the pipeline's names, tables and item kinds, with made-up results at once.

Takes a number of videos, gives a manifest and stages whose rows have the shapes of published data
(UnAV-100: events a video and their length; R-AVST: objects, sampled seconds a track). What is left
is the cost of everything around the stages. Opens no media; results depend on the video's id alone.
"""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.mention import Mention
from earshot.schemas.object import Object
from earshot.schemas.question import GridRecord, Question
from earshot.schemas.tube import Box, Tube
from earshot.schemas.video import Video
from earshot.store.stage import Done, Item, Outcome, Stage, StageInput
from earshot.tasks.analyse_captions.stage import AnalyseCaptions
from earshot.tasks.extract_objects.stage import ExtractObjects
from earshot.tasks.filter_videos import FilterVideos
from earshot.tasks.inspect_tubes import AT, InspectTubes
from earshot.tasks.probe_videos import ProbeVideos
from earshot.tasks.read_captions import ReadCaptions
from earshot.tasks.track_objects.stage import TrackObjects
from earshot.tasks.write_questions import WriteQuestions

# Of UnAV-100: 10,790 videos by their number of events; 12 stands for 12 and more.
EVENTS_PER_VIDEO = (4449, 2117, 1394, 945, 628, 413, 254, 194, 120, 88, 56, 132)
CAPTIONS = 3
OBJECTS = 4
TUBES = 3
SAMPLES = 70
DURATION_S = 42.0
_THINGS = ("dog", "man", "car", "guitar")


def write_manifest(path: Path, videos: int) -> Path:
    """Write a manifest of `videos` rows."""
    with path.open("w") as file:
        for number in range(videos):
            rng = random.Random(number)
            captions = [
                {"start_s": start_s, "end_s": round(start_s + rng.uniform(4, 12), 2), "text": text}
                for start_s, text in (
                    (round(rng.uniform(0, 28), 2), f"A {thing} is seen and heard, take {number}.")
                    for thing in _THINGS[:CAPTIONS]
                )
            ]
            row = {"video_id": f"v{number:06d}", "uri": f"videos/{number}.mp4"}
            file.write(json.dumps({**row, "captions": captions, "source": "stand-in"}) + "\n")
    return path


class _StandIn(Stage[Any]):
    """Accounts for every item as done, and writes what `rows` makes up."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.version = "stand-in"

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Return the rows of one video."""
        return ()

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` for each video."""
        for given in batch:
            items = tuple(Item(item_id) for item_id in self.items(given))
            yield Done(given.video_id, items=items, rows=self.rows(given))


class Probe(_StandIn, ProbeVideos):
    """Says that every video is 42 s long."""

    def outside(self, given: StageInput) -> dict[str, Any]:
        """Return what stands for the sha256 of the media."""
        return {"media": ids.h8(given.video_id)}

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """One video."""
        entry = given.one(ManifestEntry)
        return (
            Video(
                video_id=given.video_id, uri=entry.uri, sha256=ids.h8(given.video_id) * 8,
                bytes=4_000_000, duration_s=DURATION_S, fps=25.0, n_frames=1050, width=1280,
                height=720, rotation_deg=0, is_vfr=False, video_codec="h264", audio_codec="aac",
                has_audio=True, is_silent=False, source=entry.source,
            ),
        )  # fmt: skip


class Captions(_StandIn, ReadCaptions):
    """Copies the captions."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """One row a caption."""
        return tuple(
            Caption(
                caption_id=ids.caption_id(given.video_id, at), video_id=given.video_id,
                start_s=raw.start_s or 0.0, end_s=raw.end_s or 1.0, text=raw.text,
                caption_source="given",
            )
            for at, raw in enumerate(given.one(ManifestEntry).captions)
        )  # fmt: skip


class Filter(_StandIn, FilterVideos):
    """Lets every video through."""


class Analyse(_StandIn, AnalyseCaptions):
    """Makes up events, and two mentions in each."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Events and mentions."""
        video_id, rng = given.video_id, random.Random(given.video_id)
        count = rng.choices(range(1, 13), EVENTS_PER_VIDEO)[0]
        rows: list[Event | Mention] = []
        for at in range(count):
            start_s = round(rng.uniform(0, 26), 2)
            segment = Interval(start_s=start_s, end_s=round(start_s + rng.uniform(1, 15), 2))
            event = Event(
                event_id=ids.event_id(video_id, [], "sound", at), video_id=video_id, label=None,
                description="A thing sounds.", segments=(segment,), time_source="caption",
                caption_ids=(ids.caption_id(video_id, at % CAPTIONS),),
            )  # fmt: skip
            rows.append(event)
            for span in (0, 1):
                name = _THINGS[(at + span) % OBJECTS]
                caption_id = event.caption_ids[0]
                rows.append(
                    Mention(
                        mention_id=ids.mention_id(event.event_id, caption_id, span, span + 3),
                        video_id=video_id, event_id=event.event_id, caption_id=caption_id,
                        surface=name, char_start=span, char_end=span + 3, head=name, name=name,
                        count=1, is_group=False, audibility="visible_and_audible",
                        sounding=(segment,), confidence=0.9,
                    )
                )  # fmt: skip
        return tuple(rows)


class Objects(_StandIn, ExtractObjects):
    """Makes four objects, two of them in each event."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Objects and their parts."""
        video_id = given.video_id
        objects = [
            Object(
                object_id=ids.object_id(video_id, name), video_id=video_id, name=name, head=name,
                surfaces=(name,), accept=(name,), count=1, is_group=False, grounding_phrase=name,
            )
            for name in _THINGS
        ]  # fmt: skip
        parts = [
            EventObject(
                event_id=event.event_id, object_id=objects[(at + span) % OBJECTS].object_id,
                audibility="visible_and_audible", sounding=event.segments,
                evidence=(
                    Evidence(
                        caption_id=ids.caption_id(video_id, 0), char_start=0, char_end=3
                    ),
                ),
                confidence=0.9,
            )
            for at, event in enumerate(given.all(Event))
            for span in (0, 1)
        ]  # fmt: skip
        return (*objects, *parts)


class Track(_StandIn, TrackObjects):
    """Moves three boxes evenly through the first event."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Three tubes of 70 samples."""
        window = given.all(Event)[0].segments[0]
        step_s = (window.end_s - window.start_s) / SAMPLES
        times_s = tuple(round(window.start_s + step_s * at, 3) for at in range(SAMPLES))
        rng = random.Random(given.video_id)
        return tuple(
            Tube(
                tube_id=ids.tube_id(thing.object_id, window.pair, 0), video_id=given.video_id,
                object_id=thing.object_id, window=window, times_s=times_s,
                boxes=tuple(_box(rng) for _ in times_s), state=("visible",) * SAMPLES,
                score=tuple(round(rng.random(), 4) for _ in times_s), source="detected",
                synchrony=0.5, box_space="norm", parent_digest=None, backend="stand-in",
                backend_version="1", weights_digest=None, settings_digest="0" * 64,
            )
            for thing in given.all(Object)[:TUBES]
        )  # fmt: skip


def _box(rng: random.Random) -> Box:
    left, top = round(rng.uniform(0.01, 0.5), 6), round(rng.uniform(0.01, 0.5), 6)
    return Box(x1=left, y1=top, x2=round(left + 0.3, 6), y2=round(top + 0.4, 6))


class Inspect(_StandIn, InspectTubes):
    """Calls everything ok."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """One inspection an event."""
        tubes = tuple(
            InspectedTube(
                tube_id=tube.tube_id, verdict="ok", before_digest=tube.digest,
                after_digest=tube.digest,
            )
            for tube in given.all(Tube)
        )  # fmt: skip
        return tuple(
            Inspection(
                inspection_id=ids.inspection_id(event.event_id, "stand-in", event.event_id, "0"),
                event_id=event.event_id, verdict="ok", reasons=(), segments=event.segments,
                tubes=tubes, annotator="stand-in", at=AT, seconds=0, inspected_by="automatic",
            )
            for event in given.all(Event)
        )  # fmt: skip


class Questions(_StandIn, WriteQuestions):
    """Asks two questions a video."""

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Their ids."""
        return tuple(f"{given.video_id}/q-{at}" for at in (0, 1))

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Two questions."""
        event = given.all(Event)[0]
        times_s = tuple(float(at) for at in range(12))
        return tuple(
            Question(
                question_id=question_id, video_id=given.video_id, split="train", task="temporal",
                branch=None, pack="r-avst", template_id="stand-in", question="When?",
                answer="0.0", truth_json="{}", span=None,
                grid=GridRecord(anchor_s=0.0, step_s=1.0, times_s=times_s),
                event_ids=(event.event_id,), object_ids=(), tube_ids=(), inspection_ids=(),
                inspected_by="automatic", box_space="norm",
            )
            for question_id in self.items(given)
        )  # fmt: skip


STAND_INS: tuple[type[Stage[Any]], ...] = (
    Probe, Captions, Filter, Analyse, Objects, Track, Inspect, Questions,
)  # fmt: skip
