"""Frame sources: which frame is shown when."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import MediaError
from earshot.media.child import Worker
from earshot.media.frames import (
    ChildSource,
    Frame,
    LocalSource,
    SourceInfo,
    scaled_size,
    window_times,
)
from earshot.media.probe import probe

Maker = Callable[..., Path]
INFO = SourceInfo(duration_s=2.0, fps=10.0, width=64, height=48)


def index_of(frame: Frame) -> int:
    """The index that `make_video` painted into a frame."""
    return round(float(frame[:, 4:24].mean()) / 8)


def shown(path: Path, times_s: Sequence[float]) -> list[int]:
    """The indices of the frames shown at times."""
    return [index_of(frame) for _, frame in LocalSource(path, INFO).frames(times_s)]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_last_frame_at_or_before_the_time(make_video: Maker, name: str) -> None:
    """The frame shown is the last that began, also a millisecond early."""
    path = make_video(name)
    assert shown(path, [0.0, 0.05, 0.0995, 0.1, 0.55, 1.85]) == [0, 0, 1, 1, 5, 18]


def test_outside_the_video_the_nearest_frame_is_shown(make_video: Maker) -> None:
    """Before the first frame it is the first, behind the last it is the last."""
    assert shown(make_video(times_s=[0.5 + i / 10 for i in range(5)]), [0.0]) == [0]
    assert shown(make_video(), [1.95, 7.0]) == [19, 19]


def test_variable_rate_is_sampled_by_time(make_video: Maker) -> None:
    """Times decide, not index over rate."""
    path = make_video(times_s=[0.0, 0.1, 1.0, 1.1, 1.9])
    assert shown(path, [0.5, 1.05, 1.5, 1.9]) == [1, 2, 3, 4]


def test_same_frame_for_equal_times(make_video: Maker) -> None:
    """A time may stand twice."""
    assert shown(make_video(), [0.3, 0.3, 0.31]) == [3, 3, 3]


def test_seeking_changes_nothing(make_video: Maker) -> None:
    """A window in the middle shows what reading from the start shows, bit for bit."""
    path = make_video(times_s=[i / 10 for i in range(30)], gop=7)
    source = LocalSource(path, INFO)
    times = window_times(0.0, 2.9, 10)
    whole = dict(source.frames(times))
    for start in range(0, 29, 3):
        for time_s, frame in itertools.islice(source.frames(times[start:]), 2):
            assert np.array_equal(frame, whole[time_s])


def test_window_is_anchored_at_its_start(make_video: Maker) -> None:
    """A window samples start, start + 1/fps, ... below the end."""
    source = LocalSource(make_video(), INFO)
    assert [time_s for time_s, _ in source.window(0.3, 1.1, 5)] == [0.3, 0.5, 0.7, 0.9]


@given(
    st.integers(0, 600).map(lambda tenths: tenths / 10),
    st.integers(0, 300).map(lambda tenths: tenths / 10),
    st.integers(1, 30),
)
@settings(max_examples=200, deadline=None)
def test_window_times_hit_whole_seconds(start_s: float, length_s: float, fps: int) -> None:
    """Every start + n seconds below the end is among the times, and none is at or past the end."""
    times = window_times(start_s, start_s + length_s, fps)
    assert times[0] == start_s
    assert all(time_s < start_s + length_s for time_s in times[1:])
    for second in range(int(length_s - 1e-6) + 1 if length_s else 0):
        assert any(abs(time_s - start_s - second) < 1e-5 for time_s in times)


@pytest.mark.parametrize("times_s", [[1.0, 0.5], [float("nan")], [float("inf")]])
def test_bad_times_are_refused(make_video: Maker, times_s: list[float]) -> None:
    """Times that are not finite and ascending are a caller's mistake."""
    with pytest.raises(ValueError, match="ascending"):
        LocalSource(make_video(), INFO).frames(times_s)


@pytest.mark.parametrize("window", [(2.0, 1.0, 5.0), (0.0, float("nan"), 5.0), (0.0, 1.0, 0.0)])
def test_bad_windows_are_refused(window: tuple[float, float, float]) -> None:
    """A reversed window, one that is not finite, and a rate of zero are refused."""
    with pytest.raises(ValueError, match="expected finite"):
        window_times(*window)


