"""How hard each training prompt was for a model: what its stored rollouts were worth.

Takes files of completions or rewards, gives a row a prompt; the exporter leaves out prompts whose
rollouts all got one reward, and orders the rest from easy to hard by it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from earshot.errors import InputError
from earshot.rewards import score
from earshot.schemas.base import Frozen
from earshot.schemas.question import Task
from earshot.schemas.training import DifficultyRow

IDS, REWARDS, TEXTS = (
    ("sample_id", "question_id"), ("reward", "total", "score"), ("completion", "output"),
)  # fmt: skip
_SHOWN = 5


@dataclass
class Rollouts:
    """The rewards of stored rollouts, and what the other rows of the files were."""

    sample_ids: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    unknown: int = 0
    malformed: int = 0
    problems: list[str] = field(default_factory=list)


class DifficultySummary(Frozen):
    """What `earshot grpo difficulty` says of the table that it wrote."""

    rollouts: int
    prompts: int
    prompts_without: int | None = Field(description="of the export; null where none was given")
    zero_variance: int = Field(description="prompts whose rollouts, two at least, got one reward")
    reward_mean: float = Field(description="of the prompts' means")
    pass_rate: float = Field(description="of the prompts' rates")
    pass_at: float
    malformed: int
    unknown: int
    problems: tuple[str, ...]


def summarise(
    paths: Sequence[Path], out: Path, export_folder: Path | None, pass_at: float
) -> DifficultySummary:
    """Write the table of stored rollouts and return what is in it; see `read_rollouts`.

    Raises:
        InputError: files can't be used, `export_folder` is no export, or `pass_at` no number.
    """
    if not math.isfinite(pass_at):
        raise InputError(f"--pass-at {pass_at}: expected a finite number, such as 1.5")
    truths = None if export_folder is None else read_truths(export_folder)
    found = read_rollouts(paths, truths)
    table = measure(found, pass_at)
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out, compression="zstd")
    is_flat = pc.and_(
        pc.equal(table["reward_min"], table["reward_max"]), pc.greater(table["rollouts"], 1)
    )
    return DifficultySummary(
        rollouts=len(found.rewards),
        prompts=table.num_rows,
        prompts_without=None if truths is None else len(truths) - table.num_rows,
        zero_variance=pc.sum(is_flat).as_py(),
        reward_mean=pc.mean(table["reward_mean"]).as_py(),
        pass_rate=pc.mean(table["pass_rate"]).as_py(),
        pass_at=pass_at,
        malformed=found.malformed,
        unknown=found.unknown,
        problems=tuple(found.problems),
    )


def read_truths(export_folder: Path) -> dict[str, tuple[Task, str]]:
    """Return sample_id -> (task, truth) of an export, in the space that the model was asked for.

    Raises:
        InputError: the folder is no export.
    """
    try:
        columns = ["sample_id", "task", "truth_json"]
        rows = pq.read_table(export_folder / "rows.parquet", columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"--export {export_folder}: {error}; expected a folder of `earshot grpo export`"
        ) from error
    columns_of = (rows[name].to_pylist() for name in columns)
    return {name: (task, truth) for name, task, truth in zip(*columns_of, strict=True)}


def read_rollouts(
    paths: Sequence[Path], truths: Mapping[str, tuple[Task, str]] | None = None
) -> Rollouts:
    """Return the rewards that stand in files, or that their completions are worth.

    A row has `sample_id` (or `question_id`, as `earshot answer` writes) and `reward` (or `total`,
    or `score`); a row without one has `completion` (or `output`), which is scored. Rows that say
    neither are counted, never raised for.

    Args:
        paths: JSON Lines, or Parquet where the name says so.
        truths: sample_id -> (task, truth in the space that the model was asked for); rows about
            others are counted as unknown. Without it completions can't be scored.

    Raises:
        InputError: a file is not there or is no Parquet, or nothing in them is a rollout.
    """
    found = Rollouts()
    for path in paths:
        for number, row in enumerate(_rows(path), 1):
            _take(found, row, truths, f"{path.name} row {number}")
    if not found.rewards:
        raise InputError(
            f"{', '.join(map(str, paths))}: no rollout ({found.malformed} malformed, "
            f"{found.unknown} of unknown prompts); expected a sample_id with a reward, or with a "
            f"completion and --export. {'; '.join(found.problems)}"
        )
    return found


def measure(rollouts: Rollouts, pass_at: float) -> pa.Table:
    """Return a `DifficultyRow` a prompt, sorted by id; the variance is that of the population."""
    table = pa.table(
        {
            "sample_id": pa.array(rollouts.sample_ids, pa.string()),
            "reward": pa.array(rollouts.rewards, pa.float64()),
        }
    )
    passed = pc.cast(pc.greater_equal(table["reward"], pass_at), pa.float64())
    told = [("reward", name) for name in ("count", "mean", "variance", "min", "max")]
    # One thread: the order of a sum is then the file's, and its last digit the same each time.
    groups = table.append_column("passed", passed).group_by("sample_id", use_threads=False)
    found = groups.aggregate([*told, ("passed", "mean")]).sort_by("sample_id")
    is_flat = pc.equal(found["reward_min"], found["reward_max"])
    columns = {
        "sample_id": found["sample_id"],
        "rollouts": pc.cast(found["reward_count"], pa.int32()),
        "reward_mean": found["reward_mean"],
        "reward_variance": pc.if_else(is_flat, 0.0, found["reward_variance"]),
        "pass_rate": found["passed_mean"],
        "reward_min": found["reward_min"],
        "reward_max": found["reward_max"],
    }
    return pa.table(columns, schema=DifficultyRow.ARROW)


def read_difficulty(path: Path) -> pa.Table:
    """Return the table that `earshot grpo difficulty` wrote.

    Raises:
        InputError: it is not there, or another table.
    """
    try:
        with path.open("rb") as file:
            table = pq.read_table(file).select(DifficultyRow.ARROW.names)
            table = table.cast(DifficultyRow.ARROW)
    except (OSError, ValueError, KeyError) as error:  # Arrow's are ValueErrors
        raise InputError(
            f"--difficulty {path}: {error}; expected the table that `earshot grpo difficulty` wrote"
        ) from error
    if (
        table["sample_id"].combine_chunks().value_counts().field("counts").to_numpy().max(initial=0)
        > 1
    ):
        raise InputError(f"--difficulty {path}: a sample_id comes twice; make the table again")
    numbers = [table[name].to_numpy() for name in DifficultyRow.ARROW.names[1:]]
    if not np.isfinite(numbers).all() or any(
        pc.any(pc.less(table[name], least)).as_py()
        for name, least in (("rollouts", 1), ("reward_variance", 0))
    ):
        raise InputError(
            f"--difficulty {path}: expected finite numbers, at least one rollout a prompt and no "
            "variance below 0; make the table again"
        )
    return table


class Known:
    """What is known of prompts by their ids; nothing, where no table is given.

    Args:
        table: of `DifficultyRow`, or None.
    """

    def __init__(self, table: pa.Table | None) -> None:
        self.table: pa.Table = DifficultyRow.ARROW.empty_table() if table is None else table
        self.digest = None if table is None else digest(table)
        self._at = {name: at for at, name in enumerate(self.table["sample_id"].to_pylist())}

        self._flat = (
            pc.and_(
                pc.equal(self.table["reward_min"], self.table["reward_max"]),
                pc.greater(self.table["rollouts"], 1),
            )
            .to_numpy()
            .astype(bool)
        )

    def positions(self, sample_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Return where each prompt is in the table; -1: nowhere."""
        if not self._at:
            return np.full(len(sample_ids), -1)
        return np.array([self._at.get(name, -1) for name in sample_ids.to_pylist()], np.int64)

    def is_flat(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell which of some positions are of prompts whose rollouts all got one reward."""
        found: npt.NDArray[np.bool_] = np.append(self._flat, False)[at]
        return found

    def columns(self, at: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return what training rows say of rollouts, null where nothing is known."""
        index = pa.array(at, mask=at < 0)
        std = pc.sqrt(self.table["reward_variance"])
        return {
            "n_rollouts": self.table["rollouts"].take(index),
            "reward_mean": self.table["reward_mean"].take(index),
            "reward_std": std.take(index),
        }

    def find(self, sample_id: str) -> DifficultyRow | None:
        """Return what the rollouts of a prompt were worth."""
        at = self._at.get(sample_id)
        if at is None:
            return None
        return DifficultyRow(**self.table.slice(at, 1).to_pylist()[0])


def digest(table: pa.Table) -> str:
    """Return the sha256 of a table's values, whatever file it stands in."""
    whole = hashlib.sha256("\n".join(table["sample_id"].to_pylist()).encode())
    for name in table.column_names[1:]:
        whole.update(table[name].to_numpy().astype("<f8"))
    return whole.hexdigest()


def bins_of(
    tasks: Sequence[str] | pa.Array, means: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.int64]:
    """Return the bin of each prompt, 0 the easiest: equal parts of each task by mean reward.

    No seed decides it, ties go by position. A prompt without rollouts is in the middle.

    Args:
        tasks: of each prompt; every task has its own bins, so that a batch can have all tasks.
        means: (n,) mean reward, NaN where there is no rollout.
        count: number of bins.
    """
    if not isinstance(tasks, pa.DictionaryArray):
        tasks = pa.array(tasks, pa.string()).dictionary_encode()
    coded = tasks.indices.to_numpy()
    bins = np.full(len(means), count // 2, np.int64)
    for code in np.unique(coded):
        mine = np.flatnonzero((coded == code) & ~np.isnan(means))
        falling = np.argsort(-means[mine], kind="stable")
        bins[mine[falling]] = np.arange(len(mine)) * count // max(len(mine), 1)
    return bins


def _rows(path: Path) -> Iterator[Any]:
    """Yield the rows of a file; None for a line that is no JSON."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                wanted = [n for n in file.schema_arrow.names if n in (*IDS, *REWARDS, *TEXTS)]
                for batch in file.iter_batches(columns=wanted):
                    yield from batch.to_pylist()
            return
        with path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield _json(line)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"rollouts {path}: {error}; expected JSON Lines or a .parquet file"
        ) from error


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _take(
    found: Rollouts, row: Any, truths: Mapping[str, tuple[Task, str]] | None, where: str
) -> None:
    sample_id = _first(row, IDS) if isinstance(row, dict) else None
    if not isinstance(sample_id, str):
        return _bad(found, f"{where}: no sample_id")
    if truths is not None and sample_id not in truths:
        found.unknown += 1
        return None
    reward, text = _first(row, REWARDS), _first(row, TEXTS)
    if reward is None and isinstance(text, str):
        if truths is None:
            return _bad(found, f"{where}: a completion, which is scored with --export alone")
        task, truth = truths[sample_id]
        reward = score(task, text, truth).total
    if isinstance(reward, bool) or not isinstance(reward, int | float) or not _finite(reward):
        return _bad(found, f"{where}: reward {str(reward)[:40]!r} is no finite number")
    found.sample_ids.append(sample_id)
    found.rewards.append(float(reward))
    return None


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _bad(found: Rollouts, what: str) -> None:
    found.malformed += 1
    if len(found.problems) < _SHOWN:
        found.problems.append(what)
