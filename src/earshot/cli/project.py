"""`earshot init`, `sample`, `config` and `doctor`: what comes before the first build."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from earshot.cli import show
from earshot.errors import EarshotError, InputError

if TYPE_CHECKING:
    from earshot.schemas.config import TrackConfig

config_app = typer.Typer(
    help="Show and check configuration files.", no_args_is_help=True, rich_markup_mode=None
)
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file; default: the defaults.")
]


def init(
    workspace: Annotated[Path, typer.Argument(help="Folder to make a workspace of.")],
) -> None:
    """Make a workspace with a config.toml that lists and describes every setting."""
    from earshot.schemas.config import Config
    from earshot.store.config_file import render_config
    from earshot.store.workspace import Workspace, write_atomic

    place = Workspace.open(workspace, create=True)
    if not place.config_file.exists():
        write_atomic(place.config_file, render_config(Config()).encode())
    show.say(f"workspace {place.root}")
    show.say(f"settings  {place.config_file}")
    show.say(f"next      earshot build --input MANIFEST.jsonl --workspace {workspace}")


def sample(
    out: Annotated[Path, typer.Option("--out", help="Folder for the sample; new or empty.")],
    videos: Annotated[int, typer.Option("--videos", min=1, help="How many videos.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another world.")] = 0,
) -> None:
    """Make small videos with captions, and their exact truth beside them."""
    made = make_sample(out, videos, seed)
    show.say(f"input  {made[0]}")
    show.say(f"truth  {made[1]}  (the pipeline is never given this)")
    show.say(f"next   earshot build --input {made[0]} --workspace WORKSPACE")


def make_sample(out: Path, videos: int, seed: int) -> tuple[Path, Path]:
    """Write the sample world with a progress bar; return manifest and truth folder."""
    from rich.progress import track

    from earshot.media.sample_world import write_sample_world

    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out {out} is not empty: name a new or an empty folder")
    steps = iter(
        track(range(videos), description="sample   ", console=show.errors, transient=False)
    )

    def advance(done: int, of: int) -> None:
        del done, of
        next(steps, None)

    world = write_sample_world(out, videos, seed, progress=advance)
    for _ in steps:  # lets the bar end
        pass
    return world.manifest, world.truth


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Print all settings with their descriptions, as TOML."""
    from earshot.store.config_file import load_config, render_config

    sys.stdout.write(render_config(load_config(config)))


@config_app.command("check")
def config_check(
    config: Annotated[Path, typer.Argument(help="TOML file to check.")],
) -> None:
    """Check a configuration file; say what differs from the defaults."""
    from earshot.prompts.packs import load_pack
    from earshot.schemas.config import Config
    from earshot.store.config_file import load_config

    loaded = load_config(config)
    load_pack(loaded.questions.pack)
    found, default = loaded.model_dump(), Config().model_dump()
    for section, fields in found.items():
        for name, value in fields.items():
            if value != default[section][name]:
                before = default[section][name]
                show.say(f"{section}.{name} = {value!r}  (default {before!r})")
    show.say(f"{config} is fine")


def doctor(
    config: ConfigFile = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Measure the tracker's models, so that plan says minutes."
        ),
    ] = False,
) -> None:
    """Check what the machine has; say what is missing and how to get it."""
    from earshot.store.config_file import load_config
    from earshot.tasks.track_objects.machine import Check, check

    track = load_config(config).track
    if calibrate:
        _calibrate(track)
    table = show.new_table()
    for name in ("check", "", "found"):
        table.add_column(name, overflow="fold")
    core = [Check(name, need, found, _REMEDIES.get(name, "")) for name, need, found in _checks()]
    rows = [*core, *check(track)]
    missing = [row for row in rows if row.is_needed and not row.found]
    for row in rows:
        mark = Text("ok", "green") if row.found else Text("not here")
        if row in missing:
            mark = Text("missing", "red")
        table.add_row(row.name, mark, row.found or ("" if row in missing else row.remedy))
    show.console.print(table)
    for row in missing:
        show.say(f"{row.name}: {row.remedy}")
    if missing:
        raise EarshotError("something that earshot needs is missing: see above")


def _calibrate(track: TrackConfig) -> None:
    from earshot.tasks.track_objects.machine import TRACKERS

    if track.backend not in TRACKERS:
        raise InputError(
            f"--calibrate: track.backend = {track.backend!r} has no models to measure; expected "
            f"{' or '.join(TRACKERS)} in --config"
        )
    from earshot.tasks.track_objects.grounded_sam2 import weights

    weights.check_extra()
    from earshot.tasks.track_objects.measure import calibrate

    calibrate(track)


_REMEDIES = {
    "vision": "pip install 'earshot[vision]': Grounded-SAM2",
    "original": "pip install 'earshot[original]': the same by its authors' packages",
    "inspect": "pip install 'earshot[inspect]': Label Studio",
    "train": "pip install 'earshot[train]': TRL",
    "h264 encoder": "reinstall PyAV: `pip install --force-reinstall av`",
    "aac encoder": "reinstall PyAV: `pip install --force-reinstall av`",
}
_EXTRAS = {"vision": "transformers", "original": "sam2", "inspect": "label_studio_sdk"}


def _checks() -> list[tuple[str, bool, str]]:
    """(name, needed, what was found or the empty string) of everything that is checked."""
    import av.codec

    rows = [("Python", True, f"{platform.python_version()} on {platform.machine()}")]
    packages = ("prefect", "fastapi", "pyarrow", "duckdb", "av", "openai")
    rows.extend((package, True, _version_of(package)) for package in packages)
    for name, codec in (("h264 encoder", "libx264"), ("aac encoder", "aac")):
        found = codec if codec in av.codec.codecs_available else ""
        rows.append((name, True, found))
    rows.extend(
        (extra, False, "installed" if importlib.util.find_spec(module) else "")
        for extra, module in {**_EXTRAS, "train": "trl"}.items()
    )
    return rows


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
