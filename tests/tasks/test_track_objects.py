"""Stage `track` and its embedded backend, on sample videos whose every box is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from earshot.errors import MissingExtraError
from earshot.geometry.boxes import box_iou
from earshot.geometry.grid import question_grid
from earshot.geometry.tubes import VISIBLE, at
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import write_sample_video
from earshot.schemas.base import Interval, to_pairs
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, StageContext, StageInput
from earshot.tasks.track_objects.motion import camera_shift
from earshot.tasks.track_objects.stage import TrackObjects, sample_times, windows

SEED = 5
# solo, beside_silent, twins, off_screen, and a second beside_silent of another lap.
INDICES = (0, 1, 3, 6, 13)
FULL, CENTRE = (0.0, 0.0, 1.0, 1.0), (0.25, 0.25, 0.75, 0.75)


@dataclass(frozen=True)
class World:
    """Sample videos with their truth, and what the stage made of them."""

    stage: TrackObjects
    given: list[StageInput]
    truths: list[VideoTruth]
    outcomes: list[Outcome]

    def cases(self) -> list[tuple[VideoTruth, Outcome]]:
        """Truth and outcome of each video."""
        by_id = {outcome.video_id: outcome for outcome in self.outcomes}
        return [(truth, by_id[truth.video.video_id]) for truth in self.truths]


def as_input(truth: VideoTruth) -> StageInput:
    """A video with the events and objects that are true of it."""
    rows = {
        Video: [truth.video],
        Event: list(truth.events),
        Object: list(truth.objects),
        EventObject: list(truth.event_objects),
    }
    return StageInput(truth.video.video_id, rows)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Five sample videos, tracked with their true objects and sounding times as input."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "videos").mkdir()
    truths = [write_sample_video(folder / "videos", SEED, index) for index in INDICES]
    stage = TrackObjects(TrackConfig(), StageContext(str(folder), folder / "cache"))
    given = [as_input(truth) for truth in truths]
    return World(stage, given, truths, list(stage.run(given)))


def sounding(truth: VideoTruth, object_id: str) -> list[tuple[float, float]]:
    """When an object sounds."""
    parts = [part for part in truth.event_objects if part.object_id == object_id]
    return [pair for part in parts for pair in to_pairs(part.sounding)]


def visible_truth(truth: VideoTruth, object_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Times inside the sounding intervals at which an object is seen, and its boxes there."""
    (tube,) = (tube for tube in truth.tubes if tube.object_id == object_id)
    spans = sounding(truth, object_id)
    times_s = np.concatenate([np.arange(start, end, 0.2) for start, end in spans])
    boxes, states = at(*tube.arrays(), times_s)
    seen = states == VISIBLE
    return times_s[seen], boxes[seen]


def mean_iou(tube: Tube | None, times_s: np.ndarray, boxes: np.ndarray) -> float:
    """Mean IoU with true boxes; where the tube has none it is 0."""
    if tube is None:
        return 0.0
    ours, states = at(*tube.arrays(), times_s)
    return float(np.where(states == VISIBLE, box_iou(ours, boxes), 0.0).mean())


def of_object(outcome: Outcome, object_id: str) -> Tube | None:
    """The only tube of an object, if it has one."""
    rows = [row for row in outcome.records if isinstance(row, Tube) and row.object_id == object_id]
    assert len(rows) <= 1
    return rows[0] if rows else None


def seen_sounders(truth: VideoTruth) -> list[str]:
    """Objects that sound and are seen."""
    parts = truth.event_objects
    return [part.object_id for part in parts if part.audibility == "visible_and_audible"]


def test_sounders_are_found_far_better_than_trivially(world: World) -> None:
    """Mean IoU over true visible times is at least twice that of the full frame or a centre box."""
    ours, full, centre = [], [], []
    for truth, outcome in world.cases():
        for object_id in seen_sounders(truth):
            times_s, boxes = visible_truth(truth, object_id)
            ours.append(mean_iou(of_object(outcome, object_id), times_s, boxes))
            full.append(box_iou(np.array(FULL), boxes).mean())
            centre.append(box_iou(np.array(CENTRE), boxes).mean())
    assert len(ours) == 4
    assert np.mean(ours) > 0.45
    assert np.mean(ours) > 2 * max(np.mean(full), np.mean(centre))


def test_the_sounder_is_preferred_to_the_silent_mover(world: World) -> None:
    """With a silent thing moving beside it, the sounder's tube lies on the sounder."""
    right, asked = 0, 0
    for truth, outcome in world.cases():
        silent = [p.object_id for p in truth.event_objects if p.audibility == "visible_only"]
        for object_id in seen_sounders(truth) if silent else []:
            times_s, boxes = visible_truth(truth, object_id)
            tube = of_object(outcome, object_id)
            (other,) = (tube for tube in truth.tubes if tube.object_id == silent[0])
            theirs, _ = at(*other.arrays(), times_s)
            asked += 1
            right += mean_iou(tube, times_s, boxes) > mean_iou(tube, times_s, theirs)
    assert asked == 3
    assert right >= 2


