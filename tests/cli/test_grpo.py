"""`earshot grpo export`: what it prints, and the codes it ends with."""

from __future__ import annotations

import json
from pathlib import Path

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
