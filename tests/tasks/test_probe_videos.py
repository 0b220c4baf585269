"""Stage `probe`: from a manifest entry to a measured video."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest

from earshot.media.probe import Probed, probe
from earshot.schemas.config import ProbeConfig
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, StageContext, StageInput
from earshot.tasks.probe_videos import ProbeVideos
from tests.media.web import Site, serve


def stage(folder: Path, limit_s: float = 120, **settings: float) -> ProbeVideos:
    """The stage on a folder of videos."""
    context = StageContext(str(folder), folder / "cache", limit_s)
    return ProbeVideos(ProbeConfig(**settings), context)  # type: ignore[arg-type]


def given(video_id: str, uri: str, **fields: str) -> StageInput:
    """A video as the runner hands it to the stage."""
    entry = ManifestEntry(video_id=video_id, uri=uri, **fields)  # type: ignore[arg-type]
    return StageInput(video_id, {ManifestEntry: [entry]})


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    """Outcomes by their video."""
    return {outcome.video_id: outcome for outcome in outcomes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good video, a text, and a video that is cut in the middle."""
    with av.open(str(tmp_path / "good.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(12):
            picture = np.full((48, 64, 3), 20 * index, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    return tmp_path


def test_good_video_becomes_a_record(folder: Path) -> None:
    """The record has what was measured, the file's digest, and what the manifest said."""
    entry = given("v", "good.mp4", licence="CC0-1.0", source="own", split_group="g")
    (outcome,) = stage(folder).run([entry])
    assert isinstance(outcome, Done)
    (video,) = outcome.rows
    assert isinstance(video, Video)
    data = (folder / "good.mp4").read_bytes()
    assert (video.sha256, video.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (video.n_frames, video.width, video.height) == (12, 64, 48)
    assert (video.licence, video.source, video.split_group) == ("CC0-1.0", "own", "g")
    assert (video.uri, video.video_id, video.is_silent) == ("good.mp4", "v", None)


def test_bad_videos_are_quarantined_and_the_batch_goes_on(folder: Path) -> None:
    """Each fault has its own code, value and traceback, and the good video between is done."""
    batch = [given(name, f"{name}.mp4") for name in ("gone", "text", "good", "cut")]
    found = by_id(list(stage(folder).run(batch)))
    assert isinstance(found["good"], Done)
    codes = {name: found[name].reason_code for name in ("gone", "text", "cut")}  # type: ignore[attr-defined]
    assert codes == {"gone": "not_found", "text": "unreadable", "cut": "unreadable"}
    for name, code in codes.items():
        outcome = found[name]
        assert isinstance(outcome, Quarantined)
        assert REASONS[code].status == "quarantined"
        assert outcome.traceback is not None
        assert outcome.value


def test_too_large_file_is_refused_unread(folder: Path) -> None:
    """A file over the limit is quarantined with its size."""
    (outcome,) = stage(folder, max_bytes=10).run([given("v", "good.mp4")])
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "too_large"
    assert outcome.value == str((folder / "good.mp4").stat().st_size)


def test_manifest_may_say_what_the_file_must_be(folder: Path) -> None:
    """A video whose sha256 the manifest gives is refused when another file lies there."""
    right = hashlib.sha256((folder / "good.mp4").read_bytes()).hexdigest()
    batch = [given("a", "good.mp4", sha256=right), given("b", "good.mp4", sha256="0" * 64)]
    found = by_id(list(stage(folder).run(batch)))
    assert found["a"].status == "done"
    outcome = found["b"]
    assert isinstance(outcome, Quarantined)
    assert (outcome.reason_code, outcome.value) == ("checksum", right)


def test_what_has_no_end_is_named_and_the_batch_goes_on(folder: Path) -> None:
    """A pipe and a device would hold a batch for ever; neither planning nor reading opens them."""
    os.mkfifo(folder / "pipe.mp4")
    batch = [given("pipe", "pipe.mp4"), given("zero", "/dev/zero"), given("good", "good.mp4")]
    assert [stage(folder).outside(one) for one in batch[:2]] == [{"media": "missing"}] * 2
    found = by_id(list(stage(folder).run(batch)))
    assert [found[name].reason_code for name in ("pipe", "zero")] == ["unreadable"] * 2  # type: ignore[attr-defined]
    assert found["good"].status == "done"


def test_quarantine_has_no_signature(folder: Path) -> None:
    """Neither message, value nor traceback of a refused video has the query of its URL."""
    with serve(Site(statuses=[403] * 9)) as site:
        (outcome,) = stage(folder).run([given("v", f"{site.url}?sig=secret")])
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "forbidden"
    assert "secret" not in f"{outcome.message} {outcome.value} {outcome.traceback}"


def hanging(path: Path, silence_dbfs: float) -> Probed:
    """A decoder that some file holds for a minute."""
    if path.name == "text.mp4":
        time.sleep(60)
    return probe(path, silence_dbfs)


def test_hanging_video_times_out_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video over the time limit is quarantined; the next one gets a new child and is done."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.setattr(hanging, "__module__", "tests.tasks.test_probe_videos")
    monkeypatch.setattr("earshot.tasks.probe_videos.probe", hanging)
    batch = [given(name, f"{name}.mp4") for name in ("good", "text", "cut")]
    batch.append(given("last", "good.mp4"))
    found = by_id(list(stage(folder, limit_s=5).run(batch)))
    assert {name: one.status for name, one in found.items() if name in ("good", "last")} == {
        "good": "done",
        "last": "done",
    }
    assert [found[name].reason_code for name in ("text", "cut")] == ["timeout", "unreadable"]  # type: ignore[attr-defined]


def test_outside_facts_are_the_contents(folder: Path) -> None:
    """The key follows the file's bytes, and says where there is none."""
    before = stage(folder).outside(given("v", "good.mp4"))
    assert before == {"media": hashlib.sha256((folder / "good.mp4").read_bytes()).hexdigest()}
    (folder / "good.mp4").write_bytes(b"other")
    assert stage(folder).outside(given("v", "good.mp4")) != before
    assert stage(folder).outside(given("v", "gone.mp4")) == {"media": "missing"}


def test_planning_downloads_nothing(folder: Path) -> None:
    """A remote video's key comes from what its place says, and is the same once it was fetched."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/plan/good.mp4", (folder / "good.mp4").read_bytes())
    remote = given("v", "memory://plan/good.mp4")
    before = stage(folder).outside(remote)
    assert not (folder / "cache").exists()
    (outcome,) = stage(folder).run([remote])
    assert isinstance(outcome, Done)
    assert stage(folder).outside(remote) == before
    memory.pipe("/plan/good.mp4", b"other")
    assert stage(folder).outside(remote) != before


def test_copied_or_touched_file_is_the_same(folder: Path) -> None:
    """A new time on the same content does not open the video again."""
    before = stage(folder).outside(given("v", "good.mp4"))
    os.utime(folder / "good.mp4", (1, 1))
    assert stage(folder).outside(given("v", "good.mp4")) == before


def test_captions_do_not_touch_the_probe() -> None:
    """Only the declared fields of the manifest are read: a new caption probes nothing anew."""
    (reads,) = ProbeVideos.reads
    assert not {"captions", "events"} & {*reads.fields, *reads.beside}


def test_all_real_clips_are_done(shared_data: Path, tmp_path: Path) -> None:
    """The twelve real clips pass in one batch."""
    lines = (shared_data / "input.jsonl").read_text().splitlines()
    entries = [ManifestEntry.model_validate(json.loads(line)) for line in lines]
    context = StageContext(str(shared_data), tmp_path)
    batch = [StageInput(entry.video_id, {ManifestEntry: [entry]}) for entry in entries]
    outcomes = list(ProbeVideos(ProbeConfig(), context).run(batch))
    assert [outcome.status for outcome in outcomes] == ["done"] * 12
