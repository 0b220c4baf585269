"""TRL's GRPOTrainer takes an export batch by batch, each process its rank's rows."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.consumers.world import Sample, rows_of, run, sample, trainer  # noqa: F401 - a fixture

RANKS, GENERATIONS = 2, 6


def test_the_planned_batches(sample: Sample, tmp_path: Path) -> None:  # noqa: F811
    """A step a batch, rank by rank as planned; frames in the named size; the reward file scores."""
    options = ("--batch-prompts", 6, "--ranks", RANKS, "--epochs", 2, "--max-frames", 6)
    data, tiny = sample.export(tmp_path / "data", "trl", *options), tmp_path / "tiny"
    python = trainer("train")
    run(python, "tests/consumers/make_tiny.py", data, tiny, home=tmp_path)
    script = "tests/consumers/run_trl.py"
    run(python, script, data, tiny, tmp_path, home=tmp_path, processes=RANKS)
    rows = {row.sample_id: row for row in rows_of(data)}
    plan = pq.read_table(data / "plan.parquet").to_pylist()
    for rank in range(RANKS):
        batches = json.loads((tmp_path / f"seen-{rank}.json").read_text())
        mine = [row for row in plan if row["rank"] == rank]
        for epoch, one in enumerate(batches):
            planned = [row["sample_id"] for row in mine if row["epoch"] == epoch]
            assert one["ids"] == [name for name in planned for _ in range(GENERATIONS)]
            for name, sizes in zip(one["ids"], one["sizes"], strict=True):
                size = [rows[name].model_width, rows[name].model_height]
                assert sizes == [size] * len(rows[name].frame_indices)
            assert one["right"] == [[1.0] * 18] * 2
            assert one["wrong"] == [[0.0] * 18] * 2
        assert len(batches) == 2
