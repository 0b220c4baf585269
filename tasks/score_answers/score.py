"""Scores predictions about a release: reads, measures, groups, sets the baselines beside.

Takes paths, gives a `ScoreReport`, and writes it as JSON, Markdown and a plot where it is asked to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from earshot.errors import InputError
from earshot.rewards.result import Mode
from earshot.tasks.score_answers.baselines import score_baselines
from earshot.tasks.score_answers.groups import DRAWS, LEVEL, am_lgm, group_scores, measure_all
from earshot.tasks.score_answers.read import Predictions, Questions, read_predictions, read_release
from earshot.tasks.score_answers.record import PredictionCounts, ScoreReport, SplitName
from earshot.tasks.score_answers.report import to_markdown

JSON, MARKDOWN, PLOT = "scores.json", "scores.md", "scores.png"


def score_answers(
    release: Path,
    predictions: Path,
    split: SplitName = "test",
    mode: Mode = "strict",
    out: Path | None = None,
) -> ScoreReport:
    """Return how good the predictions are (CONTRACTS 8); missing and malformed ones score 0.

    Args:
        release: folder with a `manifest.json`.
        predictions: JSON Lines of `{question_id, completion}`.
        split: which questions are scored, or `all`.
        mode: `strict`, or `avst_zero` for comparison with the released code's numbers.
        out: folder for `scores.json`, `scores.md` and `scores.png`; made if it is not there.

    Raises:
        InputError: the release or the file can't be used, or the split has no question.
    """
    benchmark = read_release(release)
    questions = benchmark.of_split(split)
    found = read_predictions(predictions, set(benchmark.questions.column("question_id")))
    if found.lines and found.malformed == found.lines:
        raise InputError(
            f"predictions {str(predictions)!r}: none of {found.lines:,} lines can be read, "
            f"{found.problems[0]}; expected JSON Lines, one object with question_id and "
            "completion a line: `earshot answer` writes such a file"
        )
    scored = measure_all(questions, found.completions, mode)
    am, lgm = am_lgm(scored) if mode == "strict" else (None, None)
    train = replace(benchmark.questions, split="train")
    report = ScoreReport(
        release=benchmark.name,
        release_version=benchmark.version,
        content_digest=benchmark.content_digest,
        split=split,
        mode=mode,
        questions=len(scored),
        videos=len({each.video_id for each in scored}),
        predictions=_counts(questions, found),
        problems=tuple(found.problems),
        am=am,
        lgm=lgm,
        level=LEVEL,
        draws=DRAWS,
        groups=group_scores(scored),
        baselines=score_baselines(train, questions, mode),
    )
    if out is not None:
        write_report(report, out)
    return report


def write_report(report: ScoreReport, out: Path) -> tuple[Path, ...]:
    """Write a report as JSON, Markdown and a plot into a folder; return the paths."""
    from earshot.tasks.score_answers.plot import draw

    out.mkdir(parents=True, exist_ok=True)
    (out / JSON).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    draw(report, out / PLOT)
    (out / MARKDOWN).write_text(to_markdown(report, PLOT), encoding="utf-8")
    return tuple(out / name for name in (JSON, MARKDOWN, PLOT))


def _counts(questions: Questions, found: Predictions) -> PredictionCounts:
    ids = set(questions.column("question_id"))
    answered = len(ids & found.completions.keys())
    return PredictionCounts(
        lines=found.lines,
        answered=answered,
        missing=len(ids) - answered,
        failed=found.failed,
        malformed=found.malformed,
        unknown=found.unknown,
        duplicate=found.duplicate,
        other_split=len(found.completions) - answered,
    )
