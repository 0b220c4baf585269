"""Fingerprints are alike for what shows the same, and only for that."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from earshot.media.fingerprint import shared_frames
from earshot.media.probe import probe
from earshot.media.sample_world import write_sample_world
from earshot.tasks.publish_release.near import near_duplicates


def _print(path: Path) -> str | None:
    return probe(path, -60).frame_fingerprint


def _encode(path: Path, frames: list[np.ndarray], fps: int, crf: int = 30) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Videos of the sample world."""
    out = tmp_path_factory.mktemp("world")
    write_sample_world(out, 4, 0)
    return sorted((out / "input").rglob("*.mp4"))


def test_a_smaller_copy_of_another_codec_rate_is_a_near_duplicate(world, tmp_path):
    """Half the size, half the frames, coarser: the same pictures; other videos are others."""
    with av.open(str(world[0])) as source:
        frames = [
            frame.reformat(width=frame.width // 4 * 2, height=frame.height // 4 * 2, format="rgb24")
            for frame in source.decode(video=0)
        ]
        fps = round(float(source.streams.video[0].average_rate))
    arrays = [frame.to_ndarray() for frame in frames[::2]]
    copy = _encode(tmp_path / "copy.mp4", arrays, max(1, fps // 2))
    prints = {path.stem: _print(path) for path in (*world, copy)}
    assert near_duplicates(prints) == (("copy", world[0].stem),)


def test_pictures_without_edges_have_no_fingerprint(tmp_path):
    """Black frames would be near duplicates of all other black frames."""
    black = [np.zeros((64, 64, 3), np.uint8)] * 24
    assert _print(_encode(tmp_path / "black.mp4", black, 12)) is None


def test_the_same_file_has_the_same_fingerprint(world):
    """It is part of the video's row and of its digest."""
    assert _print(world[0]) == _print(world[0])
    assert len((_print(world[0]) or "").split()) == 16


def test_the_share_of_frames_that_two_videos_have_in_common() -> None:
    """Of the one with fewer; nothing is said where too few can be told apart."""
    one = " ".join(f"{at << 64:064x}" for at in (1, 2, 4, 8))
    far = " ".join(f"{(1 << 200) - 1 << at:064x}" for at in (0, 10, 20, 40))
    assert shared_frames(one, one) == 1.0
    assert shared_frames(one, far) == 0.0
    assert shared_frames(f"{one} {far}", far) == 1.0
    assert shared_frames(one, "") is None
