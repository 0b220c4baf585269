"""Measures tracking on a GPU, end to end with decoding, beside a loop as the public demo's.

`python -m benchmarks.gpu_tracking` on a machine with a GPU writes benchmarks/results/
gpu_tracking.md; `--tiny --device cpu` tries the same with tiny models, whose figures mean nothing.
Models have their real size and random weights, for timing needs no training: boxes of detector and
masks are computed and then replaced by boxes of things that stand still, so that as many objects
are followed as asked.

The demo's loop is written from its description (Grounded-SAM-2, continuous id): JPEG files of all
frames at the video's rate, all of them in memory as float32, every 20 frames one detection with its
text encoded anew, a new session, and each object through the memory attention by itself. It holds
all frames, so it gets a short clip; both are compared in seconds of video a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from benchmarks.random_models import save_models
from earshot.media.child import Worker
from earshot.media.frames import ChildSource, LocalSource, SourceInfo, window_times
from earshot.media.sample.encode import write_mp4
from earshot.schemas.config import TrackConfig
from earshot.tasks.track_objects.association import Detections
from earshot.tasks.track_objects.grounded_sam2.propagator import (
    MEAN,
    STD,
    Sam2Propagator,
    boxes_of,
)
from earshot.tasks.track_objects.grounded_sam2.texts import Sought
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.protocol import Clip, Target

Floats = npt.NDArray[np.float64]

OBJECTS = (1, 4, 16)
DEMO_STEP = 20
AIM_RATIO, AIM_FPS = 20.0, 90.0


def places(count: int) -> Floats:
    """Return boxes (count, 4) side by side."""
    left = np.arange(count) / count
    return np.stack([left, 0 * left + 0.3, left + 0.8 / count, 0 * left + 0.7], axis=1)


class ForcedPropagator(Sam2Propagator):
    """Computes all that the real one does, and says that each thing is where it was prompted."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._at: dict[int, Floats] = {}

    def prompt(self, frame: int, tracks: Sequence[int], boxes: Floats) -> tuple[Floats, Floats]:
        """Begin tracks."""
        super().prompt(frame, tracks, boxes)
        self._at.update(zip(tracks, boxes, strict=True))
        return boxes, np.full(len(boxes), 0.9)

    def step(self, frame: int, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        """Move tracks on."""
        super().step(frame, tracks, backward)
        return np.stack([self._at[track] for track in tracks]), np.full(len(tracks), 0.9)


class ForcedTracker(GroundedSam2Tracker):
    """The tracker that finds and follows so many things, whatever its weights."""

    count = 1

    def open(self) -> None:
        """Load the models, and have the detector say what is asked for once it has run."""
        super().open()
        detector: Any = self.loaded_detector()
        detect = type(detector).detect

        def forced(frames: Any, sought: Any) -> list[Detections]:
            detect(detector, frames, sought)
            return [Detections(places(self.count), np.full((self.count, 1), 0.9)) for _ in frames]

        detector.detect = forced

    def loaded_detector(self) -> Any:
        """The detector."""
        assert self._models is not None
        return self._models.detector

    def _propagator(self, frames: Any) -> Sam2Propagator:
        assert self._models is not None
        return ForcedPropagator(self._models.segmenter, frames, self._models.batches)


class Busy:
    """The mean share of time in which the GPU was busy, as nvidia-smi samples it; a context."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        if torch.cuda.is_available():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._is_over.set()

    def __str__(self) -> str:
        """The share in percent."""
        return f"{np.mean(self.samples):.0f} %" if self.samples else "-"

    def _watch(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._is_over.is_set():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self.samples.append(float(done.stdout.split()[0]))
            sleep(0.5)


def write_clip(file: Path, seconds: int, size: tuple[int, int], fps: int) -> SourceInfo:
    """Write a video of a texture that moves."""
    texture = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(texture).resize((size[0] // 8, size[1] // 8)).resize(size))
    frames = (np.roll(scene, 2 * at, 1) for at in range(seconds * fps))
    write_mp4(file, frames, Fraction(fps), size, None)
    return SourceInfo(seconds, fps, *size)


def track_ours(
    tracker: ForcedTracker, file: Path, info: SourceInfo, seconds: int, count: int
) -> float:
    """Return the seconds that tracking takes from the file to boxes."""
    tracker.count = count
    target = Target("dog", "dog", "the dog", None, False, ())
    window = (0.0, float(seconds))
    times_s = window_times(*window, TrackConfig().fps)
    with Worker(60.0) as worker:
        clip = Clip(
            "v", info, window, window, times_s, (target,),
            lambda side: ChildSource(worker, file, info, side), None,
        )  # fmt: skip
        begin = perf_counter()
        (result,) = tracker.track([clip])
        took = perf_counter() - begin
    assert len(result.found) == count, (len(result.found), count)
    return took


def track_demo(
    tracker: ForcedTracker, plain: Sam2VideoModel, file: Path, info: SourceInfo, count: int
) -> float:
    """Return the seconds that the demo's loop takes for a whole file."""
    tracker.count = count
    detector = tracker.loaded_detector()
    begin = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        times_s = window_times(0, info.duration_s, info.fps)
        files = []
        for at, (_, frame) in enumerate(LocalSource(file, info).frames(times_s)):
            files.append(Path(folder) / f"{at:05d}.jpg")
            Image.fromarray(frame).save(files[-1], quality=95)
        video = torch.stack([_as_demo(each, plain.image_size) for each in files])
        for first in range(0, len(files), DEMO_STEP):
            frame = np.asarray(Image.open(files[first]))
            if hasattr(detector, "_model"):
                detector._model.model.text_backbone._known.clear()
            (found,) = detector.detect([frame], [[Sought("dog", "the dog")]])
            for _ in _propagated(plain, video[first : first + DEMO_STEP], found.boxes):
                pass
    return perf_counter() - begin


def _as_demo(file: Path, size: int) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255
    pixels = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)[0]
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@torch.inference_mode()
def _propagated(plain: Sam2VideoModel, video: torch.Tensor, boxes: Floats) -> Iterator[Floats]:
    """Yield the boxes of each frame of a stretch; a session of its own, object by object."""
    session = Sam2VideoInferenceSession(
        video=video.to(plain.device, plain.dtype),
        dtype=plain.dtype,
        inference_device=plain.device,
        inference_state_device=plain.device,
        video_storage_device=plain.device,
    )
    labels = torch.tensor([[[2, 3]]], dtype=torch.int32, device=plain.device)
    for track, box in enumerate(boxes):
        place = session.obj_id_to_idx(track)
        corners = torch.tensor(box, device=plain.device, dtype=plain.dtype).reshape(1, 1, 2, 2)
        points = {"point_coords": corners * plain.image_size, "point_labels": labels}
        session.add_point_inputs(place, 0, points)
    session.obj_with_new_inputs = list(range(len(boxes)))
    for frame in range(len(video)):
        out = plain(session, frame_idx=frame)
        yield boxes_of(out.pred_masks[:, 0].float()).cpu().numpy().astype(np.float64)


