"""`earshot release`: publish what is there; list, check, compare and move what was published."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earshot.cli import show
from earshot.cli.build import Json, WorkspaceOption
from earshot.cli.outputs import file_to_write, folder_to_fill
from earshot.errors import InputError, ReleaseError

if TYPE_CHECKING:
    from earshot.tasks.releases.compare import Comparison
    from earshot.tasks.releases.media import MediaReport
    from earshot.tasks.releases.move import Moved

release_app = typer.Typer(
    help="Publish releases; list, check, compare, move and look at them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

media_app = typer.Typer(
    help="The videos that a release is about.", no_args_is_help=True, rich_markup_mode=None
)
release_app.add_typer(media_app, name="media")

Place = Annotated[str, typer.Argument(help="Folder or fsspec URL under which versions stand.")]
Version = Annotated[
    str, typer.Argument(help="Folder or fsspec URL of a version, such as releases/earshot-v1.")
]
Pin = Annotated[
    str | None,
    typer.Option("--pin", help="sha256 of the manifest that it must have; see `release list`."),
]


@release_app.command("publish")
def publish(
    workspace: WorkspaceOption,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Folder or URL; default: the workspace's releases/."),
    ] = None,
    json: Json = False,
) -> None:
    """Publish the current questions of a workspace as the next version, if anything is new."""
    from earshot.schemas.request import BuildRequest
    from earshot.tasks.build import conclude
    from earshot.tasks.pipeline import open_run

    run = open_run(BuildRequest(workspace=str(workspace), only="release"))
    report = conclude(run, to)
    if json:
        show.print_json(report.to_json())
        return
    if report.publication is not None:
        show.say(report.publication.message)
    for line in report.lines():
        show.say(line)


@release_app.command("list")
def list_(place: Place, json: Json = False) -> None:
    """List the versions of a place, with the pin of each."""
    from earshot.tasks.releases.listing import list_releases

    found = list_releases(place)
    if json:
        show.print_json([dataclasses.asdict(one) for one in found])
        return
    if not found:
        show.say(f"no release in {place}")
        return
    table = show.new_table()
    for name in ("release", "published", "questions", "MB", "licence", "pin"):
        table.add_column(
            name, no_wrap=True, justify="right" if name in ("questions", "MB") else "left"
        )
    for one in found:
        table.add_row(
            f"{one.name}-v{one.version}", one.published_at[:16].replace("T", " "),
            f"{one.questions:,}", f"{one.bytes / 1e6:,.1f}", one.licence, one.pin[:12],
        )  # fmt: skip
    show.console.print(table)


@release_app.command("show")
def show_(release: Version, pin: Pin = None, json: Json = False) -> None:
    """Show what a version holds: questions, tables, where it comes from, its pin."""
    from earshot.tasks.releases import Release

    found = Release(release, pin=pin)
    head = found.head
    if json:
        rows = {name: sum(f.rows or 0 for f in found.files(name)) for name in found.tables}
        said = head.model_dump(mode="json", exclude={"files", "system_prompts"})
        show.print_json({**said, "place": release, "pin": found.pin, "rows": rows})
        return
    show.say(f"release   {found.name} at {release}")
    show.say(f"pin       {found.pin}")
    published = head.published_at.strftime("%Y-%m-%d %H:%M UTC") if head.published_at else "?"
    show.say(f"published {published} with earshot {head.code_version or '?'}")
    show.say(f"licence   {head.licence}")
    if head.previous:
        show.say(f"follows   v{head.previous.version} ({head.previous.manifest_sha256[:12]})")
    for who, count in head.inspected_by.items():
        show.say(f"inspected {count:,} questions rest on {who} inspection")
    table = show.new_table()
    table.add_column("questions", no_wrap=True)
    tasks = sorted({task for counts in head.questions.values() for task in counts})
    for split in head.questions:
        table.add_column(split, justify="right", no_wrap=True)
    for task in tasks:
        table.add_row(task, *(f"{counts.get(task, 0):,}" for counts in head.questions.values()))
    show.console.print(table)
    table = show.new_table()
    table.add_column("table", no_wrap=True)
    for name in ("rows", "kB"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in found.tables:
        files = found.files(name)
        kilobytes = sum(f.bytes for f in files) / 1e3
        table.add_row(name, f"{sum(f.rows or 0 for f in files):,}", f"{kilobytes:,.0f}")
    show.console.print(table)
    for warning in head.warnings:
        show.say(f"note      {warning}")


@release_app.command("verify")
def verify(release: Version, pin: Pin = None, json: Json = False) -> None:
    """Check every file of a version, byte by byte, against its manifest."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.verify import verify as check

    found = Release(release, pin=pin)
    problems = check(found)
    if json:
        show.print_json({"release": release, "pin": found.pin, "faults": list(problems)})
    else:
        for problem in problems:
            show.say(problem)
    if problems:
        raise ReleaseError(f"{release} is not as its manifest says, faults: {len(problems)}")
    if not json:
        show.say(f"{release} is whole: {len(found.head.files)} files as the manifest says")


DiffFormat = Literal["table", "json", "parquet"]


