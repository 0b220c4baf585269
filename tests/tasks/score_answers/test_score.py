"""A perfect predictor gets 1 everywhere, nothing gets 0, and every line of a file is counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from earshot.errors import InputError
from earshot.rewards import metrics
from earshot.tasks.score_answers import read
from earshot.tasks.score_answers.groups import duration_group
from earshot.tasks.score_answers.read import read_predictions, read_release
from earshot.tasks.score_answers.record import ScoreReport
from earshot.tasks.score_answers.report import to_markdown, to_rows
from earshot.tasks.score_answers.score import score_answers


def test_the_truth_scores_one_everywhere(yard_release, write_predictions):
    """The release's own answers have 1 in every metric of every group, with intervals of 1."""
    answers = {q.question_id: q.answer for q in read_release(yard_release).questions}
    report = score_answers(yard_release, write_predictions(answers), "all")
    metrics = [metric for group in report.groups for metric in group.metrics.values()]
    assert {metric.mean for metric in metrics} == {1.0}
    assert {metric.low for metric in metrics} <= {1.0, None}
    assert (report.am, report.lgm) == (1.0, pytest.approx(13.8155, abs=1e-4))
    assert {group.dimension for group in report.groups} == {
        "all", "branch", "category", "duration", "events",
    }  # fmt: skip
    assert report.predictions.answered == report.questions == 24


def test_nothing_answered_scores_zero(yard_release, write_predictions):
    """A missing prediction is 0 in every metric, and said."""
    report = score_answers(yard_release, write_predictions({}), "test")
    metrics = [metric for group in report.groups for metric in group.metrics.values()]
    assert {metric.mean for metric in metrics} == {0.0}
    assert (report.questions, report.predictions.missing) == (6, 6)
    assert report.whole("temporal").statuses == {"no_answer": 2}


def test_a_wrong_half_halves_the_mean_and_opens_the_interval(yard_release, write_predictions):
    """Two test videos, one answered: the mean is 1/2 and draws of videos give 0 to 1."""
    asked = read_release(yard_release).of_split("test")
    first = next(iter(asked)).video_id
    answers = {q.question_id: q.answer for q in asked if q.video_id == first}
    report = score_answers(yard_release, write_predictions(answers), "test")
    metric = report.whole("temporal").metrics["m_tIoU"]
    assert (metric.mean, metric.low, metric.high) == (0.5, 0.0, 1.0)


def test_one_video_has_no_interval(known_release, write_predictions):
    """Draws of one video are all alike, which says nothing."""
    report = score_answers(known_release, write_predictions({}), "test")
    assert report.whole("temporal").metrics["m_tIoU"].low is None


