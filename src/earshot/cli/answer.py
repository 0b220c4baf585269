"""`earshot answer`: asks a model the questions of a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earshot.cli import show
from earshot.cli.outputs import file_to_write
from earshot.cli.score import ReleaseOption, SplitName

if TYPE_CHECKING:
    from earshot.tasks.answer_questions.answer import Answered

_SHOWN = 5


def answer(
    release: ReleaseOption,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Base address, such as http://127.0.0.1:8000/v1.")
    ],
    model: Annotated[str, typer.Option("--model", help="The model's name there.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", callback=file_to_write, help="JSON Lines of answers; a rerun goes on."
        ),
    ],
    media_root: Annotated[
        Path | None, typer.Option("--media-root", help="Where the uris of media.parquet start.")
    ] = None,
    split: Annotated[SplitName, typer.Option("--split", help="Which questions.")] = "test",
    frames_fps: Annotated[
        float, typer.Option("--frames-fps", min=0.01, help="Frames a second that are shown.")
    ] = 1.0,
    max_frames: Annotated[
        int, typer.Option("--max-frames", min=0, help="Frames of a video; 0: the question alone.")
    ] = 64,
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, help="Questions asked at a time.")
    ] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Ask an OpenAI-compatible model; the key is EARSHOT_API_KEY or OPENAI_API_KEY."""
    from dataclasses import asdict

    from earshot.tasks.answer_questions.answer import Asking, answer_questions

    asking = Asking(endpoint, model, frames_fps, max_frames, in_flight)
    result = answer_questions(release, out, asking, media_root, split)
    if as_json:
        show.print_json(asdict(result))
    else:
        _print(result, out)
    if result.failed:
        raise typer.Exit(1)


def _print(result: Answered, out: Path) -> None:
    for video_id, why in list(result.missing_media.items())[:_SHOWN]:
        show.errors.print(f"{video_id}: {why}", markup=False, soft_wrap=True)
    if len(result.missing_media) > _SHOWN:
        show.errors.print(f"... {len(result.missing_media)} videos are missing")
    if not result.missing_media:
        for error in result.errors[:_SHOWN]:
            show.errors.print(error, markup=False, soft_wrap=True)
    said = (
        f"{result.questions} questions: {result.before} had an answer, {result.answered} have now"
    )
    failed = f", {result.failed} failed; run again to ask them again" if result.failed else ""
    show.console.print(f"{said}{failed}\n{out}", soft_wrap=True)
