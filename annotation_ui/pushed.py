"""What each task showed, as it was then: kept beside the workspace's tables until people answer.

Takes pushed tasks with their tubes, gives them back by uid. One Parquet file a batch, written whole
before the server is told: an answer never finds its tubes gone. Many small ones become one.
"""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.schemas.tube import Tube
from earshot.store.workspace import write_atomic

_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("uid", "event_id", "task", "tubes")],
)
# A push an hour makes 9,000 files a year, and each collection looks into all of them.
_MANY = 100
_SMALL_BYTES = 1_000_000
_ROWS = 200


@dataclass(frozen=True)
class PushedTask:
    """A task as it was sent, with the tubes that it shows, by digest."""

    uid: str
    event_id: str
    task: Mapping[str, Any]
    tubes: Mapping[str, Tube]

    @property
    def sent(self) -> Sequence[Mapping[str, Any]]:
        """The results of its prediction."""
        results: Sequence[Mapping[str, Any]] = self.task["predictions"][0]["result"]
        return results


class PushedTasks:
    """The folder that keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, tasks: Iterable[tuple[Mapping[str, Any], Sequence[Tube]]]) -> list[str]:
        """Keep tasks with their tubes, before they are sent; returns each task as JSON.

        Raises:
            WorkspaceError: when the disk fails.
        """
        rows = [
            {
                "uid": task["data"]["uid"],
                "event_id": task["data"]["event_id"],
                "task": json.dumps(task),
                "tubes": f"[{','.join(tube.model_dump_json() for tube in tubes)}]",
            }
            for task, tubes in tasks
        ]
        self._write(pa.Table.from_pylist(rows, _SCHEMA))
        return [row["task"] for row in rows]

    def compact(self) -> None:
        """Join small files once there are many; under the lease of those who push and collect.

        Raises:
            WorkspaceError: when the disk fails.
        """
        small = [file for file in self._files() if file.stat().st_size < _SMALL_BYTES]
        if len(small) >= _MANY:
            self._write(pa.concat_tables(pq.read_table(file) for file in small))
            for file in small:  # killed in between, some rows are there twice: no harm
                file.unlink()

    def _write(self, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", row_group_size=_ROWS)
        name = f"{time.time_ns():020d}-{secrets.token_hex(3)}.parquet"
        write_atomic(self._folder / name, sink.getvalue())

    def find(self, uids: Iterable[str]) -> dict[str, PushedTask]:
        """Return those of some tasks that are kept, by uid."""
        wanted = pa.array(sorted(set(uids)), pa.string())
        found = {}
        for file in self._files():
            with pq.ParquetFile(file) as opened:
                for group in range(opened.num_row_groups):
                    here = opened.read_row_group(group, ["uid"]).column("uid")
                    mask = pc.is_in(here, value_set=wanted)
                    if not pc.any(mask).as_py():
                        continue
                    for row in opened.read_row_group(group).filter(mask).to_pylist():
                        tubes = [Tube.model_validate(one) for one in json.loads(row["tubes"])]
                        found[row["uid"]] = PushedTask(
                            row["uid"], row["event_id"], json.loads(row["task"]),
                            {tube.digest: tube for tube in tubes},
                        )  # fmt: skip
        return found

    def uids(self) -> dict[str, str]:
        """Return the event of every task that was ever pushed, by uid."""
        while True:
            try:
                tables = [
                    pq.read_table(file, columns=["uid", "event_id"]) for file in self._files()
                ]
            except FileNotFoundError:  # joined with others meanwhile
                continue
            pairs: dict[str, str] = {}
            for table in tables:
                pairs |= zip(*(column.to_pylist() for column in table.columns), strict=True)
            return pairs

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.parquet"))
