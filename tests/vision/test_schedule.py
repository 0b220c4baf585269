"""What is decoded, detected and held, and when: plan, batches, memory, compiled models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earshot.errors import DeviceError
from earshot.media.frames import SourceInfo, window_times
from earshot.media.sample_world import write_sample_video
from earshot.schemas.object import Object
from earshot.store.stage import StageContext, StageInput
from earshot.tasks.track_objects.calibration import recorded
from earshot.tasks.track_objects.grounded_sam2.batches import Batch
from earshot.tasks.track_objects.grounded_sam2.detector import TransformersDetector
from earshot.tasks.track_objects.grounded_sam2.load import load
from earshot.tasks.track_objects.grounded_sam2.models import Place
from earshot.tasks.track_objects.grounded_sam2.propagator import Sam2Propagator
from earshot.tasks.track_objects.grounded_sam2.sam2_batched import BatchedSam2Video, bucket_of
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.measure import calibrate
from earshot.tasks.track_objects.stage import TrackObjects
from tests.tasks.test_track_objects import as_input
from tests.vision.conftest import Folders
from tests.vision.test_grounded_sam2 import Pictures, clip, config, target
from tests.vision.tiny import WORDS


class Counted:
    """Counts frames that the models are given, in the order in which they are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.detected: list[int] = []
        self.encoded: list[int] = []
        forward, encode = TransformersDetector._forward, BatchedSam2Video.encode

        def counted_forward(detector: Any, pixels: torch.Tensor, texts: list[str]) -> Any:
            self.detected.append(len(pixels))
            return forward(detector, pixels, texts)

        def counted_encode(model: Any, pixels: torch.Tensor) -> Any:
            self.encoded.append(len(pixels))
            return encode(model, pixels)

        monkeypatch.setattr(TransformersDetector, "_forward", counted_forward)
        monkeypatch.setattr(BatchedSam2Video, "encode", counted_encode)


def with_many_names(given: StageInput) -> StageInput:
    """The same video whose objects are called by so many words that one text has no room."""
    rows = dict(given._rows)
    words = " ".join(WORDS[2:12])
    rows[Object] = [
        thing.model_copy(update={"grounding_phrase": f"{words} {thing.name}"})
        for thing in given.all(Object)
    ]
    return StageInput(given.video_id, rows)


@pytest.mark.parametrize("is_wordy", [False, True])
def test_plan_counts_what_then_happens(
    tiny: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wordy: bool
) -> None:
    """Frames and detector frames are within a fifth of those that the models are given."""
    (tmp_path / "videos").mkdir()
    given = [as_input(write_sample_video(tmp_path / "videos", 5, index)) for index in (1, 3)]
    given = [with_many_names(each) for each in given] if is_wordy else given
    stage = TrackObjects(config(tiny), StageContext(str(tmp_path), tmp_path / "cache"))
    planned = stage.estimate(given)
    counted = Counted(monkeypatch)
    assert [outcome.status for outcome in stage.run(given)] == ["done", "done"]
    assert planned.detector_frames == pytest.approx(sum(counted.detected), rel=0.2)
    assert planned.frames == pytest.approx(sum(counted.encoded), rel=0.2)
    assert planned.gpu_s == 0