@release_app.command("diff")
def diff(
    before: Version,
    after: Version,
    table: Annotated[
        list[str] | None, typer.Option("--table", help="This table alone (may be repeated).")
    ] = None,
    form: Annotated[
        DiffFormat, typer.Option("--format", help="json: a line a row; parquet needs --out.")
    ] = "table",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", callback=file_to_write, help="File to write.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows that a table shows.")] = 20,
) -> None:
    """Say which rows one version adds, removes and changes against another, by stable id."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.compare import compare_releases

    if form == "parquet" and out is None:
        raise InputError("--format parquet: give the file with --out FILE.parquet")
    found = compare_releases(Release(before), Release(after), table)
    if form == "parquet" and out is not None:
        import pyarrow.parquet as pq

        pq.write_table(found.rows, out, compression="zstd")
        show.say(f"{found.rows.num_rows:,} differing rows in {out}")
        return
    if out is None:
        _print_diff(found, form, limit)
        return
    with out.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        _print_diff(found, form, limit)


@release_app.command("pull")
def pull(
    release: Version,
    into: Annotated[
        Path,
        typer.Argument(
            callback=folder_to_fill, help="Local folder to put it into, under its name."
        ),
    ],
    pin: Pin = None,
    json: Json = False,
) -> None:
    """Copy a version to the local disk: every file checked, whole or not there; may be repeated."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.move import pull as bring

    _say_moved("pulled", bring(Release(release, pin=pin), into), json)


@release_app.command("push")
def push(
    release: Annotated[Path, typer.Argument(help="Local folder of a version.")],
    to: Place,
    json: Json = False,
) -> None:
    """Copy a local version to another place: whole or not there; may be repeated."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.move import push as send

    _say_moved("pushed", send(Release(release), to), json)


@release_app.command("browse")
def browse(
    release: Version,
    media_root: Annotated[
        Path | None,
        typer.Option("--media-root", help="Folder of the videos; without it none can be played."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", callback=file_to_write, help="Page to write; default: NAME.html here."
        ),
    ] = None,
    video: Annotated[
        list[str] | None, typer.Option("--video", help="This video (may be repeated).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Videos on the page.")] = 200,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the videos into the page, to send it to somebody.")
    ] = False,
    show_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a web page to look at a version: videos with their tubes, events and questions."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.browse import write_page

    found = Release(release)
    target = out or Path(f"{found.name}.html")
    page = write_page(found, target, media_root, videos=video or (), limit=limit, embed=embed)
    show.say(f"page      {page.path}: {page.videos} of {page.of} videos")
    if page.playable < page.videos:
        lost = page.videos - page.playable
        where = (
            "give --media-root"
            if media_root is None
            else f"not in {media_root}, or other films there"
        )
        show.say(f"note      {lost} videos are not at hand ({where}); their tubes are drawn alone")
    if show_it:
        typer.launch(str(target.absolute()))


@media_app.command("check")
def media_check(
    release: Version,
    media_root: Annotated[
        Path, typer.Option("--media-root", help="Folder of the videos, by uri, name or video id.")
    ],
    pin: Pin = None,
    usable: Annotated[
        Path | None,
        typer.Option(
            "--usable",
            callback=file_to_write,
            help="File to write the ids of the usable questions to.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say which videos are there, missing or different, and which questions remain usable."""
    from earshot.tasks.releases import Release
    from earshot.tasks.releases.media import check_media

    report = check_media(Release(release, pin=pin), media_root)
    if usable is not None:
        usable.write_text("".join(f"{one}\n" for one in report.usable_ids), encoding="utf-8")
    if json:
        counted = [
            {"split": split, "task": task, "usable": left, "total": total}
            for (split, task), (left, total) in report.questions.items()
        ]
        videos = [dataclasses.asdict(video) for video in report.videos]
        show.print_json({"videos": videos, "counts": report.counts, "questions": counted})
    else:
        _print_media(report)
    if not report.is_complete:
        lost = sum(total - left for left, total in report.questions.values())
        raise ReleaseError(
            f"{lost} questions can't be asked of the videos in {media_root}: fetch what is missing "
            "or different, or ask only those that --usable FILE names"
        )


def _print_media(report: MediaReport) -> None:
    for video in report.videos:
        if video.state != "identical":
            show.say(f"{video.state:<10} {video.video_id}  {video.why}")
    counts = ", ".join(f"{count:,} {state}" for state, count in report.counts.items())
    show.say(f"videos     {counts}")
    table = show.new_table()
    table.add_column("questions", no_wrap=True)
    for name in ("task", "usable", "all"):
        table.add_column(name, no_wrap=True, justify="left" if name == "task" else "right")
    for (split, task), (left, total) in report.questions.items():
        table.add_row(split, task, f"{left:,}", f"{total:,}")
    show.console.print(table)


def _say_moved(what: str, done: Moved, json: bool) -> None:
    if json:
        show.print_json(dataclasses.asdict(done))
        return
    if not done.is_new:
        show.say(f"{done.place} is there already, with this content")
        return
    kept = f", {done.kept} were there from before" if done.kept else ""
    show.say(f"{what} {done.sent} files{kept}: {done.place}")
    if done.note:
        show.say(f"note      {done.note}")


def _print_diff(found: Comparison, form: DiffFormat, limit: int) -> None:
    import json

    if form == "json":
        for row in found.rows.to_pylist():
            for side in ("before", "after"):
                text = row.pop(f"{side}_json")
                row[side] = None if text is None else json.loads(text)
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    table = show.new_table()
    table.add_column("table", no_wrap=True)
    for name in ("added", "removed", "changed", "unchanged"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.counts:
        table.add_row(each.table, *(f"{n:,}" if n else "·" for n in each[1:]))
    show.console.print(table)
    marks = {"added": "+", "removed": "-", "changed": "~"}
    for row in found.rows.slice(0, limit).to_pylist():
        columns = f"  {', '.join(row['columns'])}" if row["columns"] else ""
        show.say(f"{marks[row['change']]} {row['table']:<13} {row['id']}{columns}")
    if found.rows.num_rows > limit:
        more = found.rows.num_rows - limit
        show.say(f"... and {more:,} more: --limit, or --format json or parquet for all")
