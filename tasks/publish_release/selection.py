"""Leaves out of a release what may not be published, and says of each question why.

Takes tables, gives those that stay and a `Dropped` row for every question that does not: what
people rejected, withdrawn videos, other licences, benchmarks, bridges between splits, and what the
quotas have no room for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.ledger import REASONS
from earshot.schemas.release import Absent, Dropped, LedgerCount
from earshot.tasks.publish_release.exclusions import Listed, read_list

Why = tuple[str, str]
"""A reason code of the ledger and a message."""


@dataclass
class Selection:
    """Questions that are still in, and those that were left out."""

    questions: pa.Table
    dropped: list[Dropped] = field(default_factory=list)

    def leave_out_videos(self, why: Mapping[str, Why]) -> None:
        """Drop every question about some videos."""
        rows = self.questions.select(["question_id", "video_id"]).to_pylist()
        self.leave_out({r["question_id"]: why[r["video_id"]] for r in rows if r["video_id"] in why})

    def leave_out(self, why: Mapping[str, Why]) -> None:
        """Drop some questions by id."""
        if not why:
            return
        stays = []
        for row in self.questions.select(["question_id", "video_id", "task"]).to_pylist():
            stays.append(row["question_id"] not in why)
            if not stays[-1]:
                code, message = why[row["question_id"]]
                self.dropped.append(Dropped(**row, reason_code=code, message=message))
        self.questions = self.questions.filter(pa.array(stays, pa.bool_()))


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
        for row in videos.select(["video_id", "licence"]).to_pylist():
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
    asked = set(questions["video_id"].to_pylist())
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
