"""Takes questions and the splits of the version before, gives questions that keep those splits.

A video, a byte-equal copy of it and its whole split group stay where they were first published;
it never resolves a contradiction: the gates refuse those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa

from earshot.schemas.arrow import from_table
from earshot.schemas.question import Question, Split
from earshot.schemas.release import SplitAssignment
from earshot.tasks.publish_release.spool import (
    BATCH_ROWS,
    collected,
    collected_records,
    distinct,
    values_of,
)

_Facts = tuple[str | None, str, str | None]
_UNKNOWN: _Facts = (None, "", None)


def inherit(questions: pa.Table, videos: pa.Table, before: pa.Table | None) -> pa.Table:
    """Return the questions with inherited splits; a changed row gets its new digest.

    Args:
        questions: with the splits that the question stage drew.
        videos: gives each video's split group and file digest.
        before: `splits` of the version before, or None.
    """
    if before is None:
        return questions
    return move(questions, _known_splits(_media_facts(videos), _assignments(before)))


def move(questions: pa.Table, splits: Mapping[str, Split]) -> pa.Table:
    """Return the questions with the splits of some videos; a changed row gets its new digest."""
    if not splits:
        return questions
    batches = questions.to_batches(max_chunksize=BATCH_ROWS)
    return collected((_moved(batch, splits) for batch in batches), questions.schema)


def _moved(batch: pa.RecordBatch, splits: Mapping[str, Split]) -> pa.RecordBatch:
    drawn = zip(batch["video_id"].to_pylist(), batch["split"].to_pylist(), strict=True)
    if all(splits.get(video_id, split) == split for video_id, split in drawn):
        return batch
    rows = [
        _with_split(row, splits.get(row["video_id"], row["split"])) for row in batch.to_pylist()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=batch.schema)


def assign(
    questions: pa.Table, videos: pa.Table, before: pa.Table | None, version: int
) -> pa.Table:
    """Return the `splits` table: all earlier assignments, and those of newly asked videos."""
    drawn: dict[str, Split] = dict(distinct(questions, ["video_id", "split"]))
    facts = _media_facts(videos)
    kept = set() if before is None else {name for (name,) in values_of(before, ["video_id"])}
    new = (
        SplitAssignment(
            video_id=video_id,
            split=split,
            split_group=facts.get(video_id, _UNKNOWN)[0],
            sha256=facts.get(video_id, _UNKNOWN)[1],
            frame_fingerprint=facts.get(video_id, _UNKNOWN)[2],
            since_version=version,
        )
        for video_id, split in sorted(drawn.items())
        if video_id not in kept
    )
    earlier = iter(()) if before is None else _assignments(before)
    return collected_records(SplitAssignment, chain(earlier, new))


def _assignments(before: pa.Table) -> Iterator[SplitAssignment]:
    """Yield the rows of a table of splits, also of one that was published without fingerprints."""
    if "frame_fingerprint" not in before.column_names:
        nulls = pa.nulls(before.num_rows, pa.string())
        before = before.append_column("frame_fingerprint", nulls)
    for batch in before.to_batches(max_chunksize=BATCH_ROWS):
        yield from from_table(SplitAssignment, pa.Table.from_batches([batch]))


def _media_facts(videos: pa.Table) -> dict[str, _Facts]:
    """Return video_id -> (split group, sha256, fingerprint)."""
    names = ("video_id", "split_group", "sha256", "frame_fingerprint")
    return {row[0]: row[1:] for row in values_of(videos, names)}


def _known_splits(facts: dict[str, _Facts], earlier: Iterable[SplitAssignment]) -> dict[str, Split]:
    """Return the split of every video that was published, or whose copy or group was."""
    by_video: dict[str, Split] = {}
    by_file: dict[str, Split] = {}
    by_group: dict[str, Split] = {}
    for row in earlier:
        by_video[row.video_id] = by_file[row.sha256] = row.split
        if row.split_group is not None:
            by_group[row.split_group] = row.split
    known: dict[str, Split] = {}
    for video_id, (group, sha256, _) in facts.items():
        split = by_video.get(video_id) or by_file.get(sha256)
        if split is not None:
            known[video_id] = split
            if group is not None:
                # A group may be newer than the version that published one of its videos.
                by_group.setdefault(group, split)
    for video_id, (group, _, _) in facts.items():
        if video_id not in known and group is not None and group in by_group:
            known[video_id] = by_group[group]
    return {**by_video, **known}


def _with_split(row: dict[str, Any], split: Split) -> dict[str, Any]:
    """Return a question row in `split`, with the digest that belongs to it."""
    if row["split"] == split:
        return row
    content = {name: value for name, value in row.items() if name != "digest"}
    question = Question.model_validate({**content, "split": split})
    return {**question.model_dump(), "digest": question.digest}
