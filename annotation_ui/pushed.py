"""What each task showed, as it was then: kept beside the workspace's tables until people answer.

Takes pushed tasks with their tubes, gives them back by uid. One Parquet file a push, written whole
before the server is told: an answer never finds its tubes gone.
"""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.schemas.tube import Tube
from earshot.store.workspace import write_atomic

_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("uid", "event_id", "task", "tubes")],
)


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

    def keep(self, tasks: Iterable[tuple[Mapping[str, Any], Sequence[Tube]]]) -> None:
        """Keep tasks with their tubes, before they are sent.

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
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), sink, compression="zstd")
        name = f"{time.time_ns():020d}-{secrets.token_hex(3)}.parquet"
        write_atomic(self._folder / name, sink.getvalue())

    def find(self, uids: Iterable[str]) -> dict[str, PushedTask]:
        """Return those of some tasks that are kept, by uid."""
        wanted, found = set(uids), {}
        for table in self._tables(None):
            known = table.column("uid").to_pylist()
            for at in [at for at, uid in enumerate(known) if uid in wanted]:
                (row,) = table.slice(at, 1).to_pylist()
                tubes = [Tube.model_validate(one) for one in json.loads(row["tubes"])]
                found[row["uid"]] = PushedTask(
                    row["uid"], row["event_id"], json.loads(row["task"]),
                    {tube.digest: tube for tube in tubes},
                )  # fmt: skip
        return found

    def uids(self) -> dict[str, str]:
        """Return the event of every task that was ever pushed, by uid."""
        pairs: dict[str, str] = {}
        for table in self._tables(["uid", "event_id"]):
            pairs |= zip(
                *(table.column(name).to_pylist() for name in table.schema.names), strict=True
            )
        return pairs

    def _tables(self, columns: list[str] | None) -> Iterator[pa.Table]:
        for file in sorted(self._folder.glob("[0-9]*.parquet")):
            with pq.ParquetFile(file) as opened:
                yield opened.read(columns=columns)
