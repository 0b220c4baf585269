"""The embedded tracker on real clips whose sounds nothing in the picture makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.schemas.config import ProbeConfig, TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.stage import StageContext, StageInput
from earshot.tasks.probe_videos import ProbeVideos
from earshot.tasks.track_objects.stage import TrackObjects
from tests.factories import make_event, make_event_object, make_object

Told = tuple[tuple[str, ...], tuple[tuple[float, float], ...]]

# What is seen to move in each, told as if it sounded. The first four have no sound; over the last
# lie a narrator and music.
CLIPS: dict[str, Told] = {
    "sam2_bedroom": (("girl", "boy"), ((0.0, 6.5),)),
    "sam2_01_dog": (("woman", "dog"), ((0.0, 9.6),)),
    "intel_car-detection": (("car",), ((3.9, 8.1), (14.5, 18.4))),
    "anet_v_TpB_zMG3XBA": (("girl",), ((7.3, 15.0),)),
    "nasa_13013": (("technician", "mirror"), ((0.0, 4.0), (4.0, 8.0), (8.0, 13.0))),
}


def probed(shared_data: Path, name: str, context: StageContext) -> Video:
    """Measure a clip as the pipeline does."""
    entry = ManifestEntry(video_id=name, uri=f"videos/{name}.mp4")
    (outcome,) = ProbeVideos(ProbeConfig(), context).run(
        [StageInput(name, {ManifestEntry: [entry]})]
    )
    (video,) = outcome.records
    assert isinstance(video, Video)
    return video


@pytest.mark.parametrize("name", CLIPS)
def test_no_tube_for_sound_that_nothing_seen_makes(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    """Though every mover is told to sound, none gets a tube, and the reason is said."""
    context = StageContext(str(shared_data), tmp_path)
    video = probed(shared_data, name, context)
    things, segments = CLIPS[name]
    objects = [make_object(name, thing) for thing in things]
    events = [make_event(name, (pair,), f"event {n}") for n, pair in enumerate(segments)]
    parts = [
        make_event_object(event, thing, sounding=event.segments)
        for event in events
        for thing in objects
    ]
    rows = {Video: [video], Event: events, Object: objects, EventObject: parts}
    (outcome,) = TrackObjects(TrackConfig(), context).run([StageInput(name, rows)])
    tubes = [row for row in outcome.records if isinstance(row, Tube)]
    assert [(tube.object_id, tube.window.pair, tube.synchrony, tube.flags) for tube in tubes] == []
    assert {item.reason_code for item in outcome.items} == {"not_detected"}
