"""Exports a release for a trainer: neutral rows, the trainer's files, its rewards, the plan.

Takes a release, a folder of videos and a configuration; gives a folder that is whole or not there.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earshot import __version__
from earshot.errors import InputError
from earshot.prompts.answering import train_prompt_version
from earshot.rewards import WEIGHTS
from earshot.schemas.arrow import to_table
from earshot.schemas.release import MANIFEST
from earshot.schemas.training import (
    DroppedRow,
    ExportConfig,
    ExportManifest,
    TrainingRow,
)
from earshot.store.workspace import temporary_name
from earshot.tasks.grpo.dialects import DIALECTS
from earshot.tasks.grpo.dialects.made import Batch
from earshot.tasks.grpo.difficulty import Known, bins_of, read_difficulty
from earshot.tasks.grpo.footage import Footage
from earshot.tasks.grpo.plan import Plan, make_plan, plan_digest, plan_table
from earshot.tasks.grpo.rows import Made, make_rows
from earshot.tasks.releases.release import Release

CHUNK_ROWS = 256
"""Rows that are in memory with their pictures at a time."""


def export(
    release: Release,
    media_root: str | Path,
    out: str | Path,
    config: ExportConfig,
    difficulty: Path | None = None,
) -> ExportManifest:
    """Write an export and return its manifest.

    `out` has `rows.parquet` (neutral), the trainer's files, `plan.parquet`, `dropped.parquet`, the
    reward file of the trainer, `audio/` where it carries sound, and `manifest.json`.

    Args:
        release: to export.
        media_root: folder of its videos.
        out: folder that is not there yet.
        config: for whom and how.
        difficulty: what `earshot grpo difficulty` wrote, for the filter and the order by it.

    Raises:
        InputError: `out` is there already, a video is at fault and that stops the export, or no
            batch can be filled.
        ReleaseError: the release lacks a table or the split.
    """
    target = Path(out).absolute()
    if target.exists():
        raise InputError(f"{target} is there already; give another --out, or remove it")
    if config.wants_difficulty and difficulty is None:
        raise InputError(
            "zero_variance and curriculum_bins go by stored rollouts; give --difficulty, the table "
            "that `earshot grpo difficulty` writes"
        )
    known = Known(None if difficulty is None else read_difficulty(difficulty))
    folder = target.with_name(temporary_name(target.name))
    scratch = target.with_name(temporary_name(target.name, "frames"))
    folder.mkdir(parents=True)
    try:
        with Footage(release, Path(media_root), config) as footage:
            made = make_rows(release, footage, config, folder, scratch, known)
        manifest = _write(release, made, folder, target, config, known)
        folder.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def _write(
    release: Release,
    made: Made,
    folder: Path,
    target: Path,
    config: ExportConfig,
    known: Known,
) -> ExportManifest:
    rows = made.rows
    tasks = [row.task for row in rows]
    means = np.array([row.reward_mean for row in rows], dtype=np.float64)
    bins = bins_of(tasks, means, config.curriculum_bins) if config.curriculum_bins else None
    plan = make_plan(
        tasks,
        [row.vision_tokens for row in rows],
        batch=config.batch_prompts,
        ranks=config.ranks,
        epochs=config.epochs,
        seed=config.seed,
        quotas=config.quotas,
        bins=bins,
    )
    planned = plan_table(plan, [r.sample_id for r in rows], [r.vision_tokens for r in rows])
    dropped = [*made.dropped, *_left_out(rows, plan)]
    names = ["rows.parquet", "plan.parquet", "dropped.parquet"]
    _write_rows(rows, plan, folder / names[0])
    pq.write_table(planned, folder / names[1], compression="zstd")
    dropped.sort(key=lambda row: row.sample_id)
    pq.write_table(to_table(DroppedRow, dropped), folder / names[2], compression="zstd")
    dialect = DIALECTS[config.dialect]
    names += dialect.write(_batches(made, plan, target), folder, config)
    if config.objective == "grpo":
        names.append(_write_adapter(dialect.adapter, folder))
    used = {int(index) for index in plan.prompts}
    names += sorted({made.sounds[r.video_id] for r in rows if r.video_id in made.sounds})
    manifest = ExportManifest(
        release=release.name,
        release_pin=release.pin,
        code_version=__version__,
        prompt_version=train_prompt_version(),
        config=config,
        questions=made.questions,
        prompts=len(used),
        rows=plan.order.size,
        dropped=dict(sorted(Counter(row.reason_code for row in dropped).items())),
        left_out=plan.left_out,
        grid_steps=dict(
            sorted(Counter(f"{rows[at].grid_step_s:g}" for at in sorted(used)).items())
        ),
        quotas=plan.quotas,
        batches=plan.order.shape[1],
        difficulty=made.difficulty(known),
        plan_digest=plan_digest(planned),
        worst_rank=round(plan.worst_rank, 4),
        reward_weights={task: dict(weights) for task, weights in WEIGHTS.items()},
        files={name: _sha256(folder / name) for name in names},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def _left_out(rows: list[TrainingRow], plan: Plan) -> list[DroppedRow]:
    """Return a dropped row for each prompt that stands in no epoch."""
    used = {int(index) for index in plan.prompts}
    return [
        DroppedRow(
            sample_id=row.sample_id,
            video_id=row.video_id,
            task=row.task,
            status="filtered",
            reason_code="no_full_batch",
            message=f"{plan.quotas.get(row.task, 0)} {row.task} prompts a batch in "
            f"{plan.order.shape[1]} batches of {plan.order.shape[0]} epochs",
        )
        for at, row in enumerate(rows)
        if at not in used
    ]


def _write_rows(rows: list[TrainingRow], plan: Plan, path: Path) -> None:
    order = plan.order.reshape(-1)
    with pq.ParquetWriter(path, to_table(TrainingRow, []).schema, compression="zstd") as file:
        for first in range(0, len(order), CHUNK_ROWS):
            chunk = [rows[int(at)] for at in order[first : first + CHUNK_ROWS]]
            table: pa.Table = to_table(TrainingRow, chunk)
            file.write_table(table)


def _batches(made: Made, plan: Plan, target: Path) -> Iterator[Batch]:
    """Yield the rows in the order of the plan; sounds are named where they will lie."""
    order = plan.order.reshape(-1)
    sounds = {video_id: str(target / name) for video_id, name in made.sounds.items()}
    for first in range(0, len(order), CHUNK_ROWS):
        rows = [made.rows[int(at)] for at in order[first : first + CHUNK_ROWS]]
        yield Batch(first, rows, made.frames, sounds)


def _write_adapter(name: str, folder: Path) -> str:
    source = resources.files("earshot.tasks.grpo.adapters").joinpath(f"{name}.py")
    (folder / f"{name}.py").write_bytes(source.read_bytes())
    return f"{name}.py"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
