"""The backend `grounded_sam2` through the stage, on a sample video and tiny models from folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earshot.errors import DeviceError, EarshotError
from earshot.media.frames import SourceInfo, window_times
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import write_sample_video
from earshot.schemas.config import TrackConfig
from earshot.schemas.tube import Tube, TubeMasks
from earshot.store.runner import fatal
from earshot.store.stage import Done, StageContext
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.protocol import Clip, Target
from earshot.tasks.track_objects.stage import TrackObjects
from tests.tasks.test_track_objects import as_input
from tests.vision.conftest import Folders
from tests.vision.tiny import WORDS, save_segmenter


def config(tiny: Folders, **settings: Any) -> TrackConfig:
    """Settings at which the random detector finds a few things."""
    usual = {
        "backend": "grounded_sam2", "device": "cpu", "box_threshold": 0.7, "text_threshold": 0.3,
        "detector": str(tiny.detector), "segmenter": str(tiny.segmenter),
    }  # fmt: skip
    return TrackConfig(**{**usual, **settings})


class Pictures:
    """A frame source of noise, which changes every four seconds if told so."""

    def __init__(self, info: SourceInfo, *, changes: bool = True) -> None:
        self.info = info
        self.changes = changes
        self.is_closed = False

    def frames(self, times_s: tuple[float, ...]) -> Iterator[tuple[float, np.ndarray]]:
        """Yield pictures."""
        try:
            for time_s in times_s:
                rng = np.random.default_rng(int(time_s * 5) // 20 if self.changes else 0)
                yield time_s, rng.integers(0, 255, (40, 64, 3), dtype=np.uint8)
        finally:
            self.is_closed = True

    def window(
        self, start_s: float, end_s: float, fps: float
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Yield a window."""
        return self.frames(window_times(start_s, end_s, fps))


def target(name: str, count: int | None = None, *, is_group: bool = False) -> Target:
    """A thing to follow."""
    return Target(name, name, f"the {name}", count, is_group, ())


def clip(start_s: float, end_s: float, *targets: Target, source: Pictures | None = None) -> Clip:
    """A window of moving noise."""
    info = SourceInfo(end_s, 25, 64, 40)
    given = source or Pictures(info)
    window = (start_s, end_s)
    times_s = window_times(start_s, end_s, 5)
    return Clip("v", info, window, window, times_s, targets, lambda _: given, None)


def extent(height: int, width: int, counts: bytes) -> np.ndarray:
    """The box around a mask, xyxy in parts of the frame."""
    from pycocotools import mask

    with warnings.catch_warnings():
        # Its arrays are of before NumPy 2.
        warnings.simplefilter("ignore", DeprecationWarning)
        ys, xs = np.nonzero(mask.decode({"size": [height, width], "counts": counts}))
    sides = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    return sides / [width, height, width, height]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VideoTruth]:
    """A sample video with two things."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "videos").mkdir()
    return folder, write_sample_video(folder / "videos", 5, 1)


def test_a_video_becomes_tubes(tiny: Folders, truth: tuple[Path, VideoTruth]) -> None:
    """Through the stage, rows name backend, version, weights and settings; times are the clip's."""
    folder, video = truth
    stage = TrackObjects(config(tiny), StageContext(str(folder), folder / "cache"))
    (outcome,) = stage.run([as_input(video)])
    assert isinstance(outcome, Done), outcome
    tubes = [row for row in outcome.records if isinstance(row, Tube)]
    assert tubes
    assert {tube.backend for tube in tubes} == {"grounded_sam2"}
    assert {tube.weights_digest for tube in tubes} == {stage.tracker.weights_digest}
    assert {tube.settings_digest for tube in tubes} == {stage.digests().model}
    assert len({tube.tube_id for tube in tubes}) == len(tubes)
    for tube in tubes:
        steps = np.diff(tube.times_s)
        assert steps == pytest.approx(0.2, abs=1e-5)
        assert all(
            (box is None) == (state == "absent")
            for box, state in zip(tube.boxes, tube.state, strict=True)
        )
        assert all(
            (score is None) == (box is None)
            for box, score in zip(tube.boxes, tube.score, strict=True)
        )
        assert all(0 <= side <= 1 for box in tube.boxes if box for side in box.xyxy)
    planned = stage.estimate([as_input(video)])
    assert planned.frames == sum({tube.window: len(tube.times_s) for tube in tubes}.values())
    (again,) = stage.run([as_input(video)])
    assert again.records == outcome.records