def test_every_line_is_counted(known, known_release, tmp_path):
    """Malformed, unknown, repeated and failed lines, other splits; the first completion counts."""
    right, other, missing = known.of_split("test")
    train = next(iter(known.of_split("train")))
    lines = [
        {"question_id": right.question_id, "completion": None, "error": "timeout"},
        {"question_id": right.question_id, "completion": right.answer, "model": "m"},
        {"question_id": right.question_id, "completion": "too late"},
        {"question_id": other.question_id, "completion": 7},
        {"question_id": "nobody/q", "completion": "x"},
        {"question_id": train.question_id, "completion": train.answer},
        {"completion": "whose?"},
        ["no", "object"],
    ]
    path = tmp_path / "p.jsonl"
    text = "\n".join(json.dumps(line) for line in lines)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\n\xff\xfe\n" + b"[" * 100_000 + b"\n{")
    counts = score_answers(known_release, path, "test").predictions
    assert counts.model_dump() == {
        "lines": 11, "answered": 1, "missing": 2, "failed": 1, "malformed": 6, "unknown": 1,
        "duplicate": 1, "other_split": 1,
    }  # fmt: skip
    read = read_predictions(path, {q.question_id for q in known.questions})
    assert read.completions[right.question_id] == right.answer
    assert read.problems[0].startswith("line 3: ")
    assert missing.question_id not in read.completions


def test_reports_are_written_and_read_back(yard_release, write_predictions, tmp_path):
    """The JSON is the record; Markdown and a flow's table say the same numbers; a plot lies by."""
    predictions = write_predictions({"stranger | <b>": "x"})
    report = score_answers(yard_release, predictions, "test", out=tmp_path / "out")
    text = (tmp_path / "out" / "scores.json").read_text()
    assert ScoreReport.model_validate_json(text) == report
    markdown = (tmp_path / "out" / "scores.md").read_text()
    assert markdown == to_markdown(report, "scores.png")
    assert "0 answered, 6 missing (score 0), 1 lines about unknown questions." in markdown
    assert "| predictions | 0.000 [0.000, 0.000]" in markdown
    assert "| best constant interval |" in markdown
    rows = to_rows(report)
    assert rows[0]["metric"] == "format"
    assert set(rows[0]) == {
        "task", "metric", "predictions", "low", "high", "blind", "blind, searched on train",
    }  # fmt: skip
    assert (tmp_path / "out" / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_equal_reports_give_equal_pictures(yard_release, write_predictions, tmp_path):
    """No date and no version inside, and the bootstrap has a seed."""
    for name in "ab":
        score_answers(yard_release, write_predictions({}), "test", out=tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_released_formulas_have_names_of_their_own(known, known_release, write_predictions):
    """Mode avst_zero: the truth has format 0 there, and no metric is named as a strict one."""
    answers = {q.question_id: q.answer for q in known.questions}
    report = score_answers(known_release, write_predictions(answers), "test", "avst_zero")
    temporal = report.whole("temporal").metrics
    assert set(temporal) == {"avst_zero_format", "avst_zero_task", "avst_zero_temporal"}
    assert (temporal["avst_zero_format"].mean, temporal["avst_zero_task"].mean) == (0.0, 1.0)
    assert report.am is None


def test_categories_and_events_come_from_the_tables(known, known_release, write_predictions):
    """A question stands under the label of its event, and its video has one event."""
    report = score_answers(known_release, write_predictions({}), "all")
    of_temporal = [g for g in report.groups if g.task == "temporal"]
    assert [g.group for g in of_temporal if g.dimension == "category"] == [
        "test barking", "train barking",
    ]  # fmt: skip
    assert [g.group for g in of_temporal if g.dimension == "events"] == ["1"]
    assert {q.n_events for q in known.questions} == {1}


@pytest.mark.parametrize(
    ("duration_s", "group"),
    [(20.0, "0-20 s"), (20.01, "20-40 s"), (60.5, "40-60.5 s"), (60.51, "longer")],
)
def test_a_duration_group_holds_its_upper_end(duration_s, group):
    """(0, 20], (20, 40], (40, 60.5], longer."""
    assert duration_group(duration_s) == group


def test_small_batches_give_the_same_report(yard_release, write_predictions, monkeypatch):
    """To the last digit, however many questions are in memory and videos drawn at a time."""
    answers = {q.question_id: q.answer for q in read_release(yard_release).questions}
    path = write_predictions(dict(list(answers.items())[::2]))
    whole = score_answers(yard_release, path, "all")
    monkeypatch.setattr(read, "BATCH_ROWS", 2)
    monkeypatch.setattr(metrics, "_DRAWN_AT_ONCE", 100)
    assert score_answers(yard_release, path, "all") == whole


def test_a_damaged_table_is_said(yard_release, write_predictions, tmp_path):
    """A file of questions that is gone or torn names itself and the remedy."""
    release = Path(shutil.copytree(yard_release, tmp_path / "r"))
    data = next((release / "data").rglob("*.parquet"))
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{data.name}.*earshot release verify"):
        score_answers(release, write_predictions({}), "all")
    data.unlink()
    with pytest.raises(InputError, match=f"{data.name}.*earshot release verify"):
        score_answers(release, write_predictions({}), "all")


def test_what_is_no_release_is_said(tmp_path, known_release, write_predictions):
    """A folder without a manifest, a file that is not there, a split without questions."""
    with pytest.raises(InputError, match="is no release"):
        score_answers(tmp_path, write_predictions({}))
    with pytest.raises(InputError, match="are not there"):
        score_answers(known_release, tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"one of test, train, all: choose it with --split"):
        score_answers(known_release, write_predictions({}), "validation")
