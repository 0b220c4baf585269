"""`earshot score` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.tasks.publish_release import conftest as worlds


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of eight videos."""
    out = tmp_path_factory.mktemp("score")
    return Path(publish(worlds.make_source(), out, worlds.CONFIG, now=factories.NOW).folder)


def _score(release: Path, predictions: Path, *more: str) -> subprocess.CompletedProcess[str]:
    paths = ("--release", str(release), "--predictions", str(predictions))
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", "score", *paths, *more],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_scores_are_printed_with_what_is_missing(release: Path, tmp_path: Path) -> None:
    """A table a task with the blind answers, what became of the lines, and where the rest lies."""
    (tmp_path / "p.jsonl").write_text('{oops\n{"question_id": "nobody/q", "completion": "x"}\n')
    done = _score(release, tmp_path / "p.jsonl", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "0 answered, 6 missing (score 0), 1 malformed lines, 1 lines" in done.stdout
    assert "line 1: no JSON object" in done.stdout
    for word in ("temporal (2)", "m_tIoU", "whole video", "AM 0.000, LGM 0.000"):
        assert word in done.stdout
    assert (tmp_path / "out" / "scores.png").is_file()


@pytest.mark.parametrize("text", ["question_id,completion\na/q,x\n", '[{"question_id": "a/q"}]'])
def test_a_file_that_holds_no_predictions_is_refused(
    release: Path, tmp_path: Path, text: str
) -> None:
    """A CSV or a JSON array is no model that answered nothing: exit code 2 and the remedy."""
    (tmp_path / "p.jsonl").write_text(text)
    done = _score(release, tmp_path / "p.jsonl")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    for word in ("p.jsonl", "line 1: no JSON object", "expected JSON Lines", "earshot answer"):
        assert word in done.stderr.replace("\n", " ")


def test_json_is_the_report_and_nothing_else(release: Path, tmp_path: Path) -> None:
    """Scripts read standard output."""
    (tmp_path / "p.jsonl").write_text("")
    done = _score(release, tmp_path / "p.jsonl", "--mode", "avst_zero", "--json")
    report = json.loads(done.stdout)
    assert (report["v"], report["mode"], report["predictions"]["missing"]) == (1, "avst_zero", 6)


def test_bad_paths_are_one_clear_line(release: Path, tmp_path: Path) -> None:
    """Exit code 2 and the remedy, no traceback."""
    done = _score(tmp_path, tmp_path / "p.jsonl")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "is no release: expected a folder with manifest.json" in done.stderr
