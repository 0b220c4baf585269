"""A workspace whose events wait for people, in a minute: stand-ins, and the real inspector.

Gives 500 videos with two events each, and three tubes of 5 fps over 10 s an event, whose boxes walk
about. Opens no media.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stand_in import STAND_INS, Analyse, Objects, Track, write_manifest
from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.config import Config, InspectConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.request import BuildRequest
from earshot.schemas.tube import Tube, boxes_from_array
from earshot.store.stage import StageInput
from earshot.store.workspace import Workspace
from earshot.tasks.inspect_tubes import InspectTubes
from earshot.tasks.pipeline import ANNOTATE, Session, open_run, open_session, run_plain

VIDEOS = 500
TUBES = 3
FPS, SECONDS = 5, 10


class TwoEvents(Analyse):
    """Two events a video, 10 s each."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Events without mentions."""
        return tuple(
            Event(
                event_id=ids.event_id(given.video_id, [], "sound", at), video_id=given.video_id,
                label=f"sound {at}", description="A thing sounds.",
                segments=(Interval(start_s=2.0 + 20 * at, end_s=12.0 + 20 * at),),
                time_source="caption", caption_ids=(ids.caption_id(given.video_id, at),),
            )
            for at in (0, 1)
        )  # fmt: skip


class ThreeThings(Objects):
    """Three of the objects in each event."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Objects and their parts."""
        objects = [each for each in super().rows(given) if not isinstance(each, EventObject)]
        seen = (Evidence(caption_id=ids.caption_id(given.video_id, 0), char_start=0, char_end=3),)
        parts = [
            EventObject(
                event_id=event.event_id, object_id=thing.object_id,
                audibility="visible_and_audible", sounding=event.segments, evidence=seen,
                confidence=0.9,
            )
            for event in given.all(Event)
            for thing in objects[:TUBES]
        ]  # fmt: skip
        return (*objects, *parts)


class Walk(Track):
    """Boxes that walk about and grow and shrink, as tracked ones do."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Three tubes an event."""
        rng, n = np.random.default_rng(random.Random(given.video_id).getrandbits(32)), FPS * SECONDS
        things = sorted({part.object_id for part in given.all(EventObject)})
        return tuple(self._tube(given.video_id, event, thing, rng, n)
                     for event in given.all(Event) for thing in things)  # fmt: skip

    def _tube(
        self, video_id: str, event: Event, thing: str, rng: np.random.Generator, n: int
    ) -> Tube:
        window = event.segments[0]
        centre = 0.5 + np.cumsum(rng.normal(0, 0.012, (n, 2)), axis=0).clip(-0.3, 0.3)
        size = (0.25 + np.cumsum(rng.normal(0, 0.004, (n, 2)), axis=0)).clip(0.1, 0.38)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).round(6)
        return Tube(
            tube_id=ids.tube_id(thing, window.pair, 0), video_id=video_id, object_id=thing,
            window=window, times_s=tuple(round(window.start_s + at / FPS, 3) for at in range(n)),
            boxes=boxes_from_array(boxes), state=("visible",) * n,
            score=tuple(np.round(rng.random(n), 4).tolist()), source="detected", synchrony=0.5,
            box_space="norm", parent_digest=None, backend="stand-in", backend_version="1",
            weights_digest=None, settings_digest="0" * 64,
        )  # fmt: skip


STAGES = tuple(
    {"Analyse": TwoEvents, "Objects": ThreeThings, "Track": Walk, "Inspect": InspectTubes}.get(
        each.__name__, each
    )
    for each in STAND_INS
    if each.__name__ != "Questions"
)


def waiting(folder: Path) -> Session:
    """Build a workspace whose events wait for people."""
    manifest = write_manifest(folder / "input.jsonl", VIDEOS)
    config = Config(inspect=InspectConfig(backend="label_studio"))
    request = BuildRequest(
        workspace=str(folder / "w"), input=str(manifest), config=config, publish=False
    )
    run = open_run(request, stages=STAGES)
    run_plain(run, ANNOTATE)
    run.finish()
    return open_session(Workspace.open(folder / "w"), stages=STAGES)
