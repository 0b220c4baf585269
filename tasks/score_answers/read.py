"""Reads the questions of a release folder, and a file of predictions about them.

Takes paths, gives rows and counts. Whatever stands in a predictions file is counted, never raised
for; nothing is scored here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from earshot.errors import InputError
from earshot.schemas.question import Branch, Task
from earshot.schemas.release import MANIFEST, ManifestHead, SystemPrompts
from earshot.schemas.tube import BoxSpaceName
from earshot.tasks.score_answers.record import SplitName

NO_LABEL = "(none)"
PROBLEMS_SHOWN = 10
BATCH_ROWS = 4096
"""Questions that are in memory at a time."""

_COLUMNS = (
    "question_id", "video_id", "split", "task", "branch", "question", "answer", "truth_json",
    "span", "grid", "event_ids", "box_space",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with what it is grouped by.

    Attributes:
        span_s: start and end of the stretch that the question names, seconds; only in `spatial`.
        step_s: distance of the times at which boxes are asked for.
        size_px: (width, height) of the displayed frame.
        labels: of its events, each once; `(none)` where an event has no label.
        n_events: of its video.
    """

    question_id: str
    video_id: str
    split: str
    task: Task
    branch: Branch | None
    question: str
    answer: str
    truth_json: str
    box_space: BoxSpaceName
    span_s: tuple[float, float] | None
    step_s: float
    duration_s: float
    size_px: tuple[int, int]
    labels: tuple[str, ...]
    n_events: int


@dataclass(frozen=True)
class Questions(Iterable[Asked]):
    """Questions of a release in the order of its files, read anew whenever they are gone through.

    Few of them are in memory at a time.
    """

    folder: Path
    paths: tuple[str, ...]
    known: Known
    split: SplitName = "all"

    def __iter__(self) -> Iterator[Asked]:
        """Yield them.

        Raises:
            InputError: a table is damaged, or lacks a column or a video.
        """
        for batch in self._batches(_COLUMNS):
            yield from asked_of(pa.Table.from_batches([batch]), self.known)

    def column(self, name: str) -> Iterator[str]:
        """Yield what they have in a column of text."""
        for batch in self._batches(("split", name) if name != "split" else ("split",)):
            yield from batch.column(name).to_pylist()

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for path in self.paths:
            for batch in _read_batches(self.folder, path, columns):
                is_all = self.split == "all"
                yield batch if is_all else batch.filter(pc.equal(batch["split"], self.split))


@dataclass(frozen=True)
class Benchmark:
    """The questions of a release, all splits."""

    name: str
    version: int
    content_digest: str
    questions: Questions
    system_prompts: SystemPrompts | None = None

    def of_split(self, split: SplitName) -> Questions:
        """Return the questions of a split, or all of them.

        Raises:
            InputError: there are none.
        """
        found = replace(self.questions, split=split)
        if next(found.column("split"), None) is None:
            there = sorted(set(self.questions.column("split")))
            raise InputError(
                f"{self.name} v{self.version} has no question in split {split!r}; expected one of "
                f"{', '.join([*there, 'all'])}: choose it with --split"
            )
        return found


@dataclass
class Predictions:
    """The first completion of each question, and what the other lines were."""

    completions: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    failed: int = 0
    malformed: int = 0
    unknown: int = 0
    duplicate: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, number: int, what: str) -> None:
        """Keep what is wrong with a line, if it is among the first."""
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(f"line {number}: {what}")


def read_release(folder: Path) -> Benchmark:
    """Return the questions of a release.

    Raises:
        InputError: the folder is no release, or misses a table.
    """
    try:
        head = ManifestHead.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} is no release: expected a folder with {MANIFEST}, such as "
            "WORKSPACE/releases/NAME-v1"
        ) from error
    except ValidationError as error:
        raise InputError(f"{folder / MANIFEST} is no manifest: {error}; publish anew") from error
    events = read_table(folder, "tables/events.parquet", ("event_id", "video_id", "label"))
    videos = read_table(
        folder, "tables/videos.parquet", ("video_id", "duration_s", "width", "height")
    )
    paths = tuple(sorted(file.path for file in head.files if file.path.startswith("data/")))
    asked = Questions(folder, paths, Known.of(videos, events))
    return Benchmark(head.name, head.version, head.content_digest, asked, head.system_prompts)


