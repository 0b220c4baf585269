"""What a dialect is given: a batch of rows with their media, and messages as plain strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earshot.schemas.base import list_of, req

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


def asked_lists(rows: pa.Table, tags: str | pa.Array, *, with_answer: bool = False) -> pa.ListArray:
    """Return system prompt and question of each `TrainingRow`, the tags of its media before it."""
    said = [
        ("system", rows["system_prompt"]),
        ("user", pc.binary_join_element_wise(tags, rows["question"], "")),
    ]
    if with_answer:
        said.append(("assistant", rows["answer"]))
    return message_lists(*said)


def struct_column(kind: pa.StructType, values: Mapping[str, pa.Array]) -> pa.StructArray:
    """Return a struct column of the given fields, each cast to its type."""
    columns = [_one(values[field.name]).cast(field.type) for field in kind]
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def write_script(path: Path, text: str) -> str:
    """Write a script that can be started; return its name."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path.name
