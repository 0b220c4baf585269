"""Measures what the models of a tracker take a frame, with pictures of noise.

Takes loaded models, gives a calibration; detects and follows as a build does, but where nothing is
to be found: boxes are given, so that objects are followed whatever the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch

from earshot.media.display import Frame
from earshot.schemas.config import TrackConfig
from earshot.tasks.track_objects.calibration import Calibration, now, record
from earshot.tasks.track_objects.grounded_sam2.models import Models
from earshot.tasks.track_objects.grounded_sam2.propagator import Sam2Propagator
from earshot.tasks.track_objects.grounded_sam2.texts import Sought
from earshot.tasks.track_objects.machine import TRACKERS

SHAPE = (720, 1280, 3)
# Objects followed in the second run; the first has one.
SEVERAL = 4
FRAMES = {"cuda": 64, "cpu": 3}


def calibrate(track: TrackConfig) -> Calibration:
    """Measure the models of a configuration on this machine, and keep what was found.

    Raises:
        EarshotError: no weights, no such device, or too little memory on it.
    """
    tracker = TRACKERS[track.backend](track)
    models = tracker.loaded()
    found = measure(models, FRAMES[track.device])
    record(track, tracker.weights_digest, found)
    return found


def measure(models: Models, frames: int) -> Calibration:
    """Return what models take; a first round of each, with its compilation, is not counted."""
    rng = np.random.default_rng(0)
    pictures = {at: rng.integers(0, 255, SHAPE, dtype=np.uint8) for at in range(frames)}
    sought = [[Sought("dog", "the dog")]] * frames
    detect_s = _seconds(models, lambda: models.detector.detect(list(pictures.values()), sought))
    one_s, several_s = (
        _seconds(models, lambda n=count: follow(models, pictures, n))  # type: ignore[misc]
        for count in (1, SEVERAL)
    )
    object_s = max(several_s - one_s, 0.0) / (SEVERAL - 1) / frames
    device = models.segmenter.device
    return Calibration(
        detector_frame_s=detect_s / frames,
        frame_s=max(one_s / frames - object_s, 0.0),
        object_s=object_s,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        at=now(),
    )


def follow(models: Models, pictures: dict[int, Frame], count: int) -> None:
    """Follow so many objects through pictures, from boxes spread over the first."""
    propagator = Sam2Propagator(models.segmenter, pictures, models.batches)
    low = np.linspace(0.0, 0.6, count)
    propagator.prompt(0, range(count), np.stack([low, low, low + 0.3, low + 0.3], axis=1))
    for at in range(1, len(pictures)):
        propagator.step(at, range(count), False)


def _seconds(models: Models, work: Callable[[], object]) -> float:
    """Return the seconds of the second of two rounds."""
    took = 0.0
    for _ in range(2):
        begin = perf_counter()
        work()
        if models.segmenter.device.type == "cuda":
            torch.cuda.synchronize()
        took = perf_counter() - begin
    return took
