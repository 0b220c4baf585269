"""What a dialect is given: a batch of rows with their media, and messages as plain strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from earshot.schemas.base import list_of, req
from earshot.schemas.training import TrainingRow

MESSAGES = list_of(pa.struct([req("role", pa.string()), req("content", pa.string())]))


@dataclass(frozen=True)
class Batch:
    """Rows in the order of the plan.

    Attributes:
        first: position of the first row in the whole.
        frames: video_id -> JPEG files of the frames shown.
        sounds: video_id -> absolute path of a WAV file.
    """

    first: int
    rows: Sequence[TrainingRow]
    frames: Mapping[str, Sequence[Path]]
    sounds: Mapping[str, str]


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
