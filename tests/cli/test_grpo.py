"""`earshot grpo export`: what it prints, and the codes it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.cli import main
from tests.tasks.grpo.conftest import films, release  # noqa: F401 - fixtures


@pytest.fixture
def run(release, films, monkeypatch, capfd):  # noqa: F811
    """Export into a folder with more options; the exit code and what was printed."""

    def call(out: Path, *options: str) -> tuple[int, str, str]:
        arguments = {
            "--release": str(release.place), "--dialect": "verl", "--model-profile": "qwen2_5_vl",
            "--media-root": str(films), "--out": str(out), "--batch-prompts": "6",
        }  # fmt: skip
        flat = [part for pair in arguments.items() for part in pair]
        monkeypatch.setattr("sys.argv", ["earshot", "grpo", "export", *flat, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_export(run, tmp_path):
    """Prompts, losses, the plan; JSON for scripts is the manifest."""
    code, out, _ = run(tmp_path / "a", "--ranks", "2")
    assert code == 0
    assert "prompts   18 of 18 questions" in out
    assert "3 batches of 6 (2 spatial, 2 spatio_temporal, 2 temporal)" in out
    quotas = ("--quota", "temporal=4", "--quota", "spatial=2")
    code, out, _ = run(tmp_path / "b", "--json", "--no-check-media", *quotas)
    assert json.loads(out) == json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert json.loads(out)["quotas"] == {"temporal": 4, "spatial": 2}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--split", "test"), "split: Input should be 'train' or 'validation' (given: test)"),
        (("--ranks", "4"), "batch_prompts 6 over 4 ranks"),
        (("--quota", "temporal"), "expected TASK=N"),
        (
            ("--quota", "temporal=6", "--quota", "temporal=6"),
            "temporal has 6 already; give it once",
        ),
        (("--max-frames", "2"), "max_frames 2: expected at least min_frames, 4"),
        (("--frame-tokens", "9"), "max_frame_tokens 9: expected at least min_frame_tokens, 16"),
        (("--quota", "temporal=4"), "make 4 prompts a batch; expected batch_prompts, 6"),
        (("--batch-prompts", "600"), "no batch of 600 prompts can be filled"),
    ],
)
def test_bad_input_is_told(run, tmp_path, options, told):
    """Exit code 2, the value and what was expected; no folder is left."""
    code, _, error = run(tmp_path / "a", "--no-check-media", *options)
    assert code == 2
    assert told in error
    assert not list(tmp_path.iterdir())


def test_where_no_video_is_there_the_videos_are_told_and_not_the_batch(run, tmp_path):
    """Every question was left out: what is missing is the media, whatever a batch holds."""
    (tmp_path / "empty").mkdir()
    code, _, error = run(tmp_path / "a", "--media-root", str(tmp_path / "empty"))
    assert code == 2
    assert "18 left out, not_found: The video file is not there." in error


def test_difficulty_and_the_exporter_that_goes_by_it(run, tmp_path, monkeypatch, capfd):
    """A table from rewards, what it says, and the options that use it."""
    assert run(tmp_path / "a", "--no-check-media")[0] == 0
    names = pq.read_table(tmp_path / "a" / "rows.parquet")["sample_id"].to_pylist()
    lines = [{"sample_id": n, "reward": r} for at, n in enumerate(names) for r in (1, 1 + at % 3)]
    lines += [{"sample_id": "foreign", "reward": 1}, {"reward": 1}]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    table = tmp_path / "d.parquet"
    call = ["difficulty", str(tmp_path / "r.jsonl"), "-o", str(table), "--export"]
    monkeypatch.setattr("sys.argv", ["earshot", "grpo", *call, str(tmp_path / "a")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    out = capfd.readouterr().out
    assert "rollouts  36 of 18 prompts" in out
    assert "1 malformed" in out
    assert "1 unknown" in out
    assert "6 prompts have one reward in all rollouts" in out
    used = ("--difficulty", str(table), "--zero-variance", "drop", "--curriculum", "2")
    code, out, _ = run(tmp_path / "b", "--no-check-media", "--json", *used)
    assert code == 0
    assert json.loads(out)["dropped"]["zero_variance"] == 6
    code, _, error = run(tmp_path / "c", "--curriculum", "2")
    assert code == 2
    assert "give --difficulty" in error
