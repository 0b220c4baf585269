"""verl 0.9.1 reads an export: its configuration, dataset, loader, processor and reward manager."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.schemas.training import TrainingRow
from tests.consumers.world import (  # noqa: F401 - a fixture
    Sample,
    difficulty_of,
    make_tiny,
    recipe,
    rows_of,
    run,
    sample,
    trainer,
)

FILM = "<|vision_start|><|video_pad|><|vision_end|>\n"


@pytest.fixture(scope="module")
def tiny(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A tiny Qwen2.5-VL that knows the texts."""
    return make_tiny(sample, "verl", "verl", tmp_path_factory.mktemp("tiny"))


def test_the_planned_batches(sample: Sample, tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    """By the launch recipe: every row in the planned order, in the named size, and rewarded."""
    options = ("--batch-prompts", 3, "--epochs", 2, "--max-frames", 8)
    data = sample.export(tmp_path / "data", "verl", *options)
    overrides = recipe(data / "launch_verl.sh", PYTHON=None, MODEL=tiny)[2:]
    assert f"actor_rollout_ref.model.path={tiny}" in overrides
    script = "tests/consumers/read_verl.py"
    rollouts = tmp_path / "rollouts"
    said = run(
        trainer("verl"), script, data, tiny, *overrides, home=tmp_path,
        EARSHOT_ROLLOUTS=str(rollouts),
    )  # fmt: skip
    found = json.loads(said.splitlines()[-1])
    planned = pq.read_table(data / "plan.parquet").to_pylist()
    rows = {row.sample_id: row for row in rows_of(data)}
    assert found["kept"] == len(planned) == 12
    assert len(found["batches"]) == 4
    read = [name for batch in found["batches"] for name in batch["ids"]]
    assert read == [row["sample_id"] for row in planned]
    for batch in found["batches"]:
        for name, seen in zip(batch["ids"], batch["seen"], strict=True):
            check_seen(rows[name], seen, found["longest"])
        assert [one["reward_score"] for one in batch["right"]] == [2.0] * 3
        assert [one["reward_score"] for one in batch["wrong"]] == [0.0] * 3
        assert batch["right"][0]["reward_extra_info"] == {"score": 2.0, "format": 1.0, "task": 1.0}
    # One right and one wrong completion of each row.
    hard = {row.sample_id: row for row in difficulty_of(data, rollouts)}
    assert {name: row.rollouts for name, row in hard.items()} == Counter([*read, *read])
    assert all((row.reward_min, row.reward_max) == (0, 2) for row in hard.values())


def check_seen(row: TrainingRow, seen: dict, longest: int) -> None:
    """The model gets the frames, the size and the tokens of the row, and the question once."""
    assert seen["frames"] == list(row.frame_indices)
    assert seen["size"] == [row.model_width, row.model_height]
    assert seen["vision_tokens"] == row.vision_tokens
    assert seen["text"].count(FILM) == 1
    assert seen["text"].endswith(f"{FILM}{row.question}<|im_end|>\n<|im_start|>assistant\n")
    assert row.system_prompt in seen["text"]
    assert seen["tokens"] <= longest


def test_supervised_rows(sample: Sample, tiny: Path, tmp_path: Path) -> None:  # noqa: F811
    """The SFT dataset learns the right answer alone, with the film before it."""
    options = ("--batch-prompts", 3, "--objective", "sft")
    data = sample.export(tmp_path / "data", "verl", *options)
    said = run(trainer("verl"), "tests/consumers/read_verl_sft.py", data, tiny, home=tmp_path)
    found = json.loads(said.splitlines()[-1])
    rows = rows_of(data)
    assert [one["id"] for one in found] == [row.sample_id for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert one["learnt"] == f"{row.answer}\n"
        assert one["vision_tokens"] == row.vision_tokens == one["text"].count("<|video_pad|>")
        assert row.question in one["text"]


def test_qwen_omni_is_still_refused(sample: Sample, tmp_path: Path) -> None:  # noqa: F811
    """The day on which verl takes its processor, the export for it can be allowed."""
    options = ("--batch-prompts", 3, "--no-check-media")
    data = sample.export(tmp_path / "data", "ms-swift", *options, profile="qwen2_5_omni")
    python = trainer("verl")
    run(python, "tests/consumers/make_tiny.py", data, tmp_path / "model", home=tmp_path)
    said = run(python, "tests/consumers/read_omni.py", data, tmp_path / "model", home=tmp_path)
    assert json.loads(said.splitlines()[-1]) == {
        "processor": "Qwen2_5OmniProcessor",
        "verl": "Failed to create processor: Unsupported processor type: Qwen2_5OmniProcessor. "
        "This may affect multimodal processing",
        "path": "could not convert string to float",
        "samples": [128, 3000],
    }