@pytest.mark.parametrize("kind", ["detector", "mm_detector"])
def test_either_detector_loads(tiny: Folders, kind: str) -> None:
    """Grounding DINO and MM Grounding DINO both find boxes for the names of the clip."""
    thresholds = {"box_threshold": 0.011, "text_threshold": 0.01} if kind == "mm_detector" else {}
    tracker = GroundedSam2Tracker(config(tiny, detector=str(getattr(tiny, kind)), **thresholds))
    tracker.open()
    (result,) = tracker.track([clip(0, 4, target("dog"), target("cat"))])
    assert {each.object_id for each in result.found} <= {"dog", "cat"}
    assert result.found


def test_nothing_above_the_threshold_is_an_empty_result(tiny: Folders) -> None:
    """Then there is no instance, and the best score says how far it was from one."""
    tracker = GroundedSam2Tracker(config(tiny, box_threshold=0.9999, text_threshold=0.9999))
    tracker.open()
    (result,) = tracker.track([clip(0, 4, target("dog"))])
    assert result.found == ()
    assert result.refused["dog"].startswith("no dog found: the best detection scores 0.")
    assert list(tracker.track([])) == []


def test_a_group_is_one_and_too_many_are_doubted(tiny: Folders) -> None:
    """A group is one box; of more instances than the captions speak of each is doubtful."""
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    (group,) = tracker.track([clip(0, 4, target("dog", 1, is_group=True))])
    assert len(group.found) == 1
    (free,) = tracker.track([clip(0, 4, target("dog"))])
    (counted,) = tracker.track([clip(0, 4, target("dog", 1))])
    assert len(free.found) == len(counted.found) > 1
    assert {each.flags for each in free.found} == {()}
    assert {each.flags for each in counted.found} == {("ambiguous_identity",)}


def test_masks_lie_in_their_boxes_and_change_no_tube(
    tiny: Folders, truth: tuple[Path, VideoTruth]
) -> None:
    """Only if asked for: each box has a mask whose extent is the box, and boxes stay the same."""
    folder, video = truth
    context = StageContext(str(folder), folder / "cache")
    done: list[Done] = []
    for stage in (
        TrackObjects(config(tiny), context),
        TrackObjects(config(tiny, masks=True), context),
    ):
        (outcome,) = stage.run([as_input(video)])
        assert isinstance(outcome, Done)
        done.append(outcome)
    plain, asked = done
    assert not [row for row in plain.records if isinstance(row, TubeMasks)]
    tubes = {row.tube_id: row for row in asked.records if isinstance(row, Tube)}
    masks = {row.tube_id: row for row in asked.records if isinstance(row, TubeMasks)}
    assert masks.keys() == tubes.keys()
    was = {row.tube_id: row.boxes for row in plain.records if isinstance(row, Tube)}
    assert {name: tube.boxes for name, tube in tubes.items()} == was
    for name, row in masks.items():
        cell = 1 / min(row.height, row.width)
        for box, counts in zip(tubes[name].boxes, row.counts, strict=True):
            assert (box is None) == (counts is None)
            if box is None or counts is None:
                continue
            found = extent(row.height, row.width, counts.encode())
            assert found == pytest.approx(np.array(box.xyxy), abs=cell)


def test_the_mask_of_a_group_is_that_of_all(tiny: Folders) -> None:
    """A group of several instances has one mask, whose extent is the hull."""
    tracker = GroundedSam2Tracker(config(tiny, masks=True))
    tracker.open()
    (result,) = tracker.track([clip(0, 4, target("dog", is_group=True))])
    (found,) = result.found
    masks = found.masks
    assert masks is not None
    cell = 1 / min(masks.height, masks.width)
    for box, counts in zip(found.boxes, masks.counts, strict=True):
        assert np.isnan(box[0]) == (counts is None)
        if counts is not None:
            assert extent(masks.height, masks.width, counts) == pytest.approx(box, abs=cell)