def test_tubes_say_how_they_were_made(world: World) -> None:
    """Every tube names backend, version and settings, is normalised, and has scores in [0, 1]."""
    tubes = [row for outcome in world.outcomes for row in outcome.records]
    assert tubes
    for tube in tubes:
        assert isinstance(tube, Tube)
        assert (tube.backend, tube.box_space, tube.source) == ("synchrony", "norm", "detected")
        assert tube.weights_digest is None
        assert tube.settings_digest == world.stage.digests().model
        assert tube.synchrony is None or 0 <= tube.synchrony <= 1
        assert all(score is None or 0 <= score <= 1 for score in tube.score)
        assert all(0 <= side <= 1 for box in tube.boxes if box for side in box.xyxy)


def test_the_question_grid_is_sampled(world: World) -> None:
    """Every time of a segment's 1 s grid has a state that somebody looked for."""
    for truth, outcome in world.cases():
        for row in outcome.records:
            assert isinstance(row, Tube)
            for event in truth.events:
                grid = question_grid(to_pairs(event.segments))
                inside = [t for t in grid.times_s if row.window.start_s <= t < row.window.end_s]
                _, states = at(*row.arrays(), inside)
                assert np.all(states >= 0)


def test_every_object_is_accounted_for(world: World) -> None:
    """Objects are done with a tube, or filtered as heard only or not found, without one."""
    for truth, outcome in world.cases():
        assert isinstance(outcome, Done)
        assert {item.item_id for item in outcome.items} == {o.object_id for o in truth.objects}
        for item in outcome.items:
            has_tube = of_object(outcome, item.item_id) is not None
            assert (item.status == "done") == has_tube
            assert item.reason_code in (None, "audible_only", "not_detected")


def test_a_thing_that_is_only_heard_has_no_tube(world: World) -> None:
    """What sounds off screen is filtered, not put on the silent mover."""
    truth, outcome = next(case for case in world.cases() if case[0].scenario == "off_screen")
    (heard,) = (p.object_id for p in truth.event_objects if p.audibility == "audible_only")
    assert of_object(outcome, heard) is None
    (item,) = (item for item in outcome.items if item.item_id == heard)
    assert (item.status, item.reason_code) == ("filtered", "audible_only")


def test_same_input_gives_the_same_tubes(world: World) -> None:
    """Tracking is deterministic, and what it found does not depend on the rest of the batch."""
    (again,) = world.stage.run(world.given[:1])
    assert again.records == world.outcomes[0].records


def test_bad_media_is_quarantined_alone(world: World) -> None:
    """A video whose file is gone is quarantined; the next of the batch is done."""
    lost = world.truths[0].video.model_copy(update={"uri": "videos/gone.mp4"})
    truth = replace(world.truths[0], video=lost)
    outcomes = list(world.stage.run([as_input(truth), world.given[0]]))
    assert isinstance(outcomes[0], Quarantined)
    assert outcomes[0].reason_code == "not_found"
    assert outcomes[1].status == "done"


def test_estimate_counts_frames_and_opens_nothing(world: World) -> None:
    """The estimate has the frames to look at: ten a second of window and context."""
    missing = TrackObjects(world.stage.config, StageContext("/nowhere", Path("cache")))
    frames = missing.estimate(world.given[:1]).frames
    (segment,) = world.truths[0].events[0].segments
    assert frames == pytest.approx(10 * (segment.end_s - segment.start_s + 2), abs=12)


def test_video_without_events_is_empty(world: World) -> None:
    """Nothing to follow is said so, and the file is not opened."""
    rows = {Video: [world.truths[0].video], Event: [], Object: [], EventObject: []}
    missing = TrackObjects(world.stage.config, StageContext("/nowhere", Path("cache")))
    (outcome,) = missing.run([StageInput("v", rows)])
    assert isinstance(outcome, Done)
    assert (outcome.reason_code, outcome.records) == ("empty", ())


def test_settings_change_the_digest() -> None:
    """Another working size is another tracker; the same settings are the same."""
    context = StageContext(".", Path("cache"))
    plain, again, other = (
        TrackObjects(TrackConfig(**settings), context).digests().model
        for settings in ({}, {}, {"long_side_px": 256})
    )
    assert plain == again != other


