"""Frames by decord are those of PyAV."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earshot.errors import MediaError
from earshot.media.child import Worker
from earshot.media.decord_source import read_frames_decord
from earshot.media.frames import ChildSource, FrameSource, LocalSource, SourceInfo, window_times
from earshot.media.probe import probe

pytest.importorskip("decord", reason="decord has wheels for Linux on x86-64 only")

Maker = Callable[..., Path]
INFO = SourceInfo(duration_s=2.0, fps=10.0, width=64, height=48)


def info_of(path: Path) -> SourceInfo:
    """What the probe finds."""
    found = probe(path, -60.0)
    return SourceInfo(found.duration_s, found.fps, found.width, found.height)


def same(path: Path, times_s: list[float], info: SourceInfo) -> None:
    """Hold that both libraries show the same at times."""
    ours: FrameSource = LocalSource(path, info)
    theirs: FrameSource = LocalSource(path, info, read=read_frames_decord)
    for (a_s, a), (b_s, b) in zip(ours.frames(times_s), theirs.frames(times_s), strict=True):
        assert a_s == b_s
        # Libraries of several years convert colours a little differently.
        assert float(np.abs(a.astype(int) - b).mean()) < 4, a_s


def code_of(path: Path) -> str:
    """The code of the fault that reading raises."""
    with pytest.raises(MediaError) as caught:
        list(LocalSource(path, INFO, read=read_frames_decord).frames([0.0, 1.9]))
    return caught.value.code


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"times_s": [0.0, 0.1, 1.0, 1.1, 1.9]},
        {"matrix": (0, 1, -1, 0), "size": (96, 64)},
        {"matrix": (-1, 0, 0, -1)},
        {"tone": [0.5] * 30, "times_s": [0.5 + i / 10 for i in range(15)]},
    ],
    ids=["plain", "variable rate", "turned", "upside down", "late picture"],
)
@pytest.mark.parametrize("name", ["clip.mov", "clip.mkv"])
def test_same_frames_as_pyav(make_video: Maker, name: str, options: dict[str, Any]) -> None:
    """Times count from the container's start, frames are upright, rates may vary."""
    options = options if name == "clip.mov" else {**options, "matrix": None}
    path = make_video(name, **options)
    same(path, [0.0, 0.3, 0.55, 0.61, 1.05, 1.85, 5.0], info_of(path))


def test_real_clips(shared_data: Path) -> None:
    """All clips whose codecs decord knows show the same frames."""
    for entry in json.loads((shared_data / "videos" / "manifest.json").read_text()):
        path = shared_data / entry["file"]
        size = (480, 270) if path.name == "nasa_13013.mp4" else (entry["width"], entry["height"])
        info = SourceInfo(entry["duration_s"], entry["fps"], *size)
        same(path, list(window_times(1.0, 2.0, 2)), info)


def test_decord_in_a_child(make_video: Maker) -> None:
    """The killable child decodes by decord too."""
    path = make_video()
    with Worker(30) as worker:
        source = ChildSource(worker, path, INFO, read=read_frames_decord)
        assert [time_s for time_s, _ in source.window(0.0, 1.0, 5)] == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_what_decord_can_not_read_has_a_reason(make_video: Maker, tmp_path: Path) -> None:
    """AV1, pictures it would spoil, text and missing files are refused, with what to do."""
    refused = {
        make_video("av1.mkv", codec="libsvtav1"): r"AV1.*use PyAV",
        make_video("t.mov", matrix=(0, 1, -1, 0)): "skews",
        make_video("m.mov", matrix=(-1, 0, 0, 1)): "mirror",
    }
    for path, reason in refused.items():
        with pytest.raises(MediaError, match=reason):
            list(LocalSource(path, INFO, read=read_frames_decord).frames([0.0]))
    (tmp_path / "text.mp4").write_text("no video")
    assert code_of(tmp_path / "text.mp4") == "unreadable"
    assert code_of(tmp_path / "gone.mp4") == "not_found"
    assert code_of(make_video("song.mp4", tone=[0.5] * 5, audio_only=True)) == "no_video_stream"


@pytest.mark.parametrize(("name", "movflags"), [("cut.mkv", None), ("cut.mp4", "faststart")])
def test_cut_file_is_no_short_clip(make_video: Maker, name: str, movflags: str | None) -> None:
    """decord plays what is left of a cut file without a word; the container's end tells."""
    path = make_video(name, times_s=[i / 10 for i in range(60)], movflags=movflags)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    assert code_of(path) in ("truncated", "unreadable", "decode_error")
