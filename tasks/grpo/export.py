"""Exports a release for a trainer: neutral rows, the trainer's files, its rewards, the plan.

Takes a release, a folder of videos and a configuration; gives a folder that is whole or not there.
Rows go over the disk into the order of the plan: in memory are some thousand of them, and about
forty bytes for each of the others.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot import __version__
from earshot.errors import InputError
from earshot.media.child import Worker
from earshot.prompts.answering import train_prompt_version
from earshot.rewards import WEIGHTS
from earshot.schemas.ledger import REASONS
from earshot.schemas.release import MANIFEST
from earshot.schemas.training import (
    DifficultyUse,
    DroppedRow,
    ExportConfig,
    ExportManifest,
    PlanRow,
    TrainingRow,
)
from earshot.store.workspace import leftovers, temporary_name
from earshot.tasks.grpo.ahead import ahead
from earshot.tasks.grpo.dialects import DIALECTS
from earshot.tasks.grpo.dialects.made import Batch
from earshot.tasks.grpo.difficulty import Known, bins_of, read_difficulty
from earshot.tasks.grpo.footage import LIMIT_S, Footage
from earshot.tasks.grpo.halves import COMMON, OWN, TASKS, VIDEO, whole_rows
from earshot.tasks.grpo.plan import Plan, PlanDigest, make_plan, plan_rows
from earshot.tasks.grpo.rows import RowMaker
from earshot.tasks.grpo.spool import Lookup, Spool
from earshot.tasks.releases.release import Release

IMAGE_ROWS, GROUP_ROWS = 256, 2_048
"""Rows with their pictures in memory at a time; rows of a row group."""
ROWS, PLAN, DROPPED = "rows.parquet", "plan.parquet", "dropped.parquet"
_DROPPED_FROM = ("sample_id", "video_id", "task")
N = TypeVar("N", bound=np.generic)
_REPETITIVE = [
    "release", "video_id", "video_uri", "video_path", "video_sha256", "task", "branch", "split",
    "system_prompt", "answer_spec", "box_space", "vision_tokens_profile", "question",
]  # fmt: skip


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
    if os.path.lexists(target):
        raise InputError(f"{target} is there already; give another --out, or remove it")
    if config.wants_difficulty and difficulty is None:
        raise InputError(
            "zero_variance and curriculum_bins go by stored rollouts; give --difficulty, the table "
            "that `earshot grpo difficulty` writes"
        )
    known = Known(None if difficulty is None else read_difficulty(difficulty))
    folder = target.with_name(temporary_name(target.name))
    scratch = target.with_name(temporary_name(target.name, "scratch"))
    try:
        folder.mkdir(parents=True)
        scratch.mkdir()
        for left in leftovers(target, ("tmp", "scratch")):
            shutil.rmtree(left, ignore_errors=True)
        with Worker(LIMIT_S) as worker:
            footage = Footage(release, Path(media_root), config, worker)
            maker = RowMaker(release, footage, config, folder, scratch, known)
            manifest = _Export(release, maker, folder, scratch, target, config, known).write()
        folder.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


@dataclass
class _Facts:
    """What the plan is made of, an array a chunk."""

    tasks: list[npt.NDArray[np.int32]] = field(default_factory=lambda: [np.empty(0, np.int32)])
    tokens: list[npt.NDArray[np.int32]] = field(default_factory=lambda: [np.empty(0, np.int32)])
    means: list[npt.NDArray[np.float64]] = field(default_factory=lambda: [np.empty(0)])
    steps: list[npt.NDArray[np.float64]] = field(default_factory=lambda: [np.empty(0)])

    def add(self, rows: pa.Table, common: pa.RecordBatch) -> None:
        self.tasks.append(pc.index_in(rows["task"], pa.array(TASKS)).to_numpy())
        self.tokens.append(common["vision_tokens"].to_numpy()[rows[VIDEO].to_numpy()])
        self.means.append(rows["reward_mean"].to_numpy())
        self.steps.append(rows["grid_step_s"].to_numpy())


class _Export:
    """An export while it is written."""

    def __init__(
        self,
        release: Release,
        maker: RowMaker,
        folder: Path,
        scratch: Path,
        target: Path,
        config: ExportConfig,
        known: Known,
    ) -> None:
        self._release, self._maker, self._config, self._known = release, maker, config, known
        self._folder, self._target = folder, target
        self._spool = Spool(scratch, OWN)
        self._common = Lookup(scratch / "videos.arrow", COMMON)
        self._dropped: Counter[str] = Counter()
        self._digest = PlanDigest()
        self._questions = 0

    def write(self) -> ExportManifest:
        """Write all files."""
        config, facts = self._config, _Facts()
        with pq.ParquetWriter(
            self._folder / DROPPED, DroppedRow.ARROW, compression="zstd"
        ) as dropped:
            self._spool.write(self._made(facts, dropped))
            if self._known.digest is not None and not self._maker.measured:
                raise InputError(
                    f"--difficulty has {self._known.table.num_rows:,} prompts, and none of the "
                    f"{self._questions:,} questions of {self._release.name}, split "
                    f"{config.split}; expected rollouts of an export of this release"
                )
            tasks = pa.DictionaryArray.from_arrays(pa.array(_joined(facts.tasks)), list(TASKS))
            tokens, means = _joined(facts.tokens), _joined(facts.means)
            plan = self._planned(
                tasks,
                tokens,
                batch=config.batch_prompts,
                ranks=config.ranks,
                epochs=config.epochs,
                seed=config.seed,
                quotas=config.quotas,
                bins=bins_of(tasks, means, config.curriculum_bins)
                if config.curriculum_bins
                else None,
            )
            for table in self._spool.left_out(plan.order.reshape(-1), _DROPPED_FROM):
                self._drop(dropped, _left_out(table, plan))
        dialect = DIALECTS[config.dialect]
        names = [ROWS, PLAN, DROPPED, *dialect.write(self._batches(plan), self._folder, config)]
        if config.objective == "grpo":
            names.append(_write_adapter(dialect.adapter, self._folder))
        names += sorted(
            name for name in self._maker.sounds.values() if (self._folder / name).is_file()
        )
        manifest = self._manifest(plan, _joined(facts.steps), names)
        text = manifest.model_dump_json(indent=1) + "\n"
        (self._folder / MANIFEST).write_text(text, encoding="utf-8")
        return manifest

    def _planned(self, tasks: pa.Array, tokens: npt.NDArray[np.int32], **changes: Any) -> Plan:
        """Return the plan, or say what was left out where no batch can be filled."""
        try:
            return make_plan(tasks, tokens, **changes)
        except InputError as error:
            if not self._dropped:
                raise
            lines = [
                f"\n  {count:,} left out, {code}: {REASONS[code].sentence} {REASONS[code].remedy}"
                for code, count in sorted(self._dropped.items())
            ]
            raise InputError(f"{error}{''.join(lines)}") from error

    def _made(self, facts: _Facts, dropped: pq.ParquetWriter) -> Iterator[pa.Table]:
        for chunk in self._maker.chunks():
            self._questions += chunk.rows.num_rows + len(chunk.dropped)
            facts.add(chunk.rows, chunk.common)
            rows = [row.model_dump() for row in chunk.dropped]
            self._drop(dropped, pa.Table.from_pylist(rows, schema=DroppedRow.ARROW))
            number = pc.add(chunk.rows[VIDEO], pa.scalar(self._common.rows, pa.int32()))
            self._common.add(chunk.common)
            yield chunk.rows.set_column(OWN.names.index(VIDEO), OWN.field(VIDEO), number)
            pa.default_memory_pool().release_unused()

    def _drop(self, out: pq.ParquetWriter, rows: pa.Table) -> None:
        self._dropped.update(rows["reason_code"].to_pylist())
        if rows.num_rows:
            out.write_table(rows)

    def _batches(self, plan: Plan) -> Iterator[Batch]:
        """Yield the rows in the order of the plan, written as they pass; sounds are named."""
        sounds = {v: str(self._target / name) for v, name in self._maker.sounds.items()}
        first = 0
        with ExitStack() as files:
            rows_file = files.enter_context(
                pq.ParquetWriter(
                    self._folder / ROWS, TrainingRow.ARROW, compression="zstd",
                    use_dictionary=_REPETITIVE,
                )
            )  # fmt: skip
            plan_file = files.enter_context(
                pq.ParquetWriter(self._folder / PLAN, PlanRow.ARROW, compression="zstd")
            )
            beside = files.enter_context(ThreadPoolExecutor(1))
            for table in ahead(self._spool.in_order(plan.order.reshape(-1)), self._whole):
                tokens = table["vision_tokens"].to_numpy()
                planned = plan_rows(plan, first, table["sample_id"], tokens)
                self._digest.update(planned)
                plan_file.write_table(planned)
                writing = beside.submit(rows_file.write_table, table, row_group_size=GROUP_ROWS)
                step = IMAGE_ROWS if self._maker.frames else table.num_rows
                for begin in range(0, table.num_rows, step):
                    part = table.slice(begin, step)
                    yield Batch(first + begin, part, self._maker.frames, sounds)
                first += table.num_rows
                writing.result()
                del table, planned, part, writing
                # Arrow keeps what was freed, a little more each time.
                pa.default_memory_pool().release_unused()

    def _whole(self, own: pa.Table) -> pa.Table:
        return whole_rows(own, self._common.take(own[VIDEO].to_numpy()))

    def _manifest(
        self, plan: Plan, steps: npt.NDArray[np.float64], names: list[str]
    ) -> ExportManifest:
        used = plan.prompts
        values, counts = np.unique(steps[used], return_counts=True)
        return ExportManifest(
            release=self._release.name,
            release_pin=self._release.pin,
            code_version=__version__,
            prompt_version=train_prompt_version(),
            config=self._config,
            questions=self._questions,
            prompts=len(used),
            rows=plan.order.size,
            dropped=dict(sorted(self._dropped.items())),
            left_out=plan.left_out,
            grid_steps={f"{v:g}": c for v, c in zip(values, counts.tolist(), strict=True)},
            quotas=plan.quotas,
            batches=plan.order.shape[1],
            difficulty=self._difficulty(),
            plan_digest=self._digest.hex(),
            worst_rank=round(plan.worst_rank, 4),
            reward_weights={task: dict(weights) for task, weights in WEIGHTS.items()},
            files={name: _sha256(self._folder / name) for name in names},
        )

    def _difficulty(self) -> DifficultyUse | None:
        if self._known.digest is None:
            return None
        measured = self._maker.measured
        return DifficultyUse(
            digest=self._known.digest, measured=measured, unmeasured=self._questions - measured
        )


def _joined(parts: Sequence[npt.NDArray[N]]) -> npt.NDArray[N]:
    return np.concatenate(parts)


def _left_out(rows: pa.Table, plan: Plan) -> pa.Table:
    """Return a dropped row for each prompt that stands in no epoch."""
    epochs, batches = plan.order.shape[:2]
    why = {
        task: f"{plan.quotas.get(task, 0)} {task} prompts a batch in {batches} batches of "
        f"{epochs} epochs"
        for task in TASKS
    }
    told = pa.array(list(why.values())).take(pc.index_in(rows["task"], pa.array(list(why))))
    columns = {name: rows[name] for name in _DROPPED_FROM}
    columns["status"] = pa.array(["filtered"] * rows.num_rows)
    columns["reason_code"] = pa.array(["no_full_batch"] * rows.num_rows)
    return pa.table({**columns, "message": told}, schema=DroppedRow.ARROW)


def _write_adapter(name: str, folder: Path) -> str:
    source = resources.files("earshot.tasks.grpo.adapters").joinpath(f"{name}.py")
    (folder / f"{name}.py").write_bytes(source.read_bytes())
    return f"{name}.py"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