def peak_gib(device: str) -> float:
    """Return the most GPU memory held since it was last asked."""
    if device == "cpu":
        return float("nan")
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return peak


def main() -> int:
    """Print the tables and write them; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny models and clips: to try it out")
    parser.add_argument("--compile", action="store_true", help="compile SAM 2")
    parser.add_argument("--seconds", type=int, default=600, help="length of the long clip")
    asked = parser.parse_args()
    seconds, short, size = (4, 2, (320, 180)) if asked.tiny else (asked.seconds, 20, (1280, 720))
    counts = OBJECTS[:2] if asked.tiny else OBJECTS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        detector, segmenter = save_models(root / "models", is_tiny=asked.tiny)
        config = TrackConfig(
            backend="grounded_sam2", device=asked.device, compile=asked.compile,
            detector=str(detector), segmenter=str(segmenter),
        )  # fmt: skip
        tracker = ForcedTracker(config)
        tracker.open()
        models = tracker.loaded()
        plain = Sam2VideoModel.from_pretrained(segmenter, dtype=models.segmenter.dtype)
        plain = plain.to(asked.device).eval()
        long = write_clip(root / "long.mp4", seconds, size, 30)
        brief = write_clip(root / "short.mp4", short, size, 30)
        track_ours(tracker, root / "short.mp4", brief, short, counts[0])
        lines = _table(tracker, plain, root, (long, brief), counts)
    device = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    kind = "tiny models: figures mean nothing" if asked.tiny else "Grounding DINO-B, SAM 2.1-L"
    compiled = "compiled" if asked.compile else "not compiled"
    text = "\n".join([f"{device}; {kind}; random weights; {compiled}.", "", *lines])
    print(text)
    if not asked.tiny:
        (Path(__file__).parent / "results" / "gpu_tracking.md").write_text(text + "\n")
    return 0


def _table(
    tracker: ForcedTracker,
    plain: Sam2VideoModel,
    root: Path,
    infos: tuple[SourceInfo, SourceInfo],
    counts: Sequence[int],
) -> list[str]:
    """Return the lines of both tables: speed by objects, and memory by length."""
    long, brief = infos
    device = str(tracker.loaded().segmenter.device.type)
    frames_a_second = TrackConfig().fps
    lines = [
        "| objects | frames/s, ours (5 a second of video) | GPU busy | frames/s, demo's loop (30) "
        f"| video seconds a second, ours / demo | ratio (aim {AIM_RATIO:g}) |",
        "|---|---|---|---|---|---|",
    ]
    peaks = {}
    for count in counts:
        peak_gib(device)
        with Busy() as busy:
            took = track_ours(tracker, root / "long.mp4", long, int(long.duration_s), count)
        peaks[count] = peak_gib(device)
        ours = long.duration_s / took
        demo = brief.duration_s / track_demo(tracker, plain, root / "short.mp4", brief, count)
        lines.append(
            f"| {count} | {ours * frames_a_second:.1f} | {busy} | {demo * brief.fps:.1f} "
            f"| {ours:.2f} / {demo:.3f} | {ours / demo:.1f} |"
        )
    peak_gib(device)
    track_ours(tracker, root / "short.mp4", brief, int(brief.duration_s), counts[0])
    lines += ["", "| clip | peak GPU memory, GiB |", "|---|---|"]
    lines.append(f"| {brief.duration_s:g} s, {counts[0]} object | {peak_gib(device):.2f} |")
    lines += [
        f"| {long.duration_s:g} s, {count} object(s) | {peak:.2f} |"
        for count, peak in peaks.items()
    ]
    lines += ["", f"Aim at one object: {AIM_FPS:g} frames/s of SAM 2.1-L."]
    return lines


if __name__ == "__main__":
    sys.exit(main())
