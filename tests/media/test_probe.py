"""Opening and measuring videos."""

from __future__ import annotations

import json
import random
import struct
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


def test_drift_is_how_far_a_frame_is_from_its_number_over_the_rate(make_video: Maker) -> None:
    """An even film has none, a variable one its worst frame's."""
    assert probe(make_video(), QUIET).drift_s == pytest.approx(0, abs=1e-3)
    uneven = probe(make_video("uneven.mp4", times_s=[0.0, 0.1, 0.2, 0.3, 2.0]), QUIET)
    assert uneven.drift_s == pytest.approx(1.2, abs=1e-3)


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
    """Empty files, text and zeros are unreadable, whatever their name; the message is short."""
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        probe(path, QUIET)
    assert caught.value.code == "unreadable"
    assert str(caught.value) == (
        "odd.mp4 can't be opened as a video (Invalid data found when processing input); re-encode "
        "or replace it."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile {0.name}\n"),
    ],
)
def test_a_list_of_other_files_is_no_video(make_video: Maker, name: str, text: str) -> None:
    """What is shown lies in the file itself: its sha256 would not follow what a list points at."""
    video = make_video("part.ts")
    path = video.with_name(name)
    path.write_text(text.format(video))
    with pytest.raises(MediaError, match="list of other files") as caught:
        probe(path, QUIET)
    assert caught.value.code == "unreadable"


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


def flip_bytes(path: Path, count: int = 40) -> Path:
    """Alter bytes in the middle third of a file, where the pictures are."""
    data, rng = bytearray(path.read_bytes()), random.Random(3)
    for _ in range(count):
        data[rng.randrange(len(data) // 3, 2 * len(data) // 3)] ^= rng.randrange(1, 256)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libx265"])
def test_concealed_damage_is_no_picture(make_video: Maker, codec: str) -> None:
    """What a decoder makes up is a fault, also where it reports none."""
    options = {"x265-params": "hash=1:log-level=none"} if codec == "libx265" else {}
    path = make_video(
        "damaged.mkv",
        times_s=[i / 10 for i in range(60)],
        codec=codec,
        options=options,
        size=(128, 96),
        noise=True,
    )
    assert probe(path, QUIET).n_frames == 60
    assert code_of(flip_bytes(path)) == "decode_error"


def test_damaged_sound_is_told(make_video: Maker) -> None:
    """Sound that fails to decode is a fault of the video."""
    path = make_video(
        "noise.mkv", times_s=[0.0, 2.0], tone=[0.5] * 20, sound=("flac", 44100, "mono")
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = random.Random(2).randbytes(3000)
    path.write_bytes(data)
    assert code_of(path) in ("decode_error", "truncated")


def test_frames_missing_from_the_middle(make_video: Maker) -> None:
    """An index that has more frames than come out is told, though the end is right."""
    path = make_video("gap.mp4", times_s=[i / 10 for i in range(60)], gop=1)
    data = bytearray(path.read_bytes())
    at = data.index(b"stsz") + 4
    _, _, count = struct.unpack(">III", data[at : at + 12])
    assert count == 60
    sizes = list(struct.unpack(f">{count}I", data[at + 12 : at + 12 + 4 * count]))
    sizes[20:28] = [0] * 8
    data[at + 12 : at + 12 + 4 * count] = struct.pack(f">{count}I", *sizes)
    path.write_bytes(data)
    assert code_of(path) in ("truncated", "decode_error")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("movflags", [None, "faststart"])
def test_cut_mp4_never_passes(make_video: Maker, share: float, movflags: str | None) -> None:
    """Wherever an mp4 is cut, in its index or in its pictures, it has a reason."""
    path = make_video("cut.mp4", times_s=[i / 10 for i in range(50)], movflags=movflags)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert code_of(path) in ("unreadable", "truncated")


@pytest.mark.parametrize("name", ["holes.mp4", "holes.mkv"])
def test_zeros_in_the_middle(make_video: Maker, name: str) -> None:
    """A download that left a hole of zeros is no whole video."""
    path = make_video(name, times_s=[i / 10 for i in range(60)], size=(128, 96), noise=True)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    path.write_bytes(data)
    assert code_of(path) in ("decode_error", "truncated")


def test_av1_is_measured(make_video: Maker) -> None:
    """AV1 is decoded like the rest."""
    found = probe(make_video("clip.mkv", codec="libsvtav1"), QUIET)
    assert (found.video_codec, found.n_frames, found.width) == ("av1", 20, 64)


def test_of_two_pictures_the_larger_counts(make_video: Maker) -> None:
    """Neither the order of streams nor a small preview decides."""
    found = probe(make_video("two.mkv", second_size=(128, 96)), QUIET)
    assert (found.width, found.height, found.n_frames) == (128, 96, 20)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_sound_that_outlasts_the_picture(make_video: Maker, name: str) -> None:
    """A length is that of the container; a picture that ends earlier is not cut."""
    found = probe(make_video(name, tone=[0.5] * 50), QUIET)
    assert found.duration_s == pytest.approx(5, abs=0.15)
    assert found.n_frames == 20


def test_raw_stream_is_measured(make_video: Maker) -> None:
    """A stream without container has frames and a rate; nothing promised a length."""
    found = probe(make_video("raw.h264"), QUIET)
    assert (found.n_frames, found.duration_s > 0) == (20, True)


def test_edge_files_have_a_verdict(shared_data: Path) -> None:
    """Of seven odd files one is damaged, and says so; the others open."""
    paths = sorted((shared_data / "videos" / "edge").glob("*.m*[4v]"))
    assert len(paths) == 7
    with Worker(60) as worker:
        verdicts = {}
        for path in paths:
            try:
                verdicts[path.name] = worker.call(probe, path, QUIET).n_frames
            except MediaError as fault:
                verdicts[path.name] = fault.code
    assert verdicts.pop("corrupted.mp4") == "decode_error"
    assert all(isinstance(verdict, int) for verdict in verdicts.values())
