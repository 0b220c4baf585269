"""Opening and measuring videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from earshot.errors import MediaError
from earshot.media.child import Worker
from earshot.media.probe import probe

Maker = Callable[..., Path]
QUIET = -60.0


def code_of(path: Path) -> str:
    """The code of the fault that probing raises."""
    with pytest.raises(MediaError) as caught:
        probe(path, QUIET)
    return caught.value.code


def test_measures_a_plain_video(make_video: Maker) -> None:
    """Length, rate, frames and size are those that were written."""
    found = probe(make_video(), QUIET)
    assert (found.n_frames, found.width, found.height) == (20, 64, 48)
    assert found.fps == pytest.approx(10)
    assert found.duration_s == pytest.approx(2, abs=0.11)
    assert (found.video_codec, found.audio_codec) == ("h264", None)
    assert (found.has_audio, found.is_silent, found.is_vfr) == (False, None, False)


def test_mean_rate_of_a_variable_rate_video(make_video: Maker) -> None:
    """Uneven frame times are flagged, and the rate is frames over time, not the header's."""
    times_s = [0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.5, 2.0]
    found = probe(make_video(times_s=times_s), QUIET)
    assert found.is_vfr
    assert found.fps == pytest.approx(7 / 2.0)


def test_matroska_rounding_is_no_variable_rate(make_video: Maker) -> None:
    """Times rounded to the container's milliseconds still make a constant rate."""
    found = probe(make_video("clip.mkv", times_s=[i / 30 for i in range(30)]), QUIET)
    assert not found.is_vfr


@pytest.mark.parametrize(("level", "is_silent"), [(0.0, True), (1e-4, True), (0.2, False)])
def test_silence_is_told_by_the_peak(make_video: Maker, level: float, is_silent: bool) -> None:
    """A track whose peak lies below the limit is silent; one without a track is not asked."""
    found = probe(make_video(tone=[level] * 20), QUIET)
    assert (found.audio_codec, found.is_silent) == ("aac", is_silent)


def test_one_origin_for_picture_and_sound(make_video: Maker) -> None:
    """Where the picture starts late, the length still counts from the container's start."""
    late = [1 + i / 10 for i in range(10)]
    found = probe(make_video("late.mkv", times_s=late, tone=[0.5] * 20), QUIET)
    assert found.duration_s == pytest.approx(2, abs=0.15)
    assert found.n_frames == 10


def test_sound_without_picture_is_told(make_video: Maker) -> None:
    """A file with sound alone has no video stream."""
    assert code_of(make_video("song.mp4", tone=[0.5] * 5, audio_only=True)) == "no_video_stream"


@pytest.mark.parametrize("content", [b"", b"this is no video\n" * 50, b"\0" * 5000])
def test_what_is_no_video_is_unreadable(tmp_path: Path, content: bytes) -> None:
    """Empty files, text and zeros are unreadable, whatever their name."""
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    assert code_of(path) == "unreadable"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    """A missing file is not found; a folder is no video."""
    assert code_of(tmp_path / "gone.mp4") == "not_found"
    assert code_of(tmp_path) == "unreadable"


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_cut_mkv_is_truncated(make_video: Maker, part: float) -> None:
    """A cut Matroska file is told by its end, though every decoder plays what is left."""
    path = make_video("cut.mkv", times_s=[i / 10 for i in range(100)])
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    assert code_of(path) == "truncated"


def test_cut_mp4_is_told(make_video: Maker) -> None:
    """An mp4 that is cut before its index, which stands last, can't be opened."""
    path = make_video("cut.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert code_of(path) == "unreadable"


def test_cut_mp4_with_its_index_in_front_is_truncated(make_video: Maker) -> None:
    """Where the index names more bytes than there are, the file is cut, not damaged."""
    path = make_video("front.mp4", movflags="faststart")
    path.write_bytes(path.read_bytes()[:-100])
    assert code_of(path) == "truncated"


def test_damaged_picture_is_a_decode_error(shared_data: Path) -> None:
    """A stream that fails to decode is a fault that counts the frames before it."""
    with pytest.raises(MediaError) as caught:
        probe(shared_data / "videos" / "edge" / "corrupted.mp4", QUIET)
    assert (caught.value.code, caught.value.value) == ("decode_error", "28")


def test_rotated_video_is_measured_upright(shared_data: Path) -> None:
    """Width and height are those of the turned picture."""
    found = probe(shared_data / "videos" / "edge" / "video_90.mov", QUIET)
    assert (found.width, found.height, found.rotation_deg) == (320, 568, -90)


@pytest.mark.parametrize(
    ("name", "codec", "n_frames"),
    [
        ("av1_video.mkv", "av1", 125),
        ("h265_video.mp4", "hevc", 10),
        ("h264_10bits.mp4", "h264", 30),
        ("unordered.mov", "h264", 4),
        ("imageio_realshort.mp4", "h264", 36),
    ],
)
def test_unusual_files(shared_data: Path, name: str, codec: str, n_frames: int) -> None:
    """Codecs and layouts that some readers refuse are measured."""
    found = probe(shared_data / "videos" / "edge" / name, QUIET)
    assert (found.video_codec, found.n_frames) == (codec, n_frames)


def test_real_clips_are_measured_as_published(shared_data: Path) -> None:
    """All twelve clips agree with ffprobe's figures; of two pictures the larger one counts."""
    entries = json.loads((shared_data / "videos" / "manifest.json").read_text())
    with Worker(60) as worker:
        for entry in entries:
            path = shared_data / entry["file"]
            found = worker.call(probe, path, QUIET)
            if path.name == "nasa_13013.mp4":
                # The figures there are of the first, smaller stream.
                assert (found.width, found.height, found.n_frames) == (480, 270, 390)
                continue
            assert (found.width, found.height) == (entry["width"], entry["height"]), path.name
            assert (found.n_frames, found.video_codec) == (entry["frames"], entry["codec"])
            assert found.fps == pytest.approx(entry["fps"], rel=1e-3)
            assert found.duration_s == pytest.approx(entry["duration_s"], abs=0.06)
            assert found.audio_codec == entry["audio_codec"]
            silent = path.name in ("sam2_01_dog.mp4", "intel_car-detection.mp4")
            assert found.is_silent == (silent if entry["audio_codec"] else None)
