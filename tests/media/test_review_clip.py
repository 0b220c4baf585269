"""Clips for people: the frames and the sound of their window, exactly where the plan says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from earshot.errors import MediaError
from earshot.media.audio import read_envelope
from earshot.media.child import Worker
from earshot.media.encode import write_mp4
from earshot.media.frames import read_frames
from earshot.media.review_clip import ClipPlan, check_clip, cut_clip, exact_rate, plan_clip

Maker = Callable[..., Path]


def numbered(path: Path, fps: Fraction, n: int, tone_s: tuple[float, float] | None = None) -> Path:
    """Frames with their number in eight black or white bars; a tone in a stretch."""

    def frames():  # type: ignore[no-untyped-def]
        for index in range(n):
            picture = np.zeros((48, 128, 3), np.uint8)
            for bit in range(8):
                picture[:, 16 * bit : 16 * bit + 16] = 255 * (index >> bit & 1)
            yield picture

    wave = np.zeros((1, round(n / fps * 48000)), np.float32)
    if tone_s:
        at = slice(*(round(edge * 48000) for edge in tone_s))
        wave[0, at] = 0.5 * np.sin(np.arange(at.stop - at.start) / 12)
    write_mp4(path, frames(), fps, (128, 48), (wave, 48000) if tone_s else None)
    return path


def number_of(picture: np.ndarray) -> int:
    """The number that a frame shows."""
    row = picture[picture.shape[0] // 2]
    return sum(1 << b for b in range(8) if row[int((b + 0.5) / 8 * len(row))].mean() > 128)


def shown(path: Path, plan: ClipPlan) -> list[int]:
    """The numbers of all frames of a clip."""
    with av.open(str(path)) as clip:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in clip.decode(video=0)]


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24), Fraction(10)])
def test_frame_n_is_the_frame_that_the_video_shows_there(tmp_path: Path, fps: Fraction) -> None:
    """Offset and rate map every frame of the clip to one frame of the video, without drift."""
    source = numbered(tmp_path / "a.mp4", fps, 200)
    duration_s = float(200 / fps)
    middle_s = duration_s / 2
    plan = plan_clip(duration_s, round(float(fps), 6), (128, 48), (middle_s, middle_s + 1), 0.7)
    cut_clip(source, tmp_path / "clip.mp4", plan)
    first = round(plan.offset_s * fps)
    assert shown(tmp_path / "clip.mp4", plan) == list(range(first, first + plan.n_frames))
    assert plan.offset_s <= middle_s - 0.69
    assert plan.offset_s + plan.duration_s >= middle_s + 1.69
    assert [file.name for file in tmp_path.iterdir() if file.name[0] == "."] == []


def test_the_sound_stays_with_the_picture(tmp_path: Path) -> None:
    """A tone from 5 to 6 s of the video lies there in the clip, to a hundredth of a second."""
    source = numbered(tmp_path / "a.mp4", Fraction(25), 250, (5.0, 6.0))
    plan = plan_clip(10.0, 25.0, (128, 48), (5.0, 6.0), 1.5)
    cut_clip(source, tmp_path / "clip.mp4", plan)
    envelope = read_envelope(tmp_path / "clip.mp4", -60)
    assert envelope is not None
    loud = envelope.times_s[envelope.rms > 0.1]
    assert loud[0] == pytest.approx(5.0 - plan.offset_s, abs=0.015)
    assert loud[-1] == pytest.approx(6.0 - plan.offset_s, abs=0.015)


def test_a_video_without_sound_gets_a_silent_track(tmp_path: Path) -> None:
    """The event's span is drawn on the waveform: there has to be one."""
    source = numbered(tmp_path / "a.mp4", Fraction(25), 50)
    plan = plan_clip(2.0, 25.0, (128, 48), (0.5, 1.5), 3)
    assert (plan.offset_s, plan.n_frames) == (0, 50)
    cut_clip(source, tmp_path / "clip.mp4", plan)
    envelope = read_envelope(tmp_path / "clip.mp4", -60)
    assert envelope is not None
    assert envelope.is_silent


def test_a_variable_rate_becomes_constant(tmp_path: Path, make_video: Maker) -> None:
    """Each frame is what the video shows at its time, whatever the video's own times are."""
    times_s = [0, 0.1, 0.2, 0.5, 0.6, 1.1, 1.2, 1.3, 1.4, 1.9]
    source = make_video("vfr.mp4", times_s=times_s)
    plan = plan_clip(2.0, 5.0, (64, 48), (0.0, 2.0), 0)
    cut_clip(source, tmp_path / "clip.mp4", plan)
    times = tuple(index / 5 for index in range(10))
    expected = [f[20, 10, 0] for _, f in read_frames(source, times, 64, 48)]
    with av.open(str(tmp_path / "clip.mp4")) as clip:
        found = [f.to_ndarray(format="rgb24")[20, 20, 0] for f in clip.decode(video=0)]
    assert np.allclose(np.array(found, float), np.array(expected, float), atol=6)


def test_a_clip_is_cut_in_a_child(tmp_path: Path) -> None:
    """A broken file may hang the decoder: the function is one that a worker can call."""
    source = numbered(tmp_path / "a.mp4", Fraction(25), 50)
    plan = plan_clip(2.0, 25.0, (128, 48), (0.5, 1.5), 3)
    with Worker(60) as worker:
        worker.call(cut_clip, source, tmp_path / "clip.mp4", plan)
        check_clip(tmp_path / "clip.mp4", plan)
        with pytest.raises(MediaError, match="not there"):
            worker.call(cut_clip, tmp_path / "none.mp4", tmp_path / "b.mp4", plan)


def test_what_is_not_exact_is_refused(tmp_path: Path) -> None:
    """Too few frames, sparse key frames and an index at the end are each named."""
    plan = ClipPlan(0.0, Fraction(25), 100, 128, 48)
    wave = np.zeros((1, 4 * 48000), np.float32)
    frames = (np.zeros((48, 128, 3), np.uint8) for _ in range(90))
    write_mp4(tmp_path / "c.mp4", frames, plan.fps, (128, 48), (wave, 48000), gop_frames=90)
    with pytest.raises(MediaError) as caught:
        check_clip(tmp_path / "c.mp4", plan)
    assert caught.value.code == "bad_clip"
    for said in ("90 frames", "picture and sound last", "between key frames", "behind the data"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("measured", "meant"),
    [
        (29.97003, Fraction(30000, 1001)),
        (25.0, Fraction(25)),
        (23.976, Fraction(24000, 1001)),
        (12.5, Fraction(25, 2)),
        (240.0, Fraction(60)),
        (1.0, Fraction(5)),
    ],
)
def test_rates_are_what_they_mean(measured: float, meant: Fraction) -> None:
    """Six decimals of a probe stand for the rate of the standard; extremes are brought nearer."""
    assert exact_rate(measured) == meant


def test_the_whole_video_where_a_clip_is_hardly_shorter() -> None:
    """Four fifths of it are shown as the whole; sides come out even."""
    assert plan_clip(10.0, 25.0, (641, 361), (1.0, 9.0), 0).n_frames == 250
    plan = plan_clip(30.0, 25.0, (641, 361), (10.0, 12.0), 3)
    assert (plan.offset_s, plan.n_frames) == (7.0, 200)
    assert (plan.width % 2, plan.height % 2) == (0, 0)
    assert (plan.width, plan.height) == (640, 360)
    assert plan_clip(9.0, 25.0, (320, 180), (1.0, 2.0), 0).width == 640
    assert plan_clip(30.0, 25.0, (1921, 1081), (10.0, 12.0), 3).width == 1280
