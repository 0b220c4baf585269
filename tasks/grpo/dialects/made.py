"""What a dialect is given: a batch of rows with their media, and messages as plain strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def message_lists(*said: tuple[str, pa.Array]) -> pa.ListArray:
    """Return a column of conversations: each message is a role and what it says in every row."""
    count, rows = len(said), len(said[0][1])
    # Message m of row r lies at m * rows + r; wanted is one row's messages behind the other's.
    order = np.arange(count * rows).reshape(count, rows).T.reshape(-1)
    contents = pa.concat_arrays([_one(content) for _, content in said]).take(pa.array(order))
    roles = pa.array([role for role, _ in said]).take(pa.array(np.tile(np.arange(count), rows)))
    parts = pa.StructArray.from_arrays([roles, contents], fields=list(MESSAGES.value_type))
    offsets = pa.array(np.arange(rows + 1) * count, pa.int32())
    return pa.ListArray.from_arrays(offsets, parts, MESSAGES)


def asked_lists(batch: Batch, *, with_answer: bool) -> pa.ListArray:
    """Return system prompt and question of each row, as `messages` does with a `<video>`."""
    table = batch.table
    asked = pc.binary_join_element_wise("<video>\n", _one(table["question"]), "")
    said = [("system", table["system_prompt"]), ("user", asked)]
    if with_answer:
        said.append(("assistant", table["answer"]))
    return message_lists(*said)


def struct_column(kind: pa.StructType, values: Mapping[str, pa.Array]) -> pa.StructArray:
    """Return a struct column of the given fields, each cast to its type."""
    columns = [_one(values[field.name]).cast(field.type) for field in kind]
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


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


def write_script(path: Path, text: str) -> str:
    """Write a script that can be started; return its name."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path.name
