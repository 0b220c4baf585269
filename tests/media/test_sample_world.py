"""The sample world is what it says it is: the truth is measured again on the encoded files."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from earshot.geometry.intervals import contains, intersect, subtract
from earshot.media.sample.captions import Writer
from earshot.media.sample.paint import Painter
from earshot.media.sample.scenarios import SCENARIOS, make_script
from earshot.media.sample.script import Script
from earshot.media.sample.sound import sound_track
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import SampleWorld, write_sample_video, write_sample_world
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record, to_pairs
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video

SEED = 27  # its videos are short
INDEX = {name: at for at, name in enumerate(SCENARIOS)}
TABLES: tuple[type[Record], ...] = (Video, Caption, Event, Object, EventObject, Tube)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SampleWorld:
    """Two videos, written as a user would."""
    return write_sample_world(tmp_path_factory.mktemp("world"), 2, SEED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where single videos are written."""
    return tmp_path_factory.mktemp("single") / "videos"


@pytest.fixture(scope="module")
def single(folder: Path) -> dict[str, VideoTruth]:
    """The truth of a few situations of their own."""
    folder.mkdir()
    names = ("solo", "silence", "no_audio_track")
    return {name: write_sample_video(folder, SEED, INDEX[name]) for name in names}


def read_sound(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode the first audio track to (channels, samples)."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        blocks = [frame.to_ndarray() for frame in container.decode(stream)]
        return np.concatenate(blocks, axis=1), stream.rate


def read_picture(path: Path) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.uint8]]]:
    """Decode all frames with their times."""
    with av.open(str(path)) as container:
        frames = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    return np.array([time_s for time_s, _ in frames], dtype=np.float64), [f for _, f in frames]


def painted(script: Script) -> npt.NDArray[np.float64]:
    """The boxes of a script without encoding it."""
    painter = Painter(script, np.random.default_rng([SEED, 0, 2]))
    for _ in painter.frames():
        pass
    return painter.boxes_px


def visible(script: Script, boxes_px: npt.NDArray[np.float64], actor: int) -> str:
    """The actor's states as a run-length free string: v(isible) and a(bsent) in turn."""
    seen = ~np.isnan(boxes_px[actor, :, 0])
    return "".join(
        "v" if s else "a" for s, b in zip(seen, [None, *seen[:-1]], strict=True) if s != b
    )


def test_input_and_truth_lie_apart(world: SampleWorld) -> None:
    """The input folder holds the manifest and the videos, and nothing of the truth."""
    inputs = {path.name for path in world.manifest.parent.rglob("*") if path.is_file()}
    assert inputs == {"manifest.jsonl", f"sample-{SEED}-00000.mp4", f"sample-{SEED}-00001.mp4"}
    assert world.truth == world.manifest.parent.parent / "truth"
    assert {path.name for path in world.truth.iterdir()} == {
        *(f"{table.TABLE}.parquet" for table in TABLES),
        "scenarios.parquet",
    }


def test_manifest_is_an_input_manifest(world: SampleWorld) -> None:
    """Every line is a manifest entry whose file exists, with and without events."""
    lines = world.manifest.read_text("utf-8").splitlines()
    entries = [ManifestEntry.model_validate(json.loads(line)) for line in lines]
    assert [entry.licence for entry in entries] == ["CC0-1.0", "CC0-1.0"]
    assert [bool(entry.events) for entry in entries] == [True, False]
    assert all((world.manifest.parent / entry.uri).is_file() for entry in entries)
    assert all(entry.captions for entry in entries)


def test_truth_tables_are_our_own_records(world: SampleWorld) -> None:
    """Each table reads back as records, with as many boxes as the video has frames."""
    read = {
        t.TABLE: from_table(t, pq.read_table(world.truth / f"{t.TABLE}.parquet")) for t in TABLES
    }
    frames = {
        video.video_id: video.n_frames for video in read["videos"] if isinstance(video, Video)
    }
    assert len(frames) == 2
    tubes = [tube for tube in read["tubes"] if isinstance(tube, Tube)]
    assert {tube.video_id for tube in tubes} == set(frames)
    assert all(len(tube.boxes) == frames[tube.video_id] for tube in tubes)
    assert all(0 <= x <= 1 for tube in tubes for box in tube.boxes if box for x in box.xyxy)


