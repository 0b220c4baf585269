"""Makes the sample world: small videos of moving things that sound at known times, with captions.

Takes a folder, a number and a seed; gives an input manifest with its videos, and the exact truth in
a folder beside it that the pipeline is never given. Needs no network and no other program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earshot.media.encode import write_mp4
from earshot.media.sample.captions import Writer
from earshot.media.sample.paint import Painter
from earshot.media.sample.scenarios import make_script
from earshot.media.sample.sound import sound_track
from earshot.media.sample.truth import Recorder, VideoTruth
from earshot.schemas.arrow import to_table
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video


@dataclass(frozen=True)
class SampleWorld:
    """Where a sample world lies: the pipeline's input, and the truth that it must not see."""

    manifest: Path
    truth: Path


def write_sample_world(
    out: Path,
    videos: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> SampleWorld:
    """Write `videos` sample videos under `out` and return where they are.

    `out/input/` has `manifest.jsonl` (CONTRACTS 3) and `videos/*.mp4`; `out/truth/` has a Parquet
    table of our own records each (videos, captions, events, objects, event_objects, tubes) and
    `scenarios.parquet` (video_id, scenario). Video i depends on (seed, i) alone, so that a smaller
    world is the beginning of a larger one; the manifest is written last.

    Args:
        out: folder to write to; files of the same names are replaced.
        videos: how many; any twelve in a row have every situation.
        seed: >= 0; the same seed gives the same bytes.
        progress: called with (done, videos) after each video.

    Raises:
        ValueError: if `videos` is below 1 or `seed` is negative.
    """
    if videos < 1:
        raise ValueError(f"videos {videos}: expected at least 1; ask for 8 or more to have it all")
    world = SampleWorld(manifest=out / "input" / "manifest.jsonl", truth=out / "truth")
    folder = out / "input" / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    world.truth.mkdir(parents=True, exist_ok=True)
    truths = []
    for index in range(videos):
        truths.append(write_sample_video(folder, seed, index))
        if progress is not None:
            progress(index + 1, videos)
    _write_truth(world.truth, truths)
    _write_manifest(world.manifest, truths)
    return world


def write_sample_video(folder: Path, seed: int, index: int) -> VideoTruth:
    """Write video `index` of the world `seed` into an existing folder and return its truth.

    The records' uri is `{folder name}/{video_id}.mp4`, relative to the folder's parent.
    """
    script = make_script(seed, index)
    paint_rng, sound_rng, word_rng = (np.random.default_rng([seed, index, k]) for k in (2, 3, 4))
    file = folder / f"{script.video_id}.mp4"
    painter = Painter(script, paint_rng)
    sound = (sound_track(script, sound_rng), script.rate_hz) if script.has_audio else None
    write_mp4(file, painter.frames(), script.fps, (script.width, script.height), sound)
    recorder = Recorder(script, Writer(script, word_rng).captions(), painter.boxes_px)
    return recorder.truth(file, f"{folder.name}/{file.name}")


def _write_truth(folder: Path, truths: Sequence[VideoTruth]) -> None:
    tables = {
        Video.TABLE: to_table(Video, [truth.video for truth in truths]),
        Caption.TABLE: to_table(Caption, [row for truth in truths for row in truth.captions]),
        Event.TABLE: to_table(Event, [row for truth in truths for row in truth.events]),
        Object.TABLE: to_table(Object, [row for truth in truths for row in truth.objects]),
        EventObject.TABLE: to_table(
            EventObject, [row for truth in truths for row in truth.event_objects]
        ),
        Tube.TABLE: to_table(Tube, [row for truth in truths for row in truth.tubes]),
        "scenarios": pa.table(
            {
                "video_id": [truth.video.video_id for truth in truths],
                "scenario": [truth.scenario for truth in truths],
            }
        ),
    }
    for name, table in tables.items():
        partial = folder / f".{name}.parquet.partial"
        pq.write_table(table, partial, compression="zstd")
        partial.replace(folder / f"{name}.parquet")


def _write_manifest(path: Path, truths: Sequence[VideoTruth]) -> None:
    rows = [truth.entry.model_dump(mode="json", exclude_defaults=True) for truth in truths]
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    partial.replace(path)