@dataclass(frozen=True)
class Known:
    """What is known of videos and events, by id."""

    labels: dict[str, str | None]
    n_events: dict[str, int]
    videos: dict[str, tuple[float, int, int]]

    @classmethod
    def of(cls, videos: pa.Table, events: pa.Table) -> Self:
        """Read it from the tables `videos` and `events`."""
        columns = (_list(videos, name) for name in ("video_id", "duration_s", "width", "height"))
        return cls(
            labels=dict(zip(_list(events, "event_id"), _list(events, "label"), strict=True)),
            n_events=Counter(_list(events, "video_id")),
            videos={row[0]: row[1:] for row in zip(*columns, strict=True)},
        )


def asked_of(questions: pa.Table, known: Known) -> list[Asked]:
    """Return the questions of a table, with what is known of their videos and events."""
    return [_asked(row, known) for row in questions.select(list(_COLUMNS)).to_pylist()]


def read_table(folder: Path, path: str, columns: Sequence[str]) -> pa.Table:
    """Return columns of a table of a release.

    Raises:
        InputError: the file is missing, no Parquet, or lacks a column.
    """
    with _said(folder, path, columns), (folder / path).open("rb") as file:
        return pq.read_table(file, columns=list(columns)).select(list(columns))


def _read_batches(folder: Path, path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with (
        _said(folder, path, columns),
        (folder / path).open("rb") as file,
        pq.ParquetFile(file) as rows,
    ):
        for batch in rows.iter_batches(BATCH_ROWS, columns=list(columns)):
            yield batch.select(list(columns))


@contextmanager
def _said(folder: Path, path: str, columns: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, pa.ArrowInvalid, KeyError) as error:
        raise InputError(
            f"{folder / path}: {error}; expected a table with {', '.join(columns)}. Check the "
            "release with `earshot release verify FOLDER`"
        ) from error


def read_predictions(path: Path, known: Collection[str]) -> Predictions:
    """Return the completions of a JSON Lines file, one `{question_id, completion}` a line.

    Other fields are passed over. A line with `completion` null says that asking failed: it answers
    nothing, and a later line may. Of several completions of one question the first counts.

    Args:
        path: the file.
        known: ids of all questions of the release.

    Raises:
        InputError: the file is not there.
    """
    found = Predictions()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found.lines += 1
                    _take(found, number, line.removeprefix(b"\xef\xbb\xbf"), known)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"predictions {str(path)!r} are not there: expected a JSON Lines file with a "
            "question_id and a completion a line; `earshot answer` writes one"
        ) from error
    return found


def _take(found: Predictions, number: int, line: bytes, known: Collection[str]) -> None:
    row = _object(line)
    question_id = None if row is None else row.get("question_id")
    if row is None or not isinstance(question_id, str):
        found.malformed += 1
        return found.note(number, "no JSON object with a question_id; its text is not read")
    completion = row.get("completion", 0)
    if completion is not None and not isinstance(completion, str):
        found.malformed += 1
        return found.note(number, f"completion of {question_id} is no text; expected a string")
    if question_id not in known:
        found.unknown += 1
        return found.note(number, f"{question_id!r} is no question of this release")
    if completion is None:
        found.failed += 1
    elif question_id in found.completions:
        found.duplicate += 1
        found.note(number, f"{question_id} is answered before; the first answer counts")
    else:
        found.completions[question_id] = completion
    return None


def _object(line: bytes) -> dict[str, object] | None:
    """Return the JSON object of a line, or None where it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _asked(row: dict[str, Any], known: Known) -> Asked:
    video = known.videos.get(row["video_id"])
    if video is None:
        raise InputError(
            f"video {row['video_id']!r} of {row['question_id']} is not in tables/videos.parquet; "
            "expected every video with a question: publish the release anew"
        )
    span = row["span"]
    return Asked(
        **{name: row[name] for name in _COLUMNS if name not in ("span", "grid", "event_ids")},
        span_s=span and (span["start_s"], span["end_s"]),
        step_s=row["grid"]["step_s"],
        duration_s=video[0],
        size_px=video[1:],
        labels=tuple(sorted({known.labels.get(e) or NO_LABEL for e in row["event_ids"]}))
        or (NO_LABEL,),
        n_events=known.n_events.get(row["video_id"], 0),
    )


def _list(table: pa.Table, column: str) -> list[Any]:
    values: list[Any] = table.column(column).to_pylist()
    return values
