"""`earshot evaluate`: scores a backend against labels, with a naive baseline beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from earshot.cli import show
from earshot.errors import InputError

if TYPE_CHECKING:
    from earshot.schemas.config import LlmConfig
    from earshot.tasks.evaluate_captions.evaluate import Evaluation

evaluate_app = typer.Typer(
    help="Score a backend against labels.", no_args_is_help=True, rich_markup_mode=None
)


Analyser = Literal["rules", "openai"]


@evaluate_app.callback()
def _group() -> None:
    """Score a backend against labels."""


@evaluate_app.command()
def captions(
    data: Annotated[
        Path | None, typer.Option("--data", help="JSON Lines of labelled sentences.")
    ] = None,
    backend: Annotated[
        Analyser, typer.Option("--backend", "--analyser", help="What to score.")
    ] = "rules",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="openai: TOML file with [llm]; default: the workspace's."
        ),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="openai: keeps the answers; made if missing."),
    ] = None,
    sample_videos: Annotated[
        int, typer.Option("--sample-videos", min=0, help="Videos of the sample world; 0: none.")
    ] = 60,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, another world.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Score what a caption analyser finds: objects by head noun, and whether they are heard."""
    from earshot.tasks.evaluate_captions.evaluate import analyser_named, evaluate
    from earshot.tasks.evaluate_captions.sentences import read_sentences, sample_sentences

    sentences = [] if data is None else read_sentences(data)
    if sample_videos:
        sentences += sample_sentences(sample_videos, seed)
    if not sentences:
        raise InputError(
            "no sentence to score: expected a --data file with lines, or --sample-videos above 0"
        )
    llm, requests = _model(config, workspace) if backend == "openai" else (None, None)
    results = evaluate(sentences, analyser_named(backend, llm, requests))
    if as_json:
        show.print_json([_plain(each) for each in results])
    else:
        _print(results)


def _model(config: Path | None, workspace: Path | None) -> tuple[LlmConfig, Path]:
    """Return which model is asked, and where its answers are kept."""
    from earshot.store.config_file import load_config
    from earshot.store.workspace import Workspace

    if workspace is None:
        raise InputError("--backend openai: expected --workspace, which keeps what was answered")
    place = Workspace.open(workspace, create=True)
    if config is None and place.config_file.exists():
        config = place.config_file
    return load_config(config).llm, place.requests


def _plain(result: Evaluation) -> dict[str, Any]:
    return {
        "backend": result.backend,
        "version": result.version,
        "sentences_per_s": round(result.sentences_per_s, 1),
        "sources": [
            {"source": s.source, "sentences": s.sentences, "counts": s.counts, **s.rates}
            for s in result.scores
        ],
    }


#: Short, for a terminal has 80 columns; in JSON the names are whole.
_HEADINGS = {
    "precision": "P", "recall": "R", "f1": "F1", "audible_accuracy": "hear",
    "audible_precision": "hP", "audible_recall": "hR", "visible_accuracy": "seen",
}  # fmt: skip


_LEGEND = """\
Per cent. P, R, F1: objects by head noun; hear, seen: accuracy on the objects
found, where the label is not unclear; hP, hR: precision and recall of being
heard, over all objects."""


def _print(results: tuple[Evaluation, ...]) -> None:
    """Print one row a source and backend, the baseline below the backend."""

    table = show.new_table()
    for name in ("source", "backend"):
        table.add_column(name, no_wrap=True)
    for name in ("n", *_HEADINGS.values()):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for at in range(len(results[0].scores)):
        for result in results:
            score = result.scores[at]
            said = [_rate(score.rates[name]) for name in _HEADINGS]
            table.add_row(score.source, result.backend, str(score.sentences), *said)
    show.console.print(table)
    show.console.print(_LEGEND)
    speeds = ", ".join(f"{each.backend} {each.sentences_per_s:,.0f}" for each in results)
    show.console.print(f"sentences a second: {speeds}")


def _rate(rate: float | None) -> str:
    if rate is None:
        return "·"
    return "100" if rate == 1 else f"{100 * rate:.1f}"
