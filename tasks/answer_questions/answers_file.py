"""A predictions file that grows: one JSON line an answer, on disk as soon as it is there.

Takes replies, appends rows; what a file already holds is never changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from earshot.errors import InputError
from earshot.tasks.score_answers.read import read_predictions


class AnswersFile:
    """Appends to a predictions file, as a context manager.

    Raises:
        InputError: the file holds answers of another model.
    """

    def __init__(self, path: Path, model: str, prompt_version: str) -> None:
        self._path = path
        self._same = {"model": model, "prompt_version": prompt_version}
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Open the file; a torn last line, as a kill leaves it, is ended first."""
        self._check_same()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torn = _is_torn(self._path)
        self._file = self._path.open("ab")
        if torn:
            self._file.write(b"\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def done(self, known: Collection[str]) -> set[str]:
        """Return the questions that have a completion; one that failed has none."""
        return set(read_predictions(self._path, known).completions)

    def write_answer(self, question_id: str, completion: str, finish_reason: str | None) -> None:
        """Append an answer."""
        self._append(
            {"question_id": question_id, "completion": completion, "finish_reason": finish_reason}
        )

    def write_failure(self, question_id: str, error: str) -> None:
        """Append that a question has no answer: the scorer counts it as missing."""
        self._append({"question_id": question_id, "completion": None, "error": error})

    def _append(self, row: dict[str, str | None]) -> None:
        if self._file is None:
            raise ValueError("the file is not open; use it in a with block")
        # ASCII escapes, since a model may write half of a surrogate pair.
        self._file.write(json.dumps({**row, **self._same}).encode() + b"\n")
        self._file.flush()

    def _check_same(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            for line in file:
                for name, value in self._same.items():
                    found = _field(line, name)
                    if found is not None and found != value:
                        raise InputError(
                            f"{self._path} has answers with {name} {found!r}, not {value!r}; "
                            "expected one model and prompt a file: choose another --out"
                        )


def _field(line: bytes, name: str) -> object:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row.get(name) if isinstance(row, dict) else None


def _is_torn(path: Path) -> bool:
    """Tell whether a file ends in the middle of a line."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
