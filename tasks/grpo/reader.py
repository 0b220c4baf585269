"""Reads the planned batches of an export into a training loop, and goes on where it was stopped.

Takes an export's folder and a rank, gives torchdata's `StatefulDataLoader` over that rank's part of
every batch, in the order of `plan.parquet`. torchdata (extra `reader`) is imported when a reader is
opened, not before.
"""

from __future__ import annotations

import sys
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import InputError, MissingExtraError
from earshot.schemas.training import PlanRow
from earshot.tasks.grpo.plan import plan_digest

Row = dict[str, Any]
PLACE = ("epoch", "batch", "rank", "slot")


def open_reader(
    folder: str | Path,
    *,
    rank: int = 0,
    ranks: int | None = None,
    workers: int = 0,
    file: str = "rows.parquet",
    columns: Sequence[str] | None = None,
    collate: Callable[[list[Row]], Any] | None = None,
    **options: Any,
) -> Any:
    """Return a `torchdata.stateful_dataloader.StatefulDataLoader` over one rank's batches.

    One pass gives every batch of every epoch of the plan, each as a list of rows: dicts of the
    file's columns with `epoch`, `batch`, `rank` and `slot`. `state_dict()` after a batch, saved and
    given to `load_state_dict()` of a reader of the same plan, rank and number of workers, gives the
    batches behind it, exactly: also in the middle of an epoch, also after a kill.

    >>> reader = open_reader("train-verl", rank=0, workers=2)      # doctest: +SKIP
    >>> reader.load_state_dict(torch.load("reader.pt"))            # doctest: +SKIP
    >>> for rows in reader:                                        # doctest: +SKIP
    ...     step(rows)
    ...     torch.save(reader.state_dict(), "reader.pt")

    Args:
        folder: what `earshot grpo export` wrote.
        rank: of this process.
        ranks: processes there are; the plan has to be for as many.
        workers: processes that read ahead; 0 reads in this one.
        file: Parquet file of the export: `rows.parquet`, or the trainer's.
        columns: of the file, all if not given.
        collate: makes something else of a batch's rows, in the worker; decode videos here.
        options: of `StatefulDataLoader`. Workers are spawned, so `collate` has to be a function of
            a module; `multiprocessing_context` changes that.

    Raises:
        MissingExtraError: torchdata is not installed.
        InputError: the folder is no export, or its plan is not for that rank.
    """
    try:
        from torchdata.stateful_dataloader import StatefulDataLoader
    except ImportError as error:
        raise MissingExtraError(
            f"reading batches needs torchdata ({error}); install it with "
            f"`{sys.executable} -m pip install 'earshot[reader]'`"
        ) from error
    plan = _read_plan(Path(folder))
    there = int(plan["rank"].to_numpy().max(initial=-1)) + 1
    if not 0 <= rank < there or ranks not in (None, there):
        raise InputError(
            f"{folder}: the plan is for {there} ranks; asked is rank {rank} of {ranks or there}. "
            "Export again with --ranks"
        )
    if workers:
        options = {"multiprocessing_context": "spawn", **options}
    rows = PlannedRows(Path(folder) / file, plan, columns)
    with warnings.catch_warnings():
        # torchdata 0.11 calls it, torch 2.13 says so; nobody who reads can change that.
        warnings.filterwarnings("ignore", "'set_vital' is deprecated")
        return StatefulDataLoader(
            rows,
            batch_sampler=PlanSampler(plan, rank),
            num_workers=workers,
            collate_fn=collate or as_they_are,
            **options,
        )


def as_they_are(rows: list[Row]) -> list[Row]:
    """Return the rows of a batch."""
    return rows


class PlannedRows:
    """The rows of an export's file by their number, with their place in the plan.

    Reads a row group at a time and keeps the last one, since a batch lies in one or two.
    """

    def __init__(self, path: Path, plan: pa.Table, columns: Sequence[str] | None) -> None:
        self.path = path
        self._columns = None if columns is None else list(columns)
        self._places = np.stack([plan[name].to_numpy() for name in PLACE], axis=1)
        try:
            about = pq.read_metadata(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: {error}; expected a Parquet file of the export") from error
        there = about.schema.to_arrow_schema().names
        if unknown := [name for name in columns or () if name not in there]:
            raise InputError(f"{path} has no columns {unknown}; expected some of {there}")
        if about.num_rows != plan.num_rows:
            raise InputError(
                f"{path} has {about.num_rows} rows, its plan {plan.num_rows}; export again"
            )
        groups = (about.row_group(at).num_rows for at in range(about.num_row_groups))
        self._begins = list(accumulate(groups, initial=0))
        self._file: pq.ParquetFile | None = None
        self._held: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        """Return the rows of all epochs and ranks."""
        return len(self._places)

    def __getitem__(self, index: int) -> Row:
        """Return a row."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """Return the rows of a batch."""
        return [self._row(index) for index in indices]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind: each worker opens it anew."""
        return {**self.__dict__, "_file": None, "_held": None}

    def _row(self, index: int) -> Row:
        group = bisect_right(self._begins, index) - 1
        if self._held is None or self._held[0] != group:
            if self._file is None:
                self._file = pq.ParquetFile(self.path)
            self._held = group, self._file.read_row_group(group, self._columns)
        (row,) = self._held[1].slice(index - self._begins[group], 1).to_pylist()
        return {**row, **dict(zip(PLACE, self._places[index].tolist(), strict=True))}


class PlanSampler:
    """The numbers of one rank's rows, a batch at a time, over all epochs.

    Its state is the plan itself: another one is refused, for its batches would be others.
    """

    def __init__(self, plan: pa.Table, rank: int) -> None:
        self._about = {"plan_digest": plan_digest(plan), "rank": rank}
        mine = np.flatnonzero(plan["rank"].to_numpy() == rank)
        changes = [np.diff(plan[name].to_numpy()[mine]) != 0 for name in ("epoch", "batch")]
        self.batches = np.split(mine, np.flatnonzero(np.logical_or(*changes)) + 1)

    def __len__(self) -> int:
        """Return the batches of all epochs."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Begin with the first batch."""
        return _Position(self)

    def state_dict(self) -> dict[str, Any]:
        """Return which plan it goes by."""
        return dict(self._about)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raise InputError where the state is of another plan or rank."""
        if state != self._about:
            raise InputError(
                f"the saved state is of another plan or rank: {state}, this is {self._about}; "
                "open the export that it was saved from, or begin anew"
            )


class _Position:
    """A pass over a sampler's batches."""

    def __init__(self, sampler: PlanSampler) -> None:
        self._batches, self._next = sampler.batches, 0

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        if self._next >= len(self._batches):
            raise StopIteration
        self._next += 1
        found: list[int] = self._batches[self._next - 1].tolist()
        return found

    def state_dict(self) -> dict[str, int]:
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._next = state["next"]


def _read_plan(folder: Path) -> pa.Table:
    try:
        return pq.read_table(folder / "plan.parquet").select(PlanRow.ARROW.names)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise InputError(
            f"{folder}: {error}; expected a folder of `earshot grpo export`"
        ) from error
