"""`earshot grpo`: training data of a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earshot.cli import show
from earshot.cli.build import Json
from earshot.cli.outputs import file_to_write, folder_to_fill
from earshot.errors import InputError

if TYPE_CHECKING:
    from earshot.schemas.training import ExportConfig, ExportManifest

grpo_app = typer.Typer(
    help="Training data of a release, for verl, ms-swift and TRL.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


Dialect = Literal["verl", "ms-swift", "trl"]
Profile = Literal["qwen2_5_vl", "qwen3_vl", "qwen2_5_omni"]
Objective = Literal["grpo", "sft"]
Fault = Literal["drop", "stop"]
Budget = Literal["coarsen", "drop"]
Variance = Literal["keep", "drop"]


@grpo_app.command("export")
def export(
    release: Annotated[str, typer.Option("--release", help="Folder or fsspec URL of a version.")],
    dialect: Annotated[Dialect, typer.Option("--dialect", help="Whose files to write.")],
    profile: Annotated[
        Profile, typer.Option("--model-profile", help="How the model sees and writes boxes.")
    ],
    media_root: Annotated[
        Path, typer.Option("--media-root", help="Folder of the videos, by uri, name or video id.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", callback=folder_to_fill, help="Folder to write, not there yet."
        ),
    ],
    objective: Annotated[
        Objective, typer.Option("--objective", help="sft: rows with the right answer.")
    ] = "grpo",
    split: Annotated[
        str, typer.Option("--split", help="train or validation; test is for evaluation.")
    ] = "train",
    on_fault: Annotated[
        Fault, typer.Option("--on-fault", help="A video is missing, another or broken.")
    ] = "drop",
    over_budget: Annotated[
        Budget, typer.Option("--over-budget", help="An answer has too many tokens.")
    ] = "coarsen",
    check_media: Annotated[
        bool, typer.Option(help="Decode every video before a row is written about it.")
    ] = True,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second that are shown.")] = 2.0,
    max_frames: Annotated[int, typer.Option("--max-frames", help="Frames of a video.")] = 64,
    frame_tokens: Annotated[
        int | None, typer.Option("--frame-tokens", help="Visual tokens of a frame, at most.")
    ] = None,
    completion_tokens: Annotated[
        int, typer.Option("--completion-tokens", help="Tokens of a completion.")
    ] = 1024,
    thinking_tokens: Annotated[
        int, typer.Option("--thinking-tokens", help="Of these, kept free for thinking.")
    ] = 0,
    batch_prompts: Annotated[
        int, typer.Option("--batch-prompts", help="Prompts a batch, all ranks together.")
    ] = 24,
    ranks: Annotated[int, typer.Option("--ranks", help="Processes that share a batch.")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", help="Orders in the files.")] = 1,
    quota: Annotated[
        list[str] | None,
        typer.Option("--quota", help="TASK=N prompts a batch (repeated); default: as they occur."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the order.")] = 42,
    difficulty: Annotated[
        Path | None, typer.Option("--difficulty", help="What `earshot grpo difficulty` wrote.")
    ] = None,
    zero_variance: Annotated[
        Variance, typer.Option("--zero-variance", help="All rollouts got one reward.")
    ] = "keep",
    curriculum: Annotated[
        int, typer.Option("--curriculum", help="Parts of an epoch from easy to hard; 0: none.")
    ] = 0,
    json: Json = False,
) -> None:
    """Write a release's questions as the batches of a trainer, its rewards beside them."""
    from earshot.tasks.grpo.export import export as write
    from earshot.tasks.releases import Release

    config = _config(
        dialect=dialect, profile=profile, objective=objective, split=split,
        on_fault=on_fault, over_budget=over_budget, check_media=check_media, fps=fps,
        max_frames=max_frames, max_frame_tokens=frame_tokens, completion_tokens=completion_tokens,
        thinking_tokens=thinking_tokens, batch_prompts=batch_prompts, ranks=ranks, epochs=epochs,
        quotas=_quotas(quota or ()), seed=seed, zero_variance=zero_variance,
        curriculum_bins=curriculum,
    )  # fmt: skip
    manifest = write(Release(release), media_root, out, config, difficulty)
    if json:
        show.print_json(manifest.to_json())
    else:
        _print(manifest, out)


