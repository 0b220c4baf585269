"""Measures what the tracker does beside its models, and how many frames its detector is given.

Run as `python benchmarks/tracking_loop.py`; the table goes to benchmarks/results/tracking_loop.md.
Needs no torch: detector, propagator and frames are stubs that answer at once, so what is left is
the loop: pieces, decoding thread, association, tracks. CPU time a frame, best of three.

The detector's frames are counted on the windows of R-AVST's 691 shared test videos, as its released
questions and answers give them ("between s and e", <when>), against the public demo's rule: one
frame in 20 of the whole video, at 30 fps.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.media.frames import SourceInfo, TimedFrame, window_times
from earshot.schemas.base import Interval
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.tasks.track_objects.association import Detections
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.pieces import key_frames
from earshot.tasks.track_objects.protocol import Clip, Target
from earshot.tasks.track_objects.stage import sample_times, windows

FPS, SECONDS = 5, 600
MAX_MS = 0.5
DEMO_FPS, DEMO_STEP = 30, 20
MIN_RATIO = 5.0
TIMES = re.compile(r"between ([\d.]+) and ([\d.]+)|<when>\[([\d.]+), ([\d.]+)\]")
PICTURE = np.zeros((4, 4, 3), np.uint8)

Floats = npt.NDArray[np.float64]


def paths(count: int) -> Floats:
    """Return boxes (frames, count, 4) of things that sway, each in its own column."""
    at = np.arange(SECONDS * FPS)[:, None]
    wide = 0.8 / count
    left = np.arange(count)[None] / count + 0.1 * wide * np.sin(at / 15)
    top = 0.4 + 0.1 * np.cos(at / 20) + 0 * left
    return np.stack([left, top, left + wide, top + 0.2], axis=-1)


class StubPropagator:
    """Moves each track to where the thing is that its first prompt lay on."""

    def __init__(self, boxes: Floats) -> None:
        self._boxes = boxes
        self._things: dict[int, int] = {}

    def prompt(self, frame: int, tracks: Sequence[int], boxes: Floats) -> tuple[Floats, Floats]:
        """Begin tracks."""
        for track, box in zip(tracks, boxes, strict=True):
            self._things[track] = int(np.abs(self._boxes[frame, :, 0] - box[0]).argmin())
        return self.step(frame, tracks, False)

    def step(self, frame: int, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        """Move tracks on."""
        rows = [self._things[track] for track in tracks]
        return self._boxes[frame][rows], np.full(len(rows), 0.9)

    def drop(self, tracks: Sequence[int]) -> None:
        """Forget tracks."""

    def release(self, before: int) -> None:
        """Hold nothing."""


class StubDetector:
    """Finds every thing where it is; key frames are asked for in order."""

    long_side_px = 4

    def __init__(self, found: Iterator[Floats]) -> None:
        self._found = found

    def detect(self, frames: Sequence[Any], sought: Sequence[Sequence[Any]]) -> list[Detections]:
        """Return the boxes of the next frames."""
        boxes = [next(self._found) for _ in frames]
        return [Detections(each, np.full((len(each), 1), 0.9)) for each in boxes]


class StubSource:
    """Pictures at once."""

    def frames(self, times_s: Sequence[float]) -> Iterator[TimedFrame]:
        """Yield one picture again and again."""
        return ((time_s, PICTURE) for time_s in times_s)


class StubbedTracker(GroundedSam2Tracker):
    """The tracker with models that answer at once."""

    def __init__(self, boxes: Floats) -> None:
        super().__init__(TrackConfig(backend="grounded_sam2"))
        keys = key_frames(len(boxes), FPS, self._config.key_every_s)
        detector = StubDetector(boxes[at] for at in keys)
        self._models: Any = SimpleNamespace(
            detector=detector, segmenter=SimpleNamespace(image_size=4)
        )
        self._boxes = boxes

    def _propagator(self, frames: Any) -> Any:
        return StubPropagator(self._boxes)


def overhead_ms(count: int) -> float:
    """Return CPU milliseconds a frame for ten minutes with so many objects, best of three."""
    boxes = paths(count)
    window = (0.0, float(SECONDS))
    target = Target("dog", "dog", "the dog", None, False, ())
    source: Any = StubSource()
    info = SourceInfo(SECONDS, 30, 1280, 720)
    times_s = window_times(*window, FPS)
    clip = Clip("v", info, window, window, times_s, (target,), lambda _: source, None)
    took = []
    for _ in range(3):
        begin = process_time()
        (result,) = StubbedTracker(boxes).track([clip])
        took.append(process_time() - begin)
        assert len(result.found) == count, (len(result.found), count)
    return 1000 * min(took) / len(times_s)


def detector_frames(data: Path) -> tuple[int, int, int]:
    """Return videos, and frames of the detector by our schedule and by the demo's rule."""
    released = json.loads((data / "annotations" / "ravst_test_qa.json").read_text())
    config = TrackConfig()
    ours = demo = 0
    for row in released:
        spans = [_span(json.dumps(each)) for each in row["annotation"]]
        events = [_event(row["video_name"], at, span) for at, span in enumerate(spans)]
        for window in windows(events):
            times_s = sample_times(window.start_s, window.end_s, config.fps)
            ours += len(key_frames(len(times_s), config.fps, config.key_every_s))
        demo += math.ceil(round(row["duration"] * DEMO_FPS) / DEMO_STEP)
    return len(released), ours, demo


def _span(text: str) -> tuple[float, float]:
    """Return the hull of the times that an event's questions and answers name."""
    times_s = [float(each) for pair in TIMES.findall(text) for each in pair if each]
    return min(times_s), max(times_s)


def _event(video_id: str, number: int, span: tuple[float, float]) -> Event:
    return Event(
        event_id=f"{video_id}/e-{number:08x}",
        video_id=video_id,
        label=None,
        description="an event",
        segments=(Interval(start_s=span[0], end_s=span[1]),),
        time_source="given",
        caption_ids=(),
    )


def main() -> int:
    """Print the tables and write them; 1 if a limit is missed."""
    lines = ["| objects | ms a frame beside the models | limit |", "|---|---|---|"]
    worst = 0.0
    for count in (1, 4, 16):
        found = overhead_ms(count)
        worst = max(worst, found)
        lines.append(f"| {count} | {found:.3f} | {MAX_MS} |")
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("EARSHOT_SHARED_DATA", usual))
    ratio = MIN_RATIO
    if data.is_dir():
        videos, ours, demo = detector_frames(data)
        ratio = demo / ours
        lines += [
            "",
            "| videos | detector frames, ours | the demo's rule | ratio | at least |",
            "|---|---|---|---|---|",
            f"| {videos} | {ours:,} | {demo:,} | {ratio:.1f} | {MIN_RATIO:g} |",
        ]
    else:
        print(f"no shared data at {data}: detector frames were not counted")
    text = "\n".join(lines)
    print(text)
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "tracking_loop.md").write_text(text + "\n")
    return int(worst > MAX_MS or ratio < MIN_RATIO)


if __name__ == "__main__":
    sys.exit(main())
