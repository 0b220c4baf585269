"""Reads a release's tables in their order, a batch at a time, so that no table is in memory whole.

Published tables are sorted by video: what is known of a video is looked up while going through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.errors import ReleaseError
from earshot.schemas.question import Question
from earshot.tasks.releases.release import Release

_BATCH_ROWS = 4_096


def read_batches(
    release: Release,
    split: Literal["train", "validation", "test"],
    columns: Sequence[str],
    rows: int,
) -> Iterator[pa.Table]:
    """Yield the questions of a split; a list column that the release lacks is empty.

    Raises:
        ReleaseError: the release has no such split, or a file of it is gone or damaged.
    """
    for path in release.paths("questions", split):
        with _opened(release, path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(rows, columns=there):
                table = pa.Table.from_batches([batch])
                for name in columns:
                    if name not in there:
                        kind = Question.ARROW.field(name)
                        table = table.append_column(kind, pa.array([[]] * len(batch), kind.type))
                yield table.select(list(columns))


class ByVideo:
    """Looks up the rows of a table by video, for videos that are asked for in ascending order.

    Args:
        release: where the table is.
        table: with one row a video.
        columns: to read beside `video_id`.
    """

    def __init__(self, release: Release, table: str, columns: Sequence[str]) -> None:
        self._batches = self._read(release, table, ["video_id", *columns])
        self._held: dict[str, dict[str, Any]] = {}
        self._read_to = ""

    def find(self, video_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the rows of those videos that the table has."""
        if not video_ids:
            return {}
        least, most = min(video_ids), max(video_ids)
        self._held = {name: row for name, row in self._held.items() if name >= least}
        while self._read_to < most:
            batch = next(self._batches, None)
            if batch is None:
                break
            for row in batch.to_pylist():
                if row["video_id"] >= least:
                    self._held[row["video_id"]] = row
                self._read_to = row["video_id"]
        return {name: self._held[name] for name in video_ids if name in self._held}

    @staticmethod
    def _read(release: Release, table: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for path in release.paths(table):
            with _opened(release, path) as file:
                yield from file.iter_batches(_BATCH_ROWS, columns=columns)


@contextmanager
def _opened(release: Release, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with release.fs.open(path, "rb") as stream, pq.ParquetFile(stream) as file:
            yield file
    except (OSError, pa.ArrowInvalid) as error:
        raise ReleaseError(
            f"{path} can't be read ({error}); `earshot release verify {release.place}` says what "
            "is damaged. Pull the release again"
        ) from error
