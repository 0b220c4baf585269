"""What this machine has for a tracker, and what is missing, each with a remedy in a line.

Takes the settings, gives a row for each thing that is needed: packages with versions, device and
memory, weights, calibration. Downloads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from earshot.errors import EarshotError
from earshot.schemas.config import TrackConfig
from earshot.tasks.track_objects.calibration import recorded
from earshot.tasks.track_objects.grounded_sam2 import weights
from earshot.tasks.track_objects.grounded_sam2.tracker import GroundedSam2Tracker
from earshot.tasks.track_objects.grounded_sam2_original import checkpoints
from earshot.tasks.track_objects.grounded_sam2_original.tracker import OriginalTracker

TRACKERS = {each.backend: each for each in (GroundedSam2Tracker, OriginalTracker)}
EXTRAS = {
    "grounded_sam2": ("vision", ("torch", "transformers")),
    "grounded_sam2_original": (
        "original",
        ("torch", "transformers", "torchvision", "sam2", "groundingdino-py"),
    ),
}
GIB = 2**30
# Of memory, beside twice the weights: features of a frame that is held, in bytes.
FRAME_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Check:
    """One thing that a tracker needs; `found` is empty where it is missing."""

    name: str
    is_needed: bool
    found: str
    remedy: str


def check(track: TrackConfig) -> list[Check]:
    """Return what the configured backend needs; for one without models, what it would take."""
    is_needed = track.backend in TRACKERS
    backend = track.backend if is_needed else "grounded_sam2"
    extra, packages = EXTRAS[backend]
    rows = [
        Check(name, is_needed, _version(name), f"pip install 'earshot[{extra}]'")
        for name in packages
    ]
    found, files = _weights(track, backend)
    rows += [Check(name, is_needed, there, remedy) for name, (there, remedy) in found.items()]
    if find_spec("torch") is not None:
        rows += _device(track, files, is_needed=is_needed)
    if is_needed and all(row.found for row in rows):
        rows.append(_calibration(track))
    return rows


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _weights(track: TrackConfig, backend: str) -> tuple[dict[str, tuple[str, str]], list[Path]]:
    """Return by setting where the weights lie or what to do, and the files themselves."""
    finders: dict[str, Callable[[], Path]] = {
        "track.detector": lambda: weights.folder_of(track.detector, "detector", offline=True),
        "track.segmenter": lambda: weights.folder_of(track.segmenter, "segmenter", offline=True),
    }
    if backend == "grounded_sam2_original":
        finders = {
            "track.detector": lambda: _detector(track).weights,
            "text encoder": lambda: checkpoints.text_encoder_of(_detector(track), offline=True),
            "track.segmenter": lambda: (
                checkpoints.segmenter_of(track.segmenter, offline=True).weights
            ),
        }
    found, files = {}, []
    for name, find in finders.items():
        try:
            place = find()
        except EarshotError as error:
            found[name] = ("", str(error))
            continue
        found[name] = (str(place), "")
        files += [place] if place.is_file() else sorted(place.glob("*.safetensors"))
    return found, files


def _detector(track: TrackConfig) -> checkpoints.Checkpoint:
    return checkpoints.detector_of(track.detector, offline=True)


def _device(track: TrackConfig, files: list[Path], *, is_needed: bool) -> list[Check]:
    """Return which device there is, and whether its memory will do."""
    import torch

    if track.device == "cuda" and not torch.cuda.is_available():
        remedy = 'install a torch built for your GPU, or set track.device = "cpu": slow'
        return [Check("GPU", is_needed, "", f"torch sees none; {remedy}")]
    if track.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        half = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
        name = f"{torch.cuda.get_device_name()}, {total / GIB:.0f} GiB, {half}"
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        name = f"cpu, {torch.get_num_threads()} threads"
    need = 2 * sum(file.stat().st_size for file in files) + track.piece_frames * FRAME_BYTES
    memory = f"{free / GIB:.1f} GiB free, about {need / GIB:.1f} needed"
    remedy = f"{memory}: end what else runs there, lower track.piece_frames, or choose a smaller "
    return [
        Check("GPU" if track.device == "cuda" else "device", is_needed, name, ""),
        Check("memory", is_needed, memory if free >= need else "", f"{remedy}track.segmenter"),
    ]


def _calibration(track: TrackConfig) -> Check:
    found = recorded(track, TRACKERS[track.backend](track).weights_digest)
    said = "" if found is None else str(found)
    return Check("calibration", False, said, "earshot doctor --calibrate: then plan says minutes")
