"""Leaves out of a release what may not be published, and says of each question why.

Takes tables, gives those that stay and a `Dropped` row for every question that does not: what
people rejected, withdrawn videos, other licences, benchmarks, bridges between splits, and what the
quotas have no room for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.ledger import REASONS
from earshot.schemas.release import Absent, Dropped, LedgerCount
from earshot.tasks.publish_release.exclusions import Listed, read_list
from earshot.tasks.publish_release.spool import collected, dicts_of, videos_of

Why = tuple[str, str]
"""A reason code of the ledger and a message."""


@dataclass
class Selection:
    """Questions that are still in, and those that were left out."""

    questions: pa.Table
    dropped: list[Dropped] = field(default_factory=list)

    def leave_out_videos(self, why: Mapping[str, Why]) -> None:
        """Drop every question about some videos."""
        self._leave_out("video_id", why)

    def leave_out(self, why: Mapping[str, Why]) -> None:
        """Drop some questions by id."""
        self._leave_out("question_id", why)

    def _leave_out(self, column: str, why: Mapping[str, Why]) -> None:
        if not why:
            return
        named = pa.array(list(why), pa.string())
        goes = pc.is_in(self.questions[column], value_set=named)
        if not pc.any(goes).as_py():
            return
        out = dicts_of(self.questions.select(["question_id", "video_id", "task"]).filter(goes))
        for row in sorted(out, key=lambda row: row["question_id"]):
            code, message = why[row[column]]
            self.dropped.append(Dropped(**row, reason_code=code, message=message))
        stays = pc.invert(goes).combine_chunks()
        self.questions = collected(_filtered(self.questions, stays), self.questions.schema)


def _filtered(table: pa.Table, stays: pa.Array) -> Iterator[pa.RecordBatch]:
    at = 0
    for batch in table.to_batches():
        yield batch.filter(stays.slice(at, batch.num_rows))
        at += batch.num_rows


def may_not_be_published(
    videos: pa.Table, config: ReleaseConfig, lists: Sequence[Listed]
) -> dict[str, Why]:
    """Return the videos that are withdrawn, of another licence, or of a benchmark, with reasons.

    Raises:
        ConfigError: the takedown list can't be read.
    """
    why: dict[str, Why] = {}
    if config.drop_excluded:
        for each in lists:
            message = f"it is in benchmark {each.name!r}"
            why.update(dict.fromkeys(sorted(each.among(videos)), ("excluded", message)))
    if config.licences:
        for row in dicts_of(videos, ["video_id", "licence"]):
            if row["licence"] not in config.licences:
                told = ", ".join(config.licences)
                message = f"its licence is {row['licence']!r}; release.licences has {told}"
                why[row["video_id"]] = ("licence", message)
    if config.takedown_list:
        taken = read_list(config.takedown_list, "takedown_list").among(videos)
        why.update(dict.fromkeys(sorted(taken), ("withdrawn", "it is on release.takedown_list")))
    return why


def absences(
    given: Iterable[Absent], dropped: Iterable[Dropped], questions: pa.Table
) -> tuple[Absent, ...]:
    """Return the given rows and one for each video whose every question was left out."""
    asked = videos_of(questions)
    told = {row.video_id: row for row in given}
    for each in dropped:
        if each.video_id not in asked and each.video_id not in told:
            told[each.video_id] = Absent(
                video_id=each.video_id,
                stage="release",
                status=REASONS[each.reason_code].status,
                reason_code=each.reason_code,
                message=each.message,
            )
    return tuple(told.values())


def ledger_count(dropped: Sequence[Dropped], published: int) -> LedgerCount:
    """Return the ledger's row of the release itself: in = done + filtered + rejected."""
    reasons = Counter(each.reason_code for each in dropped)
    statuses = Counter(REASONS[each.reason_code].status for each in dropped)
    return LedgerCount(
        stage="release",
        item_kind="question",
        total=published + len(dropped),
        done=published,
        filtered=statuses["filtered"],
        rejected=statuses["rejected"],
        reasons=dict(sorted(reasons.items())),
    )
