"""The loudness envelope of the sound."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from earshot.errors import MediaError
from earshot.media.audio import HOP_S, Envelope, _Hops, dbfs, read_envelope

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


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_rates_and_layouts(make_video: Maker, rate: int, layout: str) -> None:
    """Any rate and any number of channels give the same times; all channels count alike."""
    path = make_video(
        "clip.mkv", tone=[0.0] * 5 + [0.5] * 10 + [0.0] * 5, sound=("flac", rate, layout)
    )
    found, channels = read(path), {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    assert level(found, 0.0, 0.49) < 1e-3
    assert level(found, 0.52, 1.48) == pytest.approx(0.5 / np.sqrt(2 * channels), rel=0.02)
    assert found.times_s[np.argmax(found.onsets)] == pytest.approx(0.5, abs=0.04)
    assert found.times_s[-1] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (8000, 2), (0, 6)])
def test_header_that_lies_about_the_sound(make_video: Maker, rate: int, channels: int) -> None:
    """Rate and channels are what the decoder gives, so that times are right whatever is claimed."""
    path = make_video("lie.mp4", tone=[0.0] * 5 + [0.5] * 10 + [0.0] * 5)
    data = bytearray(path.read_bytes())
    # AudioSampleEntry (ISO 14496-12, 12.2.3): channels and 16.16 rate behind 16 and 24 bytes.
    entry = data.index(b"mp4a", data.index(b"stsd")) + 4
    assert struct.unpack_from(">H", data, entry + 16) == (1,)
    assert struct.unpack_from(">I", data, entry + 24) == (16000 << 16,)
    struct.pack_into(">H", data, entry + 16, channels)
    struct.pack_into(">I", data, entry + 24, rate << 16)
    path.write_bytes(data)
    found = read(path)
    assert found.times_s[-1] == pytest.approx(2.0, abs=0.1)
    assert level(found, 0.0, 0.4) < 0.01
    assert level(found, 0.6, 1.4) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert level(found, 1.6, 1.9) < 0.01


def test_opposite_channels_do_not_cancel(tmp_path: Path) -> None:
    """Sound in opposite phase left and right is loud."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    frame = av.AudioFrame.from_ndarray(
        np.stack([wave, -wave]).astype(np.float32), format="fltp", layout="stereo"
    )
    frame.sample_rate = 16000
    with av.open(str(tmp_path / "phase.wav"), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=16000, layout="stereo")
        for part in av.AudioResampler("flt", "stereo", 16000).resample(frame):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    assert level(read(tmp_path / "phase.wav"), 0.1, 0.9) == pytest.approx(0.354, rel=0.02)


def test_absurd_times_are_a_fault(tmp_path: Path) -> None:
    """A sound stamped far behind the container's end does not fill the memory with silence."""
    hops = _Hops(tmp_path / "x.mp4", latest_s=10.0)
    with pytest.raises(MediaError) as caught:
        hops.add(np.zeros((1, 1600), np.float32), 1e9, 16000)
    assert caught.value.code == "decode_error"


def test_samples_without_times_follow(tmp_path: Path) -> None:
    """Sound whose container stamps nothing lies end to end."""
    hops = _Hops(tmp_path / "x.raw", latest_s=10.0)
    for loudness in (0.1, 0.2):
        hops.add(np.full((1, 1600), loudness, np.float32), None, 16000)
    assert hops.rms() == pytest.approx([0.1] * 10 + [0.2] * 10)


def test_onsets_of_clips_lie_where_they_are_heard(shared_data: Path) -> None:
    """Bursts that were read off a clip's spectrogram stand among its onsets."""
    found = read(shared_data / "videos" / "llp_BjCEufrlXm4.mp4")
    for heard_s in (2.0, 4.1, 7.0, 8.6):
        near = np.abs(found.times_s - heard_s) < 0.3
        assert found.onsets[near].max() > 0.5