@grpo_app.command("difficulty")
def difficulty(
    rollouts: Annotated[
        list[Path], typer.Argument(help="JSON Lines or .parquet: sample_id, reward or completion.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", callback=file_to_write, help="Parquet file to write.")
    ],
    export_folder: Annotated[
        Path | None,
        typer.Option("--export", help="The export that was asked: scores completions, knows ids."),
    ] = None,
    pass_at: Annotated[
        float, typer.Option("--pass-at", help="Reward that passes; a right answer has 2.")
    ] = 1.5,
    json: Json = False,
) -> None:
    """Measure how hard prompts were: mean, variance and pass rate of stored rollouts."""
    from earshot.tasks.grpo.difficulty import summarise

    said = summarise(rollouts, out, export_folder, pass_at)
    if json:
        show.print_json(said.model_dump(mode="json"))
        return
    show.say(f"rollouts  {said.rollouts:,} of {said.prompts:,} prompts")
    for what, count in (("malformed", said.malformed), ("unknown", said.unknown)):
        if count:
            show.say(f"          {count:,} {what}: not read")
    for problem in said.problems:
        show.say(f"          {problem}")
    show.say(f"reward    mean {said.reward_mean:.3f}, pass rate {said.pass_rate:.3f}")
    show.say(f"          {said.zero_variance:,} prompts have one reward in all rollouts")
    if said.prompts_without:
        show.say(f"          {said.prompts_without:,} prompts of the export have no rollout")
    show.say(f"table     {out}")


@grpo_app.command("preview")
def preview(
    folder: Annotated[Path, typer.Argument(help="What `earshot grpo export` wrote.")],
    batch: Annotated[int, typer.Option("--batch", help="Of the epoch, from 0.")] = 0,
    epoch: Annotated[int, typer.Option("--epoch", help="From 0.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", callback=file_to_write, help="HTML page with frames and boxes to write."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show a batch: rank, tokens, question and truth; with --out as a page with thumbnails."""
    from earshot.tasks.grpo.preview import read_batch, write_preview

    manifest, prompts = read_batch(folder, epoch, batch)
    if out is not None:
        write_preview(manifest, prompts, out)
    if json:
        rows = [{**p.place.model_dump(), "task": p.row.task, "question": p.row.question,
                 "answer": p.row.answer, "answer_tokens": p.row.answer_tokens}
                for p in prompts]  # fmt: skip
        show.print_json({"batches": manifest.batches, "prompts": rows})
        return
    table = show.new_table()
    for name in ("rank", "slot", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("task", "question", "truth"):
        table.add_column(name, no_wrap=name == "task")
    for one in prompts:
        spans = ", ".join(f"{e.start_s:.1f}-{e.end_s:.1f} s" for e in one.row.gt_events)
        boxes = sum(len(thing.boxes) for thing in one.row.gt_objects)
        names = ", ".join(dict.fromkeys(thing.name for thing in one.row.gt_objects))
        truth = "; ".join(
            part for part in (spans, names, f"{boxes} boxes" if boxes else "") if part
        )
        place = (one.place.rank, one.place.slot, f"{one.row.vision_tokens:,}")
        table.add_row(*map(str, place), one.row.task, one.row.question, truth or "none")
    show.console.print(table)
    if out is not None:
        show.say(f"page      {out}")


def _config(**values: object) -> ExportConfig:
    from pydantic import ValidationError

    from earshot.schemas.training import ExportConfig

    try:
        return ExportConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if not where:  # what does not go together says itself what was given
            raise InputError(first["msg"].removeprefix("Value error, ")) from error
        raise InputError(f"{where}: {first['msg']} (given: {str(first['input'])[:80]})") from error


def _quotas(given: list[str] | tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in given:
        task, _, number = one.partition("=")
        if not number.isdecimal():
            raise InputError(f"--quota {one!r}: expected TASK=N, such as temporal=8")
        if task in found:
            raise InputError(f"--quota {one!r}: {task} has {found[task]} already; give it once")
        found[task] = int(number)
    return found


def _print(manifest: ExportManifest, out: Path) -> None:
    from earshot.schemas.ledger import REASONS

    config = manifest.config
    show.say(f"export    {out}, for {config.dialect} and {config.profile}")
    show.say(f"release   {manifest.release} ({manifest.release_pin[:12]}), split {config.split}")
    show.say(f"prompts   {manifest.prompts:,} of {manifest.questions:,} questions")
    for code, count in manifest.dropped.items():
        show.say(f"dropped   {count:,} {code}: {REASONS[code].sentence} {REASONS[code].remedy}")
    if manifest.difficulty is not None:
        used = manifest.difficulty
        show.say(f"rollouts  of {used.measured:,} questions; {used.unmeasured:,} have none")
    for step, count in manifest.grid_steps.items():
        if step != "1":
            show.say(f"coarser   {count:,} prompts ask for a box every {step} s")
    tasks = ", ".join(f"{count} {task}" for task, count in manifest.quotas.items())
    batches = "1 batch" if manifest.batches == 1 else f"{manifest.batches:,} batches"
    shape = f"{batches} of {config.batch_prompts}"
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    show.say(f"plan      {shape} ({tasks}) in {epochs}, seed {config.seed}")
    balance = f"largest rank / mean {manifest.worst_rank:.2f}"
    show.say(f"          {balance}, digest {manifest.plan_digest[:12]}")
