"""What every tracker backend keeps to, whatever it finds: the same tests for all of them.

The backends with models run in the lanes that have their packages: `make test-vision` and
`make test-packages`. Their models are tiny and of random weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earshot.media.frames import LocalSource, SourceInfo, window_times
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import write_sample_video
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, StageContext, StageInput
from earshot.tasks.track_objects.protocol import Clip, Target, Tracker
from earshot.tasks.track_objects.stage import TrackObjects
from tests.factories import make_event, make_event_object, make_object
from tests.tasks.test_track_objects import as_input

# Packages without which a backend does not run.
NEEDS = {
    "synchrony": (),
    "import": (),
    "grounded_sam2": ("torch", "transformers"),
    "grounded_sam2_original": ("torch", "sam2", "groundingdino"),
}
WINDOW = (1.0, 3.0)
NAMES = ("dog", "cat", "man", "guitar", "bell", "train", "bird", "truck", "drum", "water")


@dataclass(frozen=True)
class Backend:
    """A backend with its settings, and a world of two sample videos, the second cut off."""

    settings: dict[str, Any]
    folder: Path
    good: VideoTruth
    damaged: VideoTruth

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return str(self.settings["backend"])

    def stage(self, **changes: Any) -> TrackObjects:
        """The stage with this backend."""
        config = TrackConfig.model_validate({**self.settings, **changes})
        return TrackObjects(config, StageContext(str(self.folder), self.folder / "cache"))

    def run(self, *given: StageInput, **changes: Any) -> list[Outcome]:
        """What the stage makes of videos."""
        return list(self.stage(**changes).run(given))

    def short(
        self, *names: str, window: tuple[float, float] = WINDOW, **changes: Any
    ) -> StageInput:
        """The good video with one event of two seconds, in which these things sound."""
        video = self.good.video
        event = make_event(video.video_id, segments=(window,))
        things = [make_object(video.video_id, name=name) for name in names]
        things.sort(key=lambda thing: thing.object_id)
        parts = [make_event_object(event, thing, **changes) for thing in things]
        rows = {Video: [video], Event: [event], Object: things, EventObject: parts}
        return StageInput(video.video_id, rows)


def tiny_settings(name: str, folder: Path) -> dict[str, Any]:
    """Settings of a backend whose models are made here, or that needs none."""
    if name == "synchrony":
        return {"backend": name}
    if name == "import":
        tracks = [f"{number}={thing}" for number, thing in enumerate(thirty(), start=1)]
        return {
            "backend": name, "import_path": "tracks", "import_format": "mot",
            "import_names": tuple(tracks),
        }  # fmt: skip
    common = {"backend": name, "device": "cpu", "text_threshold": 0.3}
    if name == "grounded_sam2":
        from tests.vision import tiny

        models = tiny.save_detector(folder / "d"), tiny.save_segmenter(folder / "s")
        return {**common, "box_threshold": 0.7} | dict(
            zip(("detector", "segmenter"), map(str, models), strict=True)
        )
    from tests.vision.tiny_original import look_closely, save_detector, save_segmenter

    look_closely()
    models = save_detector(folder / "d"), save_segmenter(folder / "s")
    return {**common, "box_threshold": 0.9} | dict(
        zip(("detector", "segmenter"), map(str, models), strict=True)
    )


def thirty() -> list[str]:
    """Thirty names."""
    return [f"{colour} {name}".strip() for colour in ("", "red", "blue") for name in NAMES]


def write_tracks(folder: Path, truths: Sequence[VideoTruth]) -> None:
    """Write MOT text in which all thirty names, and the objects of the videos, have a track."""
    folder.mkdir()
    for truth in truths:
        frames = round(truth.video.duration_s * truth.video.fps)
        lines = [
            f"{frame},{track},{10 + track},20,40,30,0.5,1,1"
            for track in range(1, 31)
            for frame in range(1, frames + 1)
            if frame % 100 > 20
        ]
        (folder / f"{truth.video.video_id}.txt").write_text("\n".join(lines) + "\n")


INSTALLED = [name for name, packages in NEEDS.items() if all(map(find_spec, packages))]


@pytest.fixture(scope="module", params=INSTALLED)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Each backend whose packages are here."""
    if "torch" in NEEDS[request.param]:
        import torch

        from tests.vision.torchvision_shim import declare_operators

        torch.set_num_threads(1)
        declare_operators()
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "videos").mkdir()
    good, damaged = (write_sample_video(folder / "videos", 5, index) for index in (1, 0))
    write_tracks(folder / "tracks", [good, damaged])
    settings = tiny_settings(request.param, folder / "models")
    if request.param == "import":
        things = [thing for truth in (good, damaged) for thing in truth.objects]
        named = [f"{thing.video_id}/{at % 2 + 1}={thing.name}" for at, thing in enumerate(things)]
        settings["import_names"] = (*named, *settings["import_names"])
        (folder / "tracks" / f"{damaged.video.video_id}.txt").write_bytes(b"\x00\xff not tracks")
    file = folder / damaged.video.uri
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    cut = damaged.video.model_copy(update={"sha256": sha256(file.read_bytes()).hexdigest()})
    return Backend(settings, folder, good, replace(damaged, video=cut))


@pytest.fixture(scope="module")
def outcomes(backend: Backend) -> list[Outcome]:
    """What a backend makes of the damaged video and of the good one behind it."""
    return backend.run(as_input(backend.damaged), as_input(backend.good))


def tubes_of(outcome: Outcome) -> list[Tube]:
    """The tubes of a video that is done."""
    assert isinstance(outcome, Done), outcome
    return [row for row in outcome.records if isinstance(row, Tube)]


