"""Shows one batch of an export as a web page: what each rank is given, with the truth drawn in.

Takes an export's folder, gives its rows and one HTML file with everything inside; a video that is
gone is said to be so. Never changes the export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from earshot.errors import InputError, ItemError
from earshot.media.child import Worker
from earshot.media.frames import read_frames
from earshot.media.stills import jpeg_url
from earshot.schemas.arrow import from_table
from earshot.schemas.base import faults_of
from earshot.schemas.release import MANIFEST
from earshot.schemas.training import ExportManifest, PlanRow, TrainingRow

THUMBNAILS = 4
WIDTH_PX = 240
_LIMIT_S = 60.0
_COLOURS = ("#4ea1ff", "#3fb950", "#d29922", "#f778ba", "#a371f7", "#f85149")


@dataclass(frozen=True)
class Prompt:
    """A row and its place in the plan."""

    place: PlanRow
    row: TrainingRow


@dataclass(frozen=True)
class Drawn:
    """A thumbnail: a frame that the model is shown, and the truth's boxes at the nearest time.

    Attributes:
        boxes: (left, top, width, height, colour), in per cent of the frame.
    """

    url: str
    time_s: float
    boxes: tuple[tuple[float, float, float, float, str], ...]


def read_batch(folder: Path, epoch: int, batch: int) -> tuple[ExportManifest, list[Prompt]]:
    """Return the manifest of an export and the prompts of a batch, in the order of the files.

    Raises:
        InputError: the folder is no export, or has no such batch.
    """
    try:
        manifest = _manifest(folder)
        plan = pq.read_table(folder / "plan.parquet")
        here = np.flatnonzero(
            (plan["epoch"].to_numpy() == epoch) & (plan["batch"].to_numpy() == batch)
        )
        if not len(here):
            raise InputError(
                f"{folder} has no batch {batch} in epoch {epoch}; expected 0 to "
                f"{manifest.batches - 1} in epochs 0 to {manifest.config.epochs - 1}"
            )
        places = from_table(PlanRow, plan.take(pa.array(here)))
        rows = _rows(folder / "rows.parquet", int(here[0]), len(here))
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{folder} is no export: {error}; expected a folder of `earshot grpo export`"
        ) from error
    if [place.sample_id for place in places] != [row.sample_id for row in rows]:
        raise InputError(f"{folder}: its rows are not those of its plan; export again")
    return manifest, [Prompt(*pair) for pair in zip(places, rows, strict=True)]


def write_preview(manifest: ExportManifest, prompts: Sequence[Prompt], out: Path) -> None:
    """Write the page about a batch."""
    ranks: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        ranks.setdefault(prompt.place.rank, []).append(prompt)
    loads = {rank: sum(p.row.vision_tokens for p in mine) for rank, mine in ranks.items()}
    with Worker(_LIMIT_S) as worker:
        pictures = {p.row.sample_id: _pictures(worker, p.row) for p in prompts}
    source = resources.files(__package__).joinpath("preview.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(source).render(
        manifest=manifest, place=prompts[0].place, ranks=ranks, loads=loads, pictures=pictures,
        largest=max(loads.values()), colours=_colours,
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")


def _manifest(folder: Path) -> ExportManifest:
    try:
        return ExportManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except ValidationError as error:  # of a release, say: it would tell every field
        raise ValueError(f"its {MANIFEST} has {faults_of(error)}") from error


def _rows(path: Path, first: int, count: int) -> list[TrainingRow]:
    """Return rows of a file, reading the row groups that have them."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
        begins = np.concatenate([[0], np.cumsum(sizes)])
        last = first + count
        groups = [n for n in range(len(sizes)) if begins[n] < last and begins[n + 1] > first]
        table = file.read_row_groups(groups, columns=list(TrainingRow.model_fields))
        return from_table(TrainingRow, table.slice(first - begins[groups[0]], count))


def _colours(row: TrainingRow) -> list[tuple[str, str]]:
    """Return (name, colour) of each instance of the truth."""
    return [(thing.name, _COLOURS[at % len(_COLOURS)]) for at, thing in enumerate(row.gt_objects)]


def _pictures(worker: Worker, row: TrainingRow) -> list[Drawn] | str:
    """Return thumbnails, or why there are none."""
    shown = np.array(row.frame_indices) / row.native_fps
    boxed = np.unique([box.t_s for thing in row.gt_objects for box in thing.boxes])
    asked = boxed if len(boxed) else shown
    wanted = asked[np.linspace(0, len(asked) - 1, THUMBNAILS).round().astype(int)]
    times = shown[np.abs(shown[None] - np.unique(wanted)[:, None]).argmin(axis=1)]
    height = max(round(WIDTH_PX * row.height / row.width), 1)
    path = Path(row.video_path)
    try:
        frames = worker.arrays(
            3 * WIDTH_PX * height, read_frames, path, tuple(times), WIDTH_PX, height
        )
        pairs = zip(np.unique(wanted).tolist(), frames, strict=True)
        return [
            Drawn(jpeg_url(f), t, _boxes(row, at) if len(boxed) else ()) for at, (t, f) in pairs
        ]
    except ItemError as fault:
        return f"{fault.code}: {fault}"


def _boxes(row: TrainingRow, time_s: float) -> tuple[tuple[float, float, float, float, str], ...]:
    return tuple(
        (100 * b.x1, 100 * b.y1, 100 * (b.x2 - b.x1), 100 * (b.y2 - b.y1), colour)
        for thing, (_, colour) in zip(row.gt_objects, _colours(row), strict=True)
        for b in thing.boxes
        if b.t_s == time_s
    )
