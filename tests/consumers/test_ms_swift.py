"""ms-swift 4.6 trains a tiny model on an export, and reads supervised rows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest

from tests.consumers.world import (  # noqa: F401 - a fixture
    Sample,
    difficulty_of,
    make_tiny,
    recipe,
    rows_of,
    run,
    sample,
    trainer,
    variables_of,
)

SCRIPT = "tests/consumers/run_ms_swift.py"
# A folder's name says nothing of the model; the rest is for a machine without a GPU.
TINY = (
    "--model_type", "qwen2_5_vl", "--template", "qwen2_5_vl", "--torch_dtype", "float32",
    "--attn_impl", "eager", "--use_cpu", "true", "--bf16", "false", "--report_to", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A tiny Qwen2.5-VL that knows the texts."""
    return make_tiny(sample, "swift", "ms-swift", tmp_path_factory.mktemp("tiny"))


def test_it_trains_on_the_planned_batches(sample: Sample, tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    """By the launch recipe: two steps, films in the named size, each batch as it was planned."""
    data = sample.export(tmp_path / "data", "ms-swift", "--batch-prompts", 3, "--max-frames", 8)
    given = recipe(data / "launch_ms_swift.sh", SWIFT=None, MODEL=tiny)
    assert given.pop(0) == "rlhf"
    # DeepSpeed is not for CPUs.
    at = given.index("--deepspeed")
    assert given[at + 1] == "zero3_offload"
    del given[at : at + 2]
    weights = given.index("--reward_weights")
    given[weights:weights] = ["listener"]
    given[weights + 4 : weights + 4] = ["1"]
    out = ("--output_dir", tmp_path / "out", "--max_completion_length", 8)
    rollouts = tmp_path / "rollouts"
    env = {**variables_of(data / "media.env"), "EARSHOT_ROLLOUTS": str(rollouts)}
    said = run(trainer("swift"), SCRIPT, "rlhf", *given, *TINY, *out, home=tmp_path, **env)
    found = json.loads(said.splitlines()[-1])
    rows = {row.sample_id: row for row in rows_of(data)}
    planned = [row["sample_id"] for row in pq.read_table(data / "plan.parquet").to_pylist()]
    batches = [one["ids"] for one in found["scored"]]
    assert batches == [[name for name in planned[at : at + 3] for _ in range(6)] for at in (0, 3)]
    for one in found["scored"]:
        assert one["right"] == {"earshot_format": [1.0] * 18, "earshot_task": [1.0] * 18}
        assert one["wrong"] == {"earshot_format": [0.0] * 18, "earshot_task": [0.0] * 18}
    seen = {
        row.video_path: [len(row.frame_indices), 3, row.model_height, row.model_width]
        for row in rows.values()
    }
    assert len(seen) == 2
    assert found["films"] == seen
    # Six completions of each prompt: the trainer scores them, and the listener beside right ones.
    hard = difficulty_of(data, rollouts)
    assert [(row.rollouts, row.reward_min, row.reward_max) for row in hard] == [(18, 0, 2)] * 6


def test_supervised_rows(sample: Sample, tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    """The right answer alone is learnt, with the film before it."""
    options = ("--batch-prompts", 3, "--objective", "sft", "--no-check-media")
    data = sample.export(tmp_path / "data", "ms-swift", *options)
    given = (
        "--model", tiny, "--dataset", data / "train.jsonl", "--dataset_shuffle", "false",
        "--split_dataset_ratio", 0, "--tuner_type", "full", "--output_dir", tmp_path / "out",
    )  # fmt: skip
    env = variables_of(data / "media.env")
    said = run(trainer("swift"), SCRIPT, "sft", *given, *TINY, home=tmp_path, **env)
    found = json.loads(said.splitlines()[-1])
    assert found == [
        {"learnt": f"{row.answer}\n", "vision_tokens": row.vision_tokens} for row in rows_of(data)
    ]


def test_rows_with_and_without_sound(sample: Sample, tmp_path: Path) -> None:  # noqa: F811
    """Its loader keeps both, in order: a film without a track has no tag, and an empty list."""
    videos = Path(shutil.copytree(sample.videos, tmp_path / "videos"))
    mute = min(videos.iterdir())
    with av.open(mute) as source, av.open(tmp_path / "mute.mp4", "w") as made:
        picture = source.streams.video[0]
        stream = made.add_stream_from_template(picture)
        for packet in source.demux(picture):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    shutil.move(tmp_path / "mute.mp4", mute)
    data = replace(sample, videos=videos).export(
        tmp_path / "data", "ms-swift", "--batch-prompts", 3, profile="qwen2_5_omni"
    )
    script = "tests/consumers/load_ms_swift.py"
    said = run(trainer("swift"), script, data / "train.jsonl", home=tmp_path)
    loaded, rows = json.loads(said.splitlines()[-1]), rows_of(data)
    assert [one["sample_id"] for one in loaded] == [row.sample_id for row in rows]
    assert {row.has_audio for row in rows} == {True, False}
    for one, row in zip(loaded, rows, strict=True):
        assert [Path(path).exists() for path in one["audios"]] == [True] * row.has_audio
        assert one["messages"][1]["content"].count("<audio>") == row.has_audio
        assert one["videos"] == [row.video_path]