def test_a_clip_is_followed_alike_whatever_is_beside_it(tiny: Folders) -> None:
    """Windows that share a pack, and are detected together, have the results of each alone."""
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    clips = [
        clip(0, 3, target("dog")),
        clip(5, 9, target("cat"), target("bell")),
        clip(20, 22, target("dog")),
    ]
    together = list(tracker.track(clips))
    assert [result.clip for result in together] == clips
    for result in together:
        (alone,) = tracker.track([result.clip])
        assert [f.object_id for f in alone.found] == [f.object_id for f in result.found]
        for one, other in zip(alone.found, result.found, strict=True):
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)


def test_a_cancelled_run_lets_its_frames_go(tiny: Folders) -> None:
    """A caller that stops closes the source, and what follows starts from the begin."""
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    source = Pictures(SourceInfo(30, 25, 64, 40))
    running = tracker.track([clip(0, 2, target("dog")), clip(3, 30, target("dog"), source=source)])
    next(running)
    running.close()
    assert source.is_closed
    (result,) = tracker.track([clip(0, 2, target("dog"))])
    assert result.clip.window_s == (0, 2)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("detector", "/nowhere/at/all", r"track.detector = '/nowhere/at/all': no such folder"),
        (
            "segmenter",
            "SEGMENTER_IS_DETECTOR",
            r"holds a model of type 'grounding-dino'; expected sam2_video",
        ),
        ("device", "cuda", r'track.device = "cuda": torch sees no GPU; set track.device = "cpu"'),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    tiny: Folders, field: str, value: str, expected: str
) -> None:
    """Missing weights, a folder with another model and a machine without GPU have a remedy."""
    value = str(tiny.detector) if value == "SEGMENTER_IS_DETECTOR" else value
    with pytest.raises(EarshotError, match=expected) as caught:
        GroundedSam2Tracker(config(tiny, **{field: value})).open()
    assert "\n" not in str(caught.value)


def test_no_gpu_stops_the_build(tiny: Folders, truth: tuple[Path, VideoTruth]) -> None:
    """Where there is no GPU no video is at fault, and none is quarantined."""
    folder, video = truth
    stage = TrackObjects(config(tiny, device="cuda"), StageContext(str(folder), folder / "cache"))
    with pytest.raises(DeviceError) as caught:
        list(stage.run([as_input(video)]))
    assert fatal(caught.value, folder) is caught.value


def test_no_network_is_said_in_a_line(tiny: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id whose files are not here, where nothing can be downloaded, names the two ways out."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    script = (
        "from earshot.tasks.track_objects.grounded_sam2.weights import folder_of\n"
        "from earshot.errors import InputError\n"
        "try: folder_of('nobody/nothing', 'segmenter')\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "track.segmenter = 'nobody/nothing': its weights are not on this machine" in done.stdout
    assert "hf download nobody/nothing" in done.stdout
    assert done.stdout.count("\n") == 1, done.stdout


def test_digests_follow_contents_and_settings(tiny: Folders, tmp_path: Path) -> None:
    """The same files elsewhere are the same tracker; other weights or thresholds are another."""
    plain = GroundedSam2Tracker(config(tiny))
    copied = shutil.copytree(tiny.segmenter, tmp_path / "copy")
    assert GroundedSam2Tracker(config(tiny, segmenter=str(copied))).digest() == plain.digest()
    other = save_segmenter(tmp_path / "other", seed=1)
    assert GroundedSam2Tracker(config(tiny, segmenter=str(other))).digest() != plain.digest()
    assert GroundedSam2Tracker(config(tiny, box_threshold=0.2)).digest() != plain.digest()


def test_thirty_targets_each_have_tubes_or_a_reason(tiny: Folders) -> None:
    """What one text has no room for is asked in several; nothing is forgotten."""
    names = [*WORDS[5:], *(f"red {word}" for word in WORDS[5:]), *(f"blue {w}" for w in WORDS[5:])]
    many = [target(name) for name in names[:30]]
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    (result,) = tracker.track([clip(0, 1, *many)])
    told = {each.object_id for each in result.found} | set(result.refused)
    assert told == {each.object_id for each in many}