def test_minutes_are_planned_after_a_calibration(
    tiny: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds for the models, the device and the precision that were measured."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    track = config(tiny)
    clips = [clip(0, 10, target("dog", 2))]
    assert GroundedSam2Tracker(track).estimate(clips).gpu_s == 0
    found = calibrate(track)
    assert recorded(track, GroundedSam2Tracker(track).weights_digest) == found
    assert found.frame_s + found.object_s > 0
    expected = 50 * found.frame_s + 100 * found.object_s + 5 * found.detector_frame_s
    assert GroundedSam2Tracker(track).estimate(clips).gpu_s == pytest.approx(expected)
    half = track.model_copy(update={"precision": "bfloat16"})
    assert GroundedSam2Tracker(half).estimate(clips).gpu_s == 0


def test_key_frames_of_many_windows_share_a_call(
    tiny: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight short windows are one pack: their key frames go to the detector together."""
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    counted = Counted(monkeypatch)
    clips = [clip(3 * at, 3 * at + 1, target("dog")) for at in range(8)]
    assert len(list(tracker.track(clips))) == 8
    assert sum(counted.detected) == 16
    assert len(counted.detected) == 2


def test_bytes_held_do_not_grow_from_ten_seconds_to_ten_minutes(
    tiny: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features, memories and frames stay those of a piece."""
    held: list[int] = []
    step = Sam2Propagator.step

    def watched(self: Sam2Propagator, *args: Any) -> Any:
        out = step(self, *args)
        held.append(self.held_bytes() + sum(f.nbytes for f in self._frames.values()))
        return out

    monkeypatch.setattr(Sam2Propagator, "step", watched)
    tracker = GroundedSam2Tracker(config(tiny, piece_frames=16, key_every_s=20, box_threshold=0.9))
    tracker.open()
    peaks = {}
    for seconds, fps in ((10, 5), (600, 1)):
        held.clear()
        still = Pictures(SourceInfo(seconds, 25, 64, 40), changes=False)
        asked = clip(0, seconds, target("dog"), source=still)
        (result,) = tracker.track([replace(asked, times_s=window_times(0, seconds, fps))])
        assert result.found
        peaks[seconds] = max(held)
    assert len(held) >= 600
    # A piece may be cut elsewhere; sixty times the length must not show.
    assert peaks[600] <= 1.2 * peaks[10], peaks


def test_the_next_pack_is_decoded_while_one_is_followed(tiny: Folders) -> None:
    """At most one pack ahead: more would only be held."""
    tracker = GroundedSam2Tracker(config(tiny, piece_frames=16))
    tracker.open()
    read, seen = [], []
    step = tracker.loaded().segmenter.encode

    class Noted(Pictures):
        def frames(self, times_s: tuple[float, ...]) -> Iterator[tuple[float, np.ndarray]]:
            for each in super().frames(times_s):
                read.append(each[0])
                yield each

    def encode(pixels: torch.Tensor) -> Any:
        seen.append(len(read))
        return step(pixels)

    tracker.loaded().segmenter.encode = encode  # type: ignore[method-assign]
    try:
        source = Noted(SourceInfo(20, 25, 64, 40))
        list(tracker.track([clip(0, 20, target("dog"), source=source)]))
    finally:
        del tracker.loaded().segmenter.encode
    assert len(read) == 100
    assert max(seen[:2]) <= 2 * 16


def crowded(function: Any, size: Any, most: int) -> Any:
    """The function, out of memory for more than so many."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        if size(*args) > most:
            raise torch.OutOfMemoryError("no room")
        return function(*args, **kwargs)

    return limited


def test_what_does_not_fit_is_halved_and_remembered(
    tiny: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames to detect on, frames to encode and objects: results are those of whole batches."""
    clips = [clip(0, 4, target("dog"), target("cat"))]
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    (expected,) = tracker.track(clips)
    load.cache_clear()
    tracker.open()
    monkeypatch.setattr(
        TransformersDetector,
        "_forward",
        crowded(TransformersDetector._forward, lambda _, pixels, texts: len(pixels), 1),
    )
    monkeypatch.setattr(
        BatchedSam2Video, "encode", crowded(BatchedSam2Video.encode, lambda _, p: len(p), 3)
    )
    monkeypatch.setattr(
        BatchedSam2Video,
        "step",
        crowded(BatchedSam2Video.step, lambda _, features, memories, *rest: len(memories), 2),
    )
    (found,) = tracker.track(clips)
    assert len(found.found) == len(expected.found) > 2
    for one, other in zip(found.found, expected.found, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    batches = tracker.loaded().batches
    assert (batches.detected.size, batches.encoded.size) == (1, 2)
    assert batches.objects.size <= 2
    assert GroundedSam2Tracker(config(tiny)).loaded().batches is batches
    load.cache_clear()


def test_too_little_memory_for_one_is_said_with_its_remedy(
    tiny: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then halving does not help: the build stops with what can be done."""
    tracker = GroundedSam2Tracker(config(tiny))
    tracker.open()
    monkeypatch.setattr(
        BatchedSam2Video, "encode", crowded(BatchedSam2Video.encode, lambda *_: 1, 0)
    )
    with pytest.raises(
        DeviceError, match=r"too little memory on the device: .*lower track\.piece_frames"
    ) as caught:
        list(tracker.track([clip(0, 2, target("dog"))]))
    assert "\n" not in str(caught.value)


def test_a_batch_goes_on_behind_what_was_done() -> None:
    """Nothing is computed twice, and order is kept."""
    batch, calls = Batch(4), []

    def double(part: list[int]) -> list[int]:
        if len(part) > 3:
            raise torch.OutOfMemoryError("no room")
        calls.append(list(part))
        return [2 * each for each in part]

    assert batch.map(double, range(5)) == [0, 2, 4, 6, 8]  # type: ignore[arg-type]
    assert calls == [[0, 1], [2, 3], [4]]
    assert batch.size == 2


def test_buckets_hold_any_count() -> None:
    """Counts are padded to few sizes."""
    assert [bucket_of(n) for n in (1, 2, 3, 5, 16, 17, 33, 70)] == [1, 2, 4, 8, 16, 32, 64, 96]


@pytest.mark.filterwarnings("ignore")  # torch's compiler calls what torch calls old
@pytest.mark.parametrize(
    "place",
    [
        Place("cpu", True, False),
        # minutes of compiling
        pytest.param(Place("cpu", False, True), marks=pytest.mark.slow),
    ],
)
def test_half_and_compiled_models_follow_alike(tiny: Folders, place: Place) -> None:
    """In bfloat16, and compiled with three objects in a bucket of four, boxes stay the same."""
    scene = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    frames = {at: np.roll(scene, (at, 2 * at), (0, 1)) for at in range(4)}
    boxes = np.array([(0.1, 0.1, 0.4, 0.5), (0.5, 0.5, 0.9, 0.9), (0.3, 0.2, 0.8, 0.6)])
    found = []
    for each in (Place("cpu", False, False), place):
        propagator = Sam2Propagator(load(tiny.detector, tiny.segmenter, each).segmenter, frames)
        propagator.prompt(0, range(3), boxes)
        found.append(np.stack([propagator.step(at, range(3), False)[0] for at in (1, 2, 3)]))
    assert found[0].shape == (3, 3, 4)
    np.testing.assert_allclose(found[0], found[1], atol=0.1 if place.is_half else 1e-3)