def test_ids_are_unique_and_of_the_objects_asked(backend: Backend, outcomes: list[Outcome]) -> None:
    """Each tube is of an object of the video and names its backend, weights and settings."""
    tubes = tubes_of(outcomes[1])
    assert tubes
    assert len({tube.tube_id for tube in tubes}) == len(tubes)
    assert {tube.object_id for tube in tubes} <= {o.object_id for o in backend.good.objects}
    tracker = backend.stage().tracker
    assert {(t.backend, t.backend_version) for t in tubes} == {
        (backend.name, tracker.backend_version)
    }
    assert {(t.weights_digest, t.settings_digest) for t in tubes} == {
        (tracker.weights_digest, tracker.digest())
    }
    assert (tracker.weights_digest is None) == (not NEEDS[backend.name])


def test_times_ascend_within_the_window(outcomes: list[Outcome]) -> None:
    """Sample times are those of the window, each once, in order."""
    for tube in tubes_of(outcomes[1]):
        assert all(a < b for a, b in pairwise(tube.times_s))
        assert tube.window.start_s - 0.11 <= tube.times_s[0]
        assert tube.times_s[-1] <= tube.window.end_s + 0.11


def test_what_is_not_seen_is_null(outcomes: list[Outcome]) -> None:
    """Box and score are there where the state is visible, and nowhere else; boxes lie inside."""
    for tube in tubes_of(outcomes[1]):
        seen = [state == "visible" for state in tube.state]
        assert [box is not None for box in tube.boxes] == seen
        assert [score is not None for score in tube.score] == seen
        for box in tube.boxes:
            assert box is None or (0 <= box.x1 < box.x2 <= 1 and 0 <= box.y1 < box.y2 <= 1)
        assert all(score is None or 0 <= score <= 1 for score in tube.score)


def test_a_damaged_video_costs_itself_alone(backend: Backend, outcomes: list[Outcome]) -> None:
    """It is quarantined with a reason and a remedy; the video behind it is done."""
    first, second = outcomes
    assert isinstance(first, Quarantined)
    assert first.reason_code in {"truncated", "unreadable", "decode_error", "bad_tracks"}
    assert first.message
    assert second.video_id == backend.good.video.video_id
    assert isinstance(second, Done)


def test_the_same_again_gives_the_same(backend: Backend, outcomes: list[Outcome]) -> None:
    """Another run, of another instance, gives equal rows."""
    (again,) = backend.run(as_input(backend.good))
    assert again.records == outcomes[1].records


def test_nothing_found_is_an_empty_result(backend: Backend) -> None:
    """There is no tube then; the object is left out with a reason."""
    given, changes = backend.short("dog"), {"box_threshold": 0.999999, "text_threshold": 0.999999}
    if backend.name == "import":
        changes = {"import_names": ()}
    if backend.name == "synchrony":
        # In one frame nothing moves.
        given, changes = backend.short("dog", window=(0.0, 0.1)), {"margin_s": 0.0}
    (outcome,) = backend.run(given, **changes)
    assert isinstance(outcome, Done), outcome
    assert (outcome.reason_code, outcome.rows) == ("empty", ())
    (item,) = outcome.items
    assert (item.status, item.reason_code) == ("filtered", "not_detected")
    assert item.message


def test_no_objects_is_no_work(backend: Backend) -> None:
    """A video without objects is done, and no frame is planned for it."""
    (outcome,) = backend.run(backend.short())
    assert isinstance(outcome, Done)
    assert (outcome.items, outcome.rows) == ((), ())
    assert backend.stage().estimate([backend.short()]).frames == 0


def test_each_of_thirty_objects_is_accounted_for(backend: Backend) -> None:
    """Every one has a tube, or a reason why it has none."""
    given = backend.short(*thirty())
    (outcome,) = backend.run(given)
    assert isinstance(outcome, Done)
    items = {item.item_id: item for item in outcome.items}
    assert set(items) == {thing.object_id for thing in given.all(Object)}
    tracked = {tube.object_id for tube in tubes_of(outcome)}
    assert {key for key, item in items.items() if item.status == "done"} == tracked
    assert all(item.message for item in items.values() if item.status != "done")


class Watched(LocalSource):
    """A frame source that says whether it was left."""

    opened = left = 0

    def frames(self, times_s: Sequence[float]) -> Iterator[tuple[float, np.ndarray]]:
        """Yield frames."""
        Watched.opened += 1
        try:
            yield from super().frames(times_s)
        finally:
            Watched.left += 1


def test_a_cancelled_run_leaves_its_frames(backend: Backend) -> None:
    """Who stops after one clip has closed the frame sources, and can ask again."""
    video = backend.good.video
    tracker: Tracker = backend.stage().tracker
    info = SourceInfo(video.duration_s, video.fps, video.width, video.height)

    def clip(start_s: float) -> Clip:
        window = (start_s, start_s + 2)
        target = Target("dog", "dog", "the dog", None, False, (window,))
        return Clip(
            video.video_id, info, window, window, window_times(*window, 5), (target,),
            lambda side: Watched(backend.folder / video.uri, info, side), None,
        )  # fmt: skip

    Watched.opened = Watched.left = 0
    tracker.open()
    try:
        running = tracker.track([clip(start_s) for start_s in (1.0, 4.0, 7.0)])
        first = next(running)
        running.close()  # type: ignore[attr-defined]
        assert first.clip.window_s == (1.0, 3.0)
        assert (Watched.opened > 0) == tracker.looks
        assert Watched.left == Watched.opened
        (again,) = tracker.track([clip(4.0)])
    finally:
        tracker.close()
    assert again.clip.window_s == (4.0, 6.0)