def happening(name: str, *segments: tuple[float, float]) -> Event:
    """An event with segments."""
    intervals = tuple(Interval(start_s=start, end_s=end) for start, end in segments)
    return Event(
        event_id=name, video_id="v", label=name, description=name, segments=intervals,
        time_source="given", caption_ids=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([happening("b", (4, 9)), happening("a", (0, 5))], [(0, 9, ("a", "b"))]),
        ([happening("a", (0, 5)), happening("b", (5, 9))], [(0, 5, ("a",)), (5, 9, ("b",))]),
        ([happening("a", (0, 5.01)), happening("b", (5, 9))], [(0, 5.01, ("a",)), (5, 9, ("b",))]),
        ([happening("a", (0, 2), (8, 9)), happening("b", (3, 4))], [(0, 9, ("a", "b"))]),
    ],
)
def test_windows_merge_where_they_overlap(
    events: Sequence[Event], expected: list[tuple[float, float, tuple[str, ...]]]
) -> None:
    """Overlapping hulls are one window; touching ones, to 0.1 s, stay apart."""
    assert [(w.start_s, w.end_s, w.event_ids) for w in windows(events)] == expected


@pytest.mark.parametrize(
    ("window", "fps", "expected"),
    [
        ((0.04, 0.6), 5, (0.0, 0.2, 0.4)),
        ((1.26, 2.3), 2.5, (1.3, 1.3 + 1 / 3, 1.3 + 2 / 3)),
        ((2.01, 2.04), 5, (2.0,)),
    ],
)
def test_sample_times(window: tuple[float, float], fps: float, expected: tuple[float, ...]) -> None:
    """Samples start at the window's start to 0.1 s, at a whole number a second, at least one."""
    assert sample_times(*window, fps) == pytest.approx(expected, abs=1e-5)
    assert all(math.isfinite(time_s) for time_s in sample_times(*window, fps))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (0.5, 1.25), (-6.0, 4.0)])
def test_camera_shift_is_measured(shift: tuple[float, float]) -> None:
    """The shift of a textured picture is found to a quarter of a pixel."""
    y, x = np.mgrid[0:108, 0:192].astype(np.float32)

    def picture(down: float, right: float) -> np.ndarray:
        v, u = y - down, x - right
        return (
            60 * np.sin(v / 7 + 2 * np.sin(u / 31)) + 50 * np.cos(u / 9) + 20 * np.sin(u * v / 900)
        ).astype(np.float32)

    found = camera_shift(picture(0, 0), picture(*shift))
    assert found == pytest.approx(shift, abs=0.25)


@pytest.mark.parametrize("size", [(1, 1), (2, 192), (192, 2), (3, 3), (4, 5)])
def test_a_picture_of_a_few_lines_says_nothing_of_the_camera(size: tuple[int, int]) -> None:
    """Odd shapes, such as 1920 x 16 at the tracker's working size, are no fault of the stage."""
    before, after = np.random.default_rng(0).uniform(0, 255, (2, *size)).astype(np.float32)
    assert np.isfinite(camera_shift(before, after)).all()


def test_a_large_mover_is_no_camera() -> None:
    """A block that crosses a still scene leaves the camera's shift at zero."""
    rng = np.random.default_rng(0)
    scene = rng.uniform(90, 130, (108, 192)).astype(np.float32)
    before, after = scene.copy(), scene.copy()
    before[30:80, 40:100] = 255
    after[24:74, 48:108] = 255
    assert np.abs(camera_shift(before, after)).max() < 0.2


def test_decord_may_decode(world: World) -> None:
    """The same objects have tubes whichever library decodes."""
    pytest.importorskip("decord", reason="decord has wheels for Linux on x86-64 only")
    config = world.stage.config.model_copy(update={"decoder": "decord"})
    truth, before = next(case for case in world.cases() if seen_sounders(case[0]))
    (outcome,) = TrackObjects(config, world.stage.context).run([as_input(truth)])
    assert outcome.status == "done"
    assert [row.object_id for row in outcome.records if isinstance(row, Tube)] == [
        row.object_id for row in before.records if isinstance(row, Tube)
    ]


def test_a_missing_decoder_stops_the_build(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no video can be decoded by is no fault of the videos, and says what to install."""
    monkeypatch.setattr("earshot.media.decord_source.find_spec", lambda name: None)
    config = world.stage.config.model_copy(update={"decoder": "decord"})
    with pytest.raises(MissingExtraError, match=r"pip install 'earshot\[original\]', or use pyav"):
        TrackObjects(config, world.stage.context).digests()


def test_another_file_than_the_probed_one_is_refused(world: World, tmp_path: Path) -> None:
    """A file that changed since it was measured has no tubes: its times would be another's."""
    truth = next(truth for truth in world.truths if seen_sounders(truth))
    given = as_input(truth)
    changed = truth.video.model_copy(update={"sha256": "0" * 64})
    given = StageInput(given.video_id, {**given._rows, Video: [changed]})
    (outcome,) = world.stage.run([given])
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "checksum"