def test_scaled_frames(make_video: Maker) -> None:
    """The longer side is scaled down to the asked size, the shape kept."""
    source = LocalSource(make_video(), INFO, long_side_px=32)
    ((_, frame),) = source.frames([0.5])
    assert (frame.shape, frame.dtype) == ((24, 32, 3), np.uint8)
    assert round(float(frame[:, 2:14].mean()) / 8) == 5
    assert scaled_size(30, 20, 100) == (30, 20)
    assert scaled_size(20, 3000, 100) == (1, 100)


def test_rotation_is_applied(shared_data: Path) -> None:
    """A video with a rotation of -90 degrees comes upright: turned clockwise."""
    path = shared_data / "videos" / "edge" / "video_90.mov"
    ((_, frame),) = LocalSource(path, SourceInfo(0.1, 30, 320, 568)).frames([0.0])
    assert frame.shape == (568, 320, 3)


def test_child_source_shows_the_same(make_video: Maker) -> None:
    """Decoding in a child gives the same frames, and a fault keeps its code."""
    path = make_video()
    with Worker(30) as worker:
        ours = list(LocalSource(path, INFO).window(0.2, 1.5, 5))
        theirs = list(ChildSource(worker, path, INFO).window(0.2, 1.5, 5))
        assert [time_s for time_s, _ in ours] == [time_s for time_s, _ in theirs]
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))
        with pytest.raises(MediaError) as caught:
            list(ChildSource(worker, path.with_name("gone.mp4"), INFO).frames([0.0]))
        assert caught.value.code == "not_found"


def test_damaged_file_is_a_media_error(shared_data: Path) -> None:
    """A window beyond the damage raises, it does not show what is left."""
    path = shared_data / "videos" / "edge" / "corrupted.mp4"
    with pytest.raises(MediaError) as caught:
        list(LocalSource(path, SourceInfo(5, 10, 1280, 720)).window(0.0, 5.0, 5))
    assert caught.value.code == "decode_error"


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.mp4", "libx264", {"x264-params": "open-gop=1:bframes=3:b-pyramid=normal"}),
        ("clip.mkv", "libx264", {"x264-params": "open-gop=1:bframes=3"}),
        ("clip.ts", "libx264", {"x264-params": "bframes=3"}),
        ("clip.avi", "mpeg4", {}),
        ("clip.mp4", "libx265", {"x265-params": "log-level=none:open-gop=1:bframes=4"}),
        ("clip.webm", "libvpx-vp9", {"lag-in-frames": "10"}),
        ("clip.mkv", "libsvtav1", {}),
        ("clip.h264", "libx264", {}),
    ],
)
def test_every_window_shows_what_reading_from_the_start_shows(
    make_video: Maker, name: str, codec: str, options: dict[str, str]
) -> None:
    """Open groups, reordered frames and containers without an index seek to the right frame."""
    path = make_video(
        name, times_s=[i / 10 for i in range(40)], gop=8, codec=codec, options=options
    )
    source = LocalSource(path, INFO)
    times = tuple(round(0.05 + i / 10, 3) for i in range(39))
    whole = dict(source.frames(times))
    assert len({frame.tobytes() for frame in whole.values()}) > 12
    for start in range(0, 39, 3):
        (time_s, frame), *_ = itertools.islice(source.frames(times[start:]), 1)
        assert np.array_equal(frame, whole[time_s]), time_s


def test_a_transport_stream_is_read_from_its_start_behind_its_sound(make_video: Maker) -> None:
    """Where sound comes first and one key frame stands alone, a seek to the start finds none."""
    path = make_video(
        "sound.ts",
        times_s=[i / 10 for i in range(40)],
        gop=250,
        options={"x264-params": "bframes=3"},
        tone=[0.5] * 40,
    )
    source = LocalSource(path, INFO)
    times = tuple(round(0.05 + i / 10, 3) for i in range(39))
    whole = dict(source.frames(times))
    assert len({frame.tobytes() for frame in whole.values()}) > 12
    for start in (0, 5, 30):
        (time_s, frame), *_ = itertools.islice(source.frames(times[start:]), 1)
        assert np.array_equal(frame, whole[time_s]), time_s


