"""Writes a release of many questions, to export; its videos are there by name alone.

Two in five questions have intervals, two in five boxes, one in five both; ten boxes each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from earshot.schemas.arrow import table_schema
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.schemas.release import MANIFEST, Media, SplitAssignment
from earshot.schemas.video import Video
from earshot.tasks.publish_release.diff import stored_at
from earshot.tasks.publish_release.shards import row_count, write_questions, write_tables

BOXES, BATCH = 10, 10_000
NAMES = ["dog", "woman in a red coat", "drum kit", "electric guitar", "crowd", "fire truck"]
SIZES = [(1280, 720), (640, 360), (320, 240), (480, 360), (360, 640)]


def publish_world(rows: int, per_video: int, folder: Path) -> Path:
    """Write the release and empty files in the place of its videos; return its folder."""
    release, media = folder / "world-v1", folder / "media"
    media.mkdir(parents=True)
    videos = range(-(-rows // per_video))
    for number in videos:
        (media / f"{_name(number)}.mp4").touch()
    config = ReleaseConfig(name="world", licence="cc0-1.0")
    write_questions(_questions(rows, per_video), release / "data", config)
    facts = [_video(number) for number in videos]
    for kind in (Media, Video, SplitAssignment):
        table = pa.Table.from_pylist(facts, schema=table_schema(kind))
        write_tables({kind.TABLE: table}, (release / stored_at(kind.TABLE)).parent, config)
    files = [
        {"path": path.relative_to(release).as_posix(), "bytes": path.stat().st_size,
         "sha256": "0" * 64, "rows": row_count(path)}
        for path in sorted(release.rglob("*.parquet"))
    ]  # fmt: skip
    head = {"v": 1, "name": "world", "version": 1, "content_digest": "0" * 64, "files": files}
    (release / MANIFEST).write_text(json.dumps(head))
    return release


def _name(number: int) -> str:
    return f"video-{number:07d}"


def _questions(rows: int, per_video: int) -> Iterator[pa.RecordBatch]:
    rng = random.Random(5)
    schema = table_schema(Question)
    for first in range(0, rows, BATCH):
        made = [
            _question(n, _name(n // per_video), rng) for n in range(first, min(first + BATCH, rows))
        ]
        yield from pa.Table.from_pylist(made, schema=schema).to_batches()


def _question(number: int, video_id: str, rng: random.Random) -> dict[str, object]:
    task = rng.choices(["temporal", "spatial", "spatio_temporal"], [41, 41, 18])[0]
    start = rng.randint(0, 290)
    times = [(start + 10 * k) / 10 for k in range(BOXES)]
    left, top = rng.randint(0, 500), rng.randint(0, 500)
    name = rng.choice(NAMES)
    boxes = [[t, (left + k) / 1000, top / 1000, (left + 300 + k) / 1000, (top + 380) / 1000]
             for k, t in enumerate(times)]  # fmt: skip
    boxes[-1] = [times[-1], None]
    tubes = [] if task == "temporal" else [{"boxes": boxes}]
    truth = {
        "box_space": "norm", **({"branch": "sounding"} if task == "spatial" else {}),
        "duration_s": 42, "grid": {"anchor_s": times[0], "step_s": 1, "times_s": times},
        "intervals": [] if task == "spatial" else [[start / 10, (start + 98) / 10]],
        "objects": [{"accept": [name], "name": name, "tubes": tubes}], "task": task, "v": 1,
    }  # fmt: skip
    text = json.dumps(truth, separators=(",", ":")).replace(".0,", ",").replace(".0]", "]")
    return {
        "question_id": f"{video_id}/q-{number * 2654435761 % 2**32:08x}", "video_id": video_id,
        "split": "train", "task": task, "branch": truth.get("branch"), "pack": "earshot",
        "template_id": "t-1", "question": f"When is the {name} both heard and seen?",
        "options": [], "answer": "", "truth_json": text,
        "grid": {"anchor_s": times[0], "step_s": 1.0, "times_s": times}, "event_ids": [],
        "object_ids": [], "tube_ids": [], "inspection_ids": [], "inspected_by": "human",
        "box_space": "norm", "digest": "",
    }  # fmt: skip


def _video(number: int) -> dict[str, object]:
    width, height = SIZES[number % len(SIZES)]
    return {
        "video_id": _name(number), "uri": f"{_name(number)}.mp4", "sha256": "0" * 64, "bytes": 1,
        "duration_s": 42.0, "fps": 25.0, "n_frames": 1050, "width": width, "height": height,
        "rotation_deg": 0, "is_vfr": False, "video_codec": "h264", "has_audio": True,
        "split": "train", "since_version": 1, "digest": "",
    }  # fmt: skip
