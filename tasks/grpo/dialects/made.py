"""What a dialect is given: a batch of rows with their media, and messages as plain strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from earshot.schemas.arrow import from_table
from earshot.schemas.base import list_of, req
from earshot.schemas.training import TrainingRow

MESSAGES = list_of(pa.struct([req("role", pa.string()), req("content", pa.string())]))


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows in the order of the plan.

    Attributes:
        first: position of the first row in the whole.
        table: of `TrainingRow`.
        frames: video_id -> JPEG files of the frames shown.
        sounds: video_id -> absolute path of a WAV file.
    """

    first: int
    table: pa.Table
    frames: Mapping[str, Sequence[Path]]
    sounds: Mapping[str, str]

    @cached_property
    def rows(self) -> Sequence[TrainingRow]:
        """The rows as records: slow, so files that are large are better written by columns."""
        return from_table(TrainingRow, self.table)


def messages(row: TrainingRow, tags: str) -> list[dict[str, str]]:
    """Return system prompt and question, the tags of the media in front of it."""
    asked = f"{tags}\n{row.question}" if tags else row.question
    return [
        {"role": "system", "content": row.system_prompt},
        {"role": "user", "content": asked},
    ]


def reply(row: TrainingRow) -> dict[str, str]:
    """Return the right answer as a message."""
    return {"role": "assistant", "content": row.answer}