@pytest.mark.parametrize("name", ["cut.mkv", "cut.mp4"])
def test_cut_file_does_not_show_its_last_frame_for_ever(make_video: Maker, name: str) -> None:
    """A time behind the cut is a fault; before it, the frames come."""
    path = make_video(
        name, times_s=[i / 10 for i in range(60)], size=(128, 96), noise=True, movflags=FRONT[name]
    )
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    source = LocalSource(path, SourceInfo(6.0, 10, 128, 96))
    assert len(list(itertools.islice(source.frames([0.0, 0.5]), 2))) == 2
    with pytest.raises(MediaError) as caught:
        list(source.frames([0.0, 5.5]))
    assert caught.value.code in ("truncated", "decode_error")


FRONT = {"cut.mkv": None, "cut.mp4": "faststart"}


def test_frames_have_the_asked_size_throughout(make_video: Maker) -> None:
    """Frames have the shape of `info`, whatever the stream's own size is there."""
    source = LocalSource(make_video(), SourceInfo(2.0, 10, 32, 40))
    assert {frame.shape for _, frame in source.frames([0.0, 1.0])} == {(40, 32, 3)}


def test_frames_are_the_callers_own(make_video: Maker) -> None:
    """Frames of a child stay as they are when later ones come."""
    path = make_video(times_s=[i / 10 for i in range(30)])
    times = window_times(0.0, 2.9, 10)
    with Worker(30) as worker:
        theirs = list(ChildSource(worker, path, INFO).frames(times))
    assert [index_of(frame) for _, frame in theirs] == list(range(29))


def test_child_source_left_early_keeps_its_child(make_video: Maker) -> None:
    """A window that is not read to its end costs nothing, and the next one is right."""
    path = make_video(times_s=[i / 10 for i in range(40)])
    with Worker(30) as worker:
        pid = worker.call(os.getpid)
        source = ChildSource(worker, path, INFO)
        for start in range(5):
            frames = source.frames(window_times(start / 10, 3.0, 10))
            assert index_of(next(frames)[1]) == start
            frames.close()  # type: ignore[attr-defined]
        assert worker.call(os.getpid) == pid


def test_origin_is_the_containers(shared_data: Path) -> None:
    """A picture that begins behind its sound keeps its place: time zero is the container's."""
    path = shared_data / "videos" / "vidor_8665030691.mp4"
    info = SourceInfo(27.7, 29.97, 640, 362)
    shown = dict(LocalSource(path, info).frames([0.0, 0.033, 0.0334, 0.0650, 0.0668]))
    assert np.array_equal(shown[0.033], shown[0.0650])
    assert not np.array_equal(shown[0.0650], shown[0.0668])


EDGE = ("av1_video.mkv", "h264_10bits.mp4", "h265_video.mp4", "imageio_realshort.mp4")
EDGE += ("unordered.mov", "video_90.mov")


def decoded(path: Path, start_s: float, end_s: float) -> list[tuple[float, Frame]]:
    """Times and upright frames of a stretch by plain decoding, from the container's start."""
    with av.open(str(path)) as container:
        stream = max(container.streams.video, key=lambda s: s.width * s.height)
        origin = Fraction(container.start_time or 0, av.time_base)
        found = []
        for frame in container.decode(stream):
            time_s = float(frame.pts * frame.time_base - origin)
            if start_s <= time_s <= end_s:
                picture = frame.to_ndarray(format="rgb24")
                found.append((time_s, np.rot90(picture, frame.rotation // 90)))
        return found


def test_real_files_show_the_right_frames(shared_data: Path) -> None:
    """All twelve clips and the six odd files that are whole: frame, time and size are those of
    plain decoding, at the beginning and in the middle."""
    videos = shared_data / "videos"
    paths = sorted(videos.glob("*.mp4")) + [videos / "edge" / name for name in EDGE]
    assert len(paths) == 18
    for path in paths:
        found = probe(path, -60.0)
        info = SourceInfo(found.duration_s, found.fps, found.width, found.height)
        for start_s in (0.0, 0.4 * found.duration_s):
            plain = decoded(path, start_s - 1.5, start_s + 1.5)
            begins_s = [time_s for time_s, _ in plain]
            for time_s, frame in LocalSource(path, info).window(start_s, start_s + 1.2, 3):
                at = bisect.bisect_right(begins_s, time_s + 0.001) - 1
                _, expected = plain[max(at, 0)]
                assert frame.shape == expected.shape == (found.height, found.width, 3)
                assert float(np.abs(frame.astype(int) - expected).mean()) < 1, (path.name, time_s)
