"""`earshot plan` and `earshot build`: from a manifest to a release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earshot.cli import show
from earshot.errors import InputError

if TYPE_CHECKING:
    from earshot.schemas.request import BuildRequest
    from earshot.tasks.build import Report

Input = Annotated[
    str, typer.Option("--input", "-i", help="Manifest or annotation file; see `earshot formats`.")
]
Kind = Annotated[
    str | None, typer.Option("--input-kind", help="Format of the input; default: recognised.")
]
MediaRoot = Annotated[
    str | None, typer.Option("--media-root", help="Where relative uris start; default: the input.")
]
WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="Workspace folder.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; default: the workspace's config.toml."),
]
_NEEDS = "Videos that need an earlier stage first are told and left alone."
From = Annotated[str | None, typer.Option("--from", help=f"First stage that may run. {_NEEDS}")]
To = Annotated[str | None, typer.Option("--to", help="Last stage that may run.")]
Only = Annotated[str | None, typer.Option("--only", help=f"This stage alone. {_NEEDS}")]
Force = Annotated[
    list[str] | None,
    typer.Option(
        "--force",
        help="Compute this stage again though it is fresh (may be repeated). Later stages follow "
        "only where its rows come out changed; people's inspections stay.",
    ),
]
Reopen = Annotated[
    list[str] | None,
    typer.Option(
        "--reopen", help="People inspect these again, videos or events: their verdicts so far end."
    ),
]
Items = Annotated[
    list[str] | None,
    typer.Option(
        "--items",
        help="These videos alone: ids, with commas or repeated. A release still holds all.",
    ),
]


LlmMode = Literal["live", "batch"]

Llm = Annotated[
    LlmMode | None,
    typer.Option(
        "--llm-mode", help="live, or batch: the Batch API at half the price; default: llm.mode."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def plan(
    input: Input,  # noqa: A002 - the option's name
    workspace: WorkspaceOption,
    config: ConfigOption = None,
    start: From = None,
    to: To = None,
    only: Only = None,
    force: Force = None,
    items: Items = None,
    reopen: Reopen = None,
    input_kind: Kind = None,
    media_root: MediaRoot = None,
    llm_mode: Llm = None,
    json: Json = False,
) -> None:
    """Say what a build would do and cost; does nothing.

    A workspace that is not there is not made; in one that is only its cache/ may grow.
    """
    from earshot.store.plan import notes
    from earshot.tasks.build import plan_text_only
    from earshot.tasks.pipeline import open_run

    request = request_of(input, workspace, config, start, to, only, force, items, llm_mode)
    told = {
        "input_kind": input_kind,
        "media_root": media_root,
        "reopen": split_ids("--reopen", reopen),
    }
    with _workspace_to_plan_in(workspace) as place:
        run = open_run(request.model_copy(update={**told, "workspace": str(place)}), keep=False)
        plans = run.plan()
        text_only = plan_text_only(run, plans)
    if json:
        told_of = {"text_only": text_only.to_json()} if text_only else {}
        show.print_json({"stages": [one.to_json() for one in plans], **told_of})
        return
    show.print_plan(plans)
    if text_only:
        show.print_text_only(text_only)
    for note in notes(plans):
        show.console.print(f"note: {note}")
    if not any(one.todo or one.blocked for one in plans) and not (text_only and text_only.asks):
        but = "" if not run.publishes else (
            " but to publish what is there, unless the latest release has exactly this content"
        )  # fmt: skip
        show.say(f"everything is fresh: a build has nothing to do{but}")


@contextmanager
def _workspace_to_plan_in(asked: Path) -> Iterator[Path]:
    """Give the workspace that was asked for; where a build would make it, one for the moment."""
    path = asked.expanduser()
    if (path.is_dir() and any(path.iterdir())) or path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="earshot-plan-") as folder:
        yield Path(folder)


def build(
    input: Input,  # noqa: A002 - the option's name
    workspace: WorkspaceOption,
    config: ConfigOption = None,
    start: From = None,
    to: To = None,
    only: Only = None,
    force: Force = None,
    items: Items = None,
    reopen: Reopen = None,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Run in a plain loop, without a server.")
    ] = False,
    no_release: Annotated[bool, typer.Option("--no-release", help="Publish nothing.")] = False,
    input_kind: Kind = None,
    media_root: MediaRoot = None,
    llm_mode: Llm = None,
    json: Json = False,
) -> None:
    """Run every stage that is not fresh, and publish a release."""
    request = request_of(input, workspace, config, start, to, only, force, items, llm_mode)
    told = {
        "publish": not no_release,
        "input_kind": input_kind,
        "media_root": media_root,
        "reopen": split_ids("--reopen", reopen),
    }
    report = run_shown(request.model_copy(update=told), use_prefect=not no_prefect)
    if json:
        show.print_json(report.to_json())
        return
    show.print_stages(report.counts)
    for line in report.lines():
        show.say(line)


def request_of(
    input: str,  # noqa: A002 - the option's name
    workspace: Path,
    config: Path | None,
    start: str | None = None,
    to: str | None = None,
    only: str | None = None,
    force: list[str] | None = None,
    items: list[str] | None = None,
    llm_mode: LlmMode | None = None,
) -> BuildRequest:
    """Return what the options ask for, with the workspace's own config.toml as default."""
    from earshot.schemas.request import BuildRequest
    from earshot.store.config_file import load_config
    from earshot.tasks.pipeline import new_run_id

    own = workspace / "config.toml"
    if config is None and own.exists():
        config = own
    loaded = load_config(config)
    if llm_mode is not None:
        llm = loaded.llm.model_copy(update={"mode": llm_mode})
        loaded = loaded.model_copy(update={"llm": llm})
    return BuildRequest(
        workspace=str(workspace),
        input=input,
        config=loaded,
        start=start,
        end=to,
        only=only,
        force=tuple(force or ()),
        items=split_ids("--items", items),
        run_id=new_run_id(),
    )


def split_ids(option: str, given: list[str] | None) -> tuple[str, ...]:
    """Return the ids that an option names; none where it is not given.

    Raises:
        InputError: if it is given without an id, as by a script's empty variable: that is not all.
    """
    ids = tuple(item for one in given or () for item in one.split(",") if item)
    if given and not ids:
        raise InputError(f"{option} {given[0]!r} names nothing: give ids, or leave it out for all")
    return ids


def run_shown(request: BuildRequest, *, use_prefect: bool) -> Report:
    """Run a build with progress bars, through Prefect or in a plain loop."""
    from earshot.store.runlog import listen_to
    from earshot.tasks.build import run_build

    with show.progress_bars() as listener:
        listen_to(str(request.run_id), listener)
        if not use_prefect:
            return run_build(request)
        from earshot.flows.run import run_build_in_prefect

        return run_build_in_prefect(request, say=show.errors.print)
