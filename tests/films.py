"""Real films whose facts a release's videos take over, so that it is about files that are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from earshot.media.encode import write_mp4
from earshot.media.probe import probe
from earshot.schemas.video import Video

_TURNED = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()


def write_film(path: Path, frames: Iterable[np.ndarray], fps: object, size: tuple[int, int],
               seconds: float, rate: int = 16_000) -> Path:  # fmt: skip
    """Write frames with a tone under them."""
    wave = 0.1 * np.sin(np.arange(round(rate * seconds)) / 12).astype(np.float32)[None]
    write_mp4(path, frames, fps, size, (wave, rate))
    return path


def about_films(videos: Iterable[Video], folder: Path, *, fingerprint: bool = False) -> list[Video]:
    """The same records with what the files in a folder, named by video, are really like."""
    found = []
    for record in videos:
        path = folder / f"{record.video_id}.mp4"
        seen = probe(path, -60)
        names = ["duration_s", "n_frames", "fps", "width", "height"]
        facts = {name: getattr(seen, name) for name in names + ["frame_fingerprint"] * fingerprint}
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        facts |= {"uri": f"somewhere/{path.name}", "sha256": sha256}
        found.append(record.model_copy(update=facts))
    return found


def turn(path: Path) -> None:
    """Say in a film's header that it is shown turned by a quarter; its pictures stay as stored."""
    whole = bytearray(path.read_bytes())
    # Behind the name of a track's header: 40 bytes, then the matrix; the picture is the first.
    at = whole.index(b"tkhd") + 44
    whole[at : at + 36] = _TURNED
    path.write_bytes(whole)
