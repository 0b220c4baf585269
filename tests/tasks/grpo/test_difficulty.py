"""Stored rollouts say how hard prompts are; the exporter filters and orders by it."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earshot.errors import InputError
from earshot.tasks.grpo.difficulty import (
    bins_of,
    measure,
    read_difficulty,
    read_rollouts,
    summarise,
)
from earshot.tasks.grpo.export import export
from earshot.tasks.grpo.plan import make_plan
from tests.tasks.grpo.test_export import config, dropped_of, rows_of


def test_rewards_are_read_from_any_form_and_bad_rows_are_counted(tmp_path):
    """JSON Lines and Parquet by their usual names; NaN, text and lines without id are told."""
    lines = [
        {"sample_id": "a", "reward": 2}, {"question_id": "a", "score": 1.0},
        {"sample_id": "b", "total": 0.5}, {"sample_id": "b", "reward": float("nan")},
        {"sample_id": "b", "reward": True}, {"reward": 1.0}, {"sample_id": "b", "completion": "x"},
    ]  # fmt: skip
    written = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n\n"
    (tmp_path / "r.jsonl").write_text(written)
    pq.write_table(pa.table({"sample_id": ["b"], "reward": [0.5]}), tmp_path / "r.parquet")
    found = read_rollouts([tmp_path / "r.jsonl", tmp_path / "r.parquet"])
    assert (found.malformed, found.unknown) == (5, 0)
    assert measure(found, 1.5).to_pylist() == [
        {
            "sample_id": "a", "rollouts": 2, "reward_mean": 1.5, "reward_variance": 0.25,
            "pass_rate": 0.5, "reward_min": 1.0, "reward_max": 2.0,
        },
        {
            "sample_id": "b", "rollouts": 2, "reward_mean": 0.5, "reward_variance": 0.0,
            "pass_rate": 0.0, "reward_min": 0.5, "reward_max": 0.5,
        },
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"no rollout .*with --export|no rollout"):
        read_rollouts([tmp_path / "r.jsonl"], truths={})
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    for name in ("bad.parquet", "gone.jsonl"):
        with pytest.raises(InputError, match=name):
            read_rollouts([tmp_path / name])


def test_what_scores_completions_is_said_where_it_is_missing(tmp_path):
    """Without the export a completion has no truth; a pass mark has to be a number."""
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"sample_id": "a", "completion": "dog"}))
    with pytest.raises(InputError, match=r"r\.jsonl row 1: a completion, which is"):
        read_rollouts([path])
    with pytest.raises(InputError, match="--pass-at nan: expected a finite number"):
        summarise([path], tmp_path / "d.parquet", None, float("nan"))


@pytest.mark.parametrize(
    "changes",
    [
        {"reward_mean": float("nan")}, {"reward_mean": None}, {"reward_mean": "high"},
        {"sample_id": None}, {"rollouts": 0}, {"rollouts": 2**40}, {"reward_variance": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_table_of_other_values_is_refused(tmp_path, changes):
    """No number, none at all, or one that rollouts can't have: nothing may be ordered by it."""
    row = {
        "sample_id": "a", "rollouts": 2, "reward_mean": 1.0, "reward_variance": 0.25,
        "pass_rate": 0.0, "reward_min": 0.5, "reward_max": 1.5,
    }  # fmt: skip
    path = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert read_difficulty(path).num_rows == 1
    pq.write_table(pa.Table.from_pylist([{**row, **changes}]), path)
    with pytest.raises(InputError, match=r"--difficulty .*d\.parquet: .*; (expected|make)"):
        read_difficulty(path)


def test_bins_are_equal_parts_of_each_task():
    """The best come first; ties by position; prompts without rollouts are in the middle."""
    tasks = ["temporal"] * 4 + ["spatial"] * 5
    means = np.array([0.1, 2.0, 1.0, 1.0, 0.3, np.nan, 0.2, 0.1, 0.0])
    assert bins_of(tasks, means, 2).tolist() == [1, 0, 0, 1, 0, 1, 0, 1, 1]


def test_an_epoch_goes_from_easy_to_hard_with_exact_quotas():
    """Every task's bins ascend; another seed draws others of the same bin first."""
    tasks = ["temporal", "spatial"] * 60
    means = np.random.default_rng(0).uniform(0, 2, 120)
    bins = bins_of(tasks, means, 3)
    plans = [make_plan(tasks, [1] * 120, batch=8, ranks=2, seed=s, bins=bins) for s in (1, 2)]
    assert not np.array_equal(plans[0].order, plans[1].order)
    for plan in plans:
        (epoch,) = plan.order
        for task in ("temporal", "spatial"):
            seen = [bins[at] for at in epoch.ravel() if tasks[at] == task]
            of_batch = np.array(seen).reshape(15, 4)
            assert (np.diff(of_batch.max(axis=1)) >= 0).all()
            assert (of_batch.max(axis=1)[:-1] <= of_batch.min(axis=1)[1:]).all()
            assert Counter(seen) == {0: 20, 1: 20, 2: 20}


def test_the_exporter_goes_by_rollouts(release, films, tmp_path):
    """Completions are scored against the export; flat groups go with a reason, the rest ascends."""
    quick = {"check_media": False}
    export(release, films, tmp_path / "first", config(**quick))
    rows = rows_of(tmp_path / "first")
    lines = []
    for at, row in enumerate(sorted(rows, key=lambda row: row.sample_id)[:-1]):
        good, bad = {"sample_id": row.sample_id, "completion": row.answer}, "I can't tell."
        # The first three are always right; the others the more seldom the later they come.
        right = 18 if at < 3 else 18 - at
        lines += [{**good, "completion": row.answer if n < right else bad} for n in range(18)]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    table = tmp_path / "d" / "difficulty.parquet"
    said = summarise([tmp_path / "r.jsonl"], table, tmp_path / "first", 1.5)
    assert (said.prompts, said.rollouts, said.prompts_without) == (17, 17 * 18, 1)
    assert said.zero_variance == 3
    assert (said.malformed, said.unknown) == (0, 0)

    with pytest.raises(InputError, match="give --difficulty"):
        export(release, films, tmp_path / "none", config(zero_variance="drop"))
    hard = config(**quick, zero_variance="drop", curriculum_bins=5, batch_prompts=3)
    manifest = export(release, films, tmp_path / "a", hard, table)
    assert manifest.dropped == {"zero_variance": 3}
    assert manifest.difficulty.measured == 17
    assert manifest.difficulty.unmeasured == 1
    assert all(row.message == "18 rollouts, each worth 2" for row in dropped_of(tmp_path / "a"))
    planned = [row for row in rows_of(tmp_path / "a") if row.task == "temporal"]
    means = [row.reward_mean for row in planned if row.reward_mean is not None]
    assert means == sorted(means, reverse=True)
    again = export(release, films, tmp_path / "b", hard, table)
    assert again == manifest


def test_rollouts_of_another_release_are_refused(release, films, tmp_path):
    """None of its prompts is asked: whoever gave the table would train as if there were none."""
    (tmp_path / "r.jsonl").write_text(json.dumps({"sample_id": "elsewhere", "reward": 1}))
    summarise([tmp_path / "r.jsonl"], tmp_path / "d.parquet", None, 1.5)
    with pytest.raises(InputError, match="has 1 prompts, and none of the 18 questions of"):
        export(release, films, tmp_path / "a", config(check_media=False), tmp_path / "d.parquet")
    assert not (tmp_path / "a").exists()