def test_files_are_what_the_truth_says(world: SampleWorld) -> None:
    """Size, rate, frame count, frame times and duration of the container equal the record."""
    for video in from_table(Video, pq.read_table(world.truth / "videos.parquet")):
        path = world.manifest.parent / video.uri
        times_s, frames = read_picture(path)
        assert frames[0].shape == (video.height, video.width, 3)
        assert len(frames) == video.n_frames
        assert np.allclose(times_s, np.arange(video.n_frames) / video.fps, atol=1e-4)
        assert path.stat().st_size == video.bytes
        with av.open(str(path)) as container:
            assert container.duration is not None
            assert container.duration / 1e6 == pytest.approx(video.duration_s, abs=0.01)
            assert container.start_time == 0
            assert container.streams.video[0].codec_context.name == "h264"
            assert container.streams.audio[0].codec_context.name == "aac"
            assert 6 <= video.duration_s <= 40


def test_boxes_fit_the_pixels(world: SampleWorld) -> None:
    """All that differs from the empty place lies in the true box, and reaches its four sides."""
    script = make_script(SEED, 0)
    tube = from_table(Tube, pq.read_table(world.truth / "tubes.parquet"))[0]
    empty = dataclasses.replace(script, scene=dataclasses.replace(script.scene, actors=()))
    place = list(Painter(empty, np.random.default_rng([SEED, 0, 2])).frames())
    _, frames = read_picture(world.manifest.parent / f"videos/{script.video_id}.mp4")
    for at in range(0, script.n_frames, script.n_frames // 12):
        box = tube.boxes[at]
        assert box is not None
        x1, x2 = round(box.x1 * script.width), round(box.x2 * script.width)
        y1, y2 = round(box.y1 * script.height), round(box.y2 * script.height)
        differs = np.abs(frames[at].astype(int) - place[at]).max(axis=2) > 45
        inside = differs[y1:y2, x1:x2]
        assert inside.mean() > 0.2
        assert inside[:4].any() and inside[-4:].any()
        assert inside[:, :4].any() and inside[:, -4:].any()
        outside = differs.copy()
        outside[max(y1 - 3, 0) : y2 + 3, max(x1 - 3, 0) : x2 + 3] = False
        shadow_from = round((script.scene.actors[0].foot_y - 0.06) * script.height)
        assert outside[:shadow_from].mean() < 0.002


@pytest.mark.parametrize("index", [0, 1])
def test_sound_is_where_the_truth_says(world: SampleWorld, index: int) -> None:
    """The track is loud in the sounding intervals, quiet outside, and starts on time."""
    script = make_script(SEED, index)
    samples, rate_hz = read_sound(world.manifest.parent / f"videos/{script.video_id}.mp4")
    energy = np.square(samples).mean(axis=0)
    times_s = np.arange(len(energy)) / rate_hz
    stretches = [pair for actor in script.scene.actors for pair in actor.stretches]
    quiet = subtract([(0, script.duration_s)], [(s - 0.05, e + 0.1) for s, e in stretches])
    loud_rms = np.sqrt(energy[contains(stretches, times_s)].mean())
    quiet_rms = np.sqrt(energy[contains(quiet, times_s)].mean())
    assert loud_rms > 10 * quiet_rms
    assert quiet_rms > 0.001  # a place is never digitally silent
    first_loud_s = times_s[np.flatnonzero(energy > 0.05**2)[0]]
    assert first_loud_s == pytest.approx(min(s for s, _ in stretches), abs=0.05)


def test_silence_has_a_track_without_sound(single: dict[str, VideoTruth], folder: Path) -> None:
    """The silent video has an audio track of nothing; another has no track; both say so."""
    silent, bare = single["silence"], single["no_audio_track"]
    samples, _ = read_sound(folder.parent / silent.video.uri)
    assert np.abs(samples).max() < 1e-4
    assert (silent.video.has_audio, silent.video.is_silent) == (True, True)
    with av.open(str(folder.parent / bare.video.uri)) as container:
        assert not container.streams.audio
    assert (bare.video.has_audio, bare.video.is_silent) == (False, None)
    for truth in (silent, bare):
        assert {row.audibility for row in truth.event_objects} == {"visible_only"}


def test_a_video_depends_on_seed_and_index_alone(
    world: SampleWorld, single: dict[str, VideoTruth]
) -> None:
    """Written alone, a video has the same bytes, records and manifest line as in a world."""
    alone = single["solo"]
    together = from_table(Video, pq.read_table(world.truth / "videos.parquet"))[0]
    assert alone.video == together
    tubes = from_table(Tube, pq.read_table(world.truth / "tubes.parquet"))
    assert alone.tubes == tuple(t for t in tubes if t.video_id == together.video_id)
    line = json.loads(world.manifest.read_text("utf-8").splitlines()[0])
    assert ManifestEntry.model_validate(line) == alone.entry


def test_bytes_do_not_depend_on_stray_memory(single: dict[str, VideoTruth], tmp_path: Path) -> None:
    """Another process, whose fresh memory is filled with junk (glibc), writes the same file."""
    code = (
        "import sys, pathlib; from earshot.media.sample_world import write_sample_video as write; "
        f"print(write(pathlib.Path(sys.argv[1]), {SEED}, {INDEX['solo']}).video.sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "MALLOC_PERTURB_": "85", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == single["solo"].video.sha256


def test_other_seeds_make_other_videos() -> None:
    """Scripts repeat for one seed and differ between seeds."""
    assert make_script(1, 3) == make_script(1, 3)
    assert make_script(1, 3).scene != make_script(2, 3).scene


def test_twelve_videos_have_every_situation() -> None:
    """Any twelve in a row have all scenarios, several sizes, rates, kinds and both time groups."""
    scripts = [make_script(SEED, index) for index in range(5, 17)]
    assert {script.scenario for script in scripts} == set(SCENARIOS)
    assert len({(script.width, script.height) for script in scripts}) >= 5
    assert len({script.fps for script in scripts}) >= 5
    assert {script.duration_s > 20 for script in scripts} == {True, False}
    kinds = {a.kind.name for i in range(60) for a in make_script(SEED, i).scene.actors if a.strikes}
    assert len(kinds) >= 12
    assert len({event for script in scripts for event in [script.gives_events]}) == 2


def test_two_sound_at_once() -> None:
    """In a duet two different kinds sound in overlapping stretches."""
    for lap in range(6):
        first, second = make_script(SEED, INDEX["duet"] + 12 * lap).scene.actors
        assert first.kind != second.kind
        assert intersect(first.stretches, second.stretches)


def test_twins_are_told_apart() -> None:
    """Of two of one kind one sounds, both move, and colour tells them apart in name and text."""
    script = make_script(SEED, INDEX["twins"])
    lead, other = script.scene.actors
    assert (lead.kind, lead.name == other.name) == (other.kind, False)
    assert lead.strikes
    assert not other.strikes
    assert len(other.hops) >= len(lead.hops)
    (caption,) = Writer(script, np.random.default_rng(0)).captions()
    assert lead.phrase in caption.text
    assert other.phrase in caption.text


def test_who_leaves_returns() -> None:
    """A sounding thing goes out of the picture while it sounds, and its box is null there."""
    script = make_script(SEED, INDEX["leave_and_return"])
    boxes_px = painted(script)
    assert visible(script, boxes_px, 0) == "vav"
    gone = script.times_s[np.isnan(boxes_px[0, :, 0])]
    assert contains(script.scene.actors[0].stretches, gone).any()


def test_who_is_hidden_has_no_box() -> None:
    """Behind the pillar a sounding thing is absent; the pillar itself is always there."""
    script = make_script(SEED, INDEX["occlusion"])
    boxes_px = painted(script)
    assert visible(script, boxes_px, 0) == "vav"
    assert visible(script, boxes_px, 1) == "v"


def test_unseen_things_have_no_tube_but_sound() -> None:
    """The off-screen source sounds and is never painted."""
    script = make_script(SEED, INDEX["off_screen"])
    assert np.isnan(painted(script)[0]).all()
    assert script.scene.actors[0].strikes
    assert np.abs(sound_track(script, np.random.default_rng(0))).max() > 0.1


def test_rest_between_two_stretches() -> None:
    """A thing that sounds twice neither sounds nor moves in between."""
    script = make_script(SEED, INDEX["two_stretches"])
    lead = script.scene.actors[0]
    (_, pause), (again, _) = lead.stretches
    rest_s = np.linspace(pause + lead.kind.hop_s, again - 0.1, 50)
    assert again - pause > 2
    assert lead.drive_at(rest_s).max() < 1e-9


def test_limits_are_crossed_once_each() -> None:
    """One video has more than three labels, one has less than 0.08 of events; the rest neither."""
    for lap in range(5):
        for at, name in enumerate(SCENARIOS):
            script = make_script(SEED, at + 12 * lap)
            beats = script.scene.beats
            share = sum(e - s for beat in beats for s, e in beat.segments) / script.duration_s
            assert (len({beat.label for beat in beats}) > 3) == (name == "crowded")
            assert (share < 0.08) == (name == "sparse")


def test_silent_movers_are_as_rhythmic_and_out_of_step() -> None:
    """A silent mover beside a sounder moves as often, mostly away from the sounds."""
    for lap in range(10):
        script = make_script(SEED, INDEX["beside_silent"] + 12 * lap)
        lead, other = script.scene.actors
        gaps = np.diff(other.hops)
        assert gaps.std() < 0.35 * gaps.mean()
        assert len(other.hops) >= 0.5 * len(lead.hops)
        near = [min(abs(hop - onset) for onset in lead.strikes) < 0.1 for hop in other.hops]
        assert np.mean(near) < 0.1


def test_sounds_fill_their_stretches() -> None:
    """The first sound begins a stretch, the last one ends it, and no pause inside reaches 1 s."""
    for index in range(72):
        for actor in make_script(SEED, index).scene.actors:
            for start_s, end_s in actor.stretches:
                inside = [onset for onset in actor.strikes if start_s <= onset <= end_s]
                assert inside[0] == pytest.approx(start_s)
                assert inside[-1] + actor.kind.strike_s == pytest.approx(end_s, abs=0.002)
                pauses = [b - a - actor.kind.strike_s for a, b in pairwise(inside)]
                assert max(pauses, default=0) < 1


def test_captions_name_what_is_there(single: dict[str, VideoTruth]) -> None:
    """Spans are verbatim, times are the events', and every tube's object is named where visible."""
    for truth in single.values():
        text = {caption.caption_id: caption.text for caption in truth.captions}
        surfaces = {thing.object_id: thing.surfaces for thing in truth.objects}
        for row in truth.event_objects:
            for span in row.evidence:
                words = text[span.caption_id][span.char_start : span.char_end]
                assert words in surfaces[row.object_id]
        named = {
            row.object_id
            for row in truth.event_objects
            if row.evidence and row.audibility != "audible_only"
        }
        assert {tube.object_id for tube in truth.tubes} <= named
        times = {caption.interval.pair for caption in truth.captions}
        assert times == {pair for event in truth.events for pair in to_pairs(event.segments)}


def test_captions_vary() -> None:
    """Sixty videos have hardly a sentence twice and a wide choice of words."""
    texts = [
        caption.text
        for index in range(60)
        for caption in Writer(make_script(SEED, index), np.random.default_rng(index)).captions()
    ]
    assert len(set(texts)) > 0.97 * len(texts)
    assert all(text[0].isupper() and text.endswith(".") and "  " not in text for text in texts)
    assert len({word.strip(".,;:").lower() for text in texts for word in text.split()}) > 180


def test_progress_is_told_and_nonsense_refused(tmp_path: Path) -> None:
    """Progress runs to the end; no videos and negative seeds are refused with the remedy."""
    with pytest.raises(ValueError, match="at least 1"):
        write_sample_world(tmp_path, 0, 1)
    with pytest.raises(ValueError, match="choose another seed"):
        write_sample_world(tmp_path, 1, -1)
    told: list[tuple[int, int]] = []
    write_sample_world(tmp_path, 1, SEED, lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
