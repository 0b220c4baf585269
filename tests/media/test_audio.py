"""The loudness envelope of the sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from earshot.media.audio import HOP_S, Envelope, dbfs, read_envelope

Maker = Callable[..., Path]
QUIET = -60.0


def read(path: Path) -> Envelope:
    """The envelope of a file that has sound."""
    found = read_envelope(path, QUIET)
    assert found is not None
    return found


def level(found: Envelope, start_s: float, end_s: float) -> float:
    """Mean loudness inside a stretch."""
    inside = (found.times_s > start_s) & (found.times_s < end_s)
    return float(found.rms[inside].mean())


def test_loudness_follows_the_sound(make_video: Maker) -> None:
    """The root mean square of a sine is its amplitude over the root of two, when it sounds."""
    found = read(make_video(tone=[0.0] * 10 + [0.5] * 10))
    assert level(found, 0.1, 0.9) < 0.01
    assert level(found, 1.1, 1.9) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert not found.is_silent


def test_onsets_stand_where_the_sound_begins(make_video: Maker) -> None:
    """The strongest onsets lie at the two beginnings, within two hops."""
    found = read(make_video(tone=[0.0] * 5 + [0.5] * 3 + [0.0] * 5 + [0.5] * 3))
    for begins_s in (0.5, 1.3):
        near = np.abs(found.times_s - begins_s) < 0.2
        strongest_s = found.times_s[near][np.argmax(found.onsets[near])]
        assert strongest_s == pytest.approx(begins_s, abs=0.04)
    assert found.onsets.min() >= 0


def test_sound_that_starts_late_keeps_its_place(make_video: Maker) -> None:
    """Times count from the container's start: what has no samples is silent."""
    path = make_video("late.mkv", tone=[0.5] * 10, tone_at_s=0.8)
    found = read(path)
    assert level(found, 0.1, 0.7) < 0.01
    assert level(found, 0.9, 1.7) > 0.2


def test_no_track_is_none_and_a_silent_one_is_silent(make_video: Maker) -> None:
    """No audio and silent audio are different things."""
    assert read_envelope(make_video("mute.mp4"), QUIET) is None
    silent = read(make_video(tone=[0.0] * 10))
    assert silent.is_silent
    assert silent.onsets.max() == 0


def test_hops_cover_the_track(make_video: Maker) -> None:
    """There is one value for each hop, at its middle."""
    found = read(make_video(tone=[0.3] * 20))
    assert found.times_s[0] == pytest.approx(HOP_S / 2)
    assert found.times_s[-1] == pytest.approx(2.0, abs=0.1)


def test_decibels_of_full_scale() -> None:
    """Full scale is 0 dB, half of it 6 dB less, nothing is minus infinity."""
    assert dbfs(1.0) == 0
    assert dbfs(0.5) == pytest.approx(-6.02, abs=0.01)
    assert dbfs(0.0) == -np.inf


def test_real_clips(shared_data: Path) -> None:
    """A barking dog is heard, a digitally silent track is silent, a film without track is None."""
    videos = shared_data / "videos"
    assert level(read(videos / "llp_BjCEufrlXm4.mp4"), 0, 10) > 0.01
    assert read(videos / "sam2_01_dog.mp4").is_silent
    assert read_envelope(videos / "sam2_bedroom.mp4", QUIET) is None
