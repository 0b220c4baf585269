"""Takes the source and the version before, gives the tables that a release will hold.

Derives media, absent, dropped and splits; changes no row but the split of a question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Split
from earshot.schemas.release import Absent, Dropped, Media
from earshot.tasks.publish_release.balance import Balanced, over_quota, read_traits
from earshot.tasks.publish_release.exclusions import Listed
from earshot.tasks.publish_release.leaks import join_near
from earshot.tasks.publish_release.near import near_duplicates
from earshot.tasks.publish_release.selection import Selection, absences, may_not_be_published
from earshot.tasks.publish_release.source import STAGE_KINDS, ReleaseSource
from earshot.tasks.publish_release.splits import assign, inherit, move
from earshot.tasks.publish_release.spool import (
    collected_records,
    dicts_of,
    distinct,
    values_of,
    videos_of,
)


@dataclass(frozen=True)
class Contents:
    """All tables of a release by name; `questions` has its final splits.

    Attributes:
        near_duplicates: pairs of videos that show the same, also of earlier versions.
        without_fingerprint: videos with questions that could not be compared.
        balance: how each value of each quota fared.
    """

    tables: Mapping[str, pa.Table]
    dropped: tuple[Dropped, ...] = ()
    near_duplicates: tuple[tuple[str, str], ...] = ()
    without_fingerprint: int = 0
    balance: tuple[Balanced, ...] = ()

    @property
    def questions(self) -> pa.Table:
        """The questions."""
        return self.tables["questions"]

    @property
    def videos(self) -> pa.Table:
        """The probed videos."""
        return self.tables["videos"]

    @property
    def stage_tables(self) -> dict[str, pa.Table]:
        """The tables that stand under `tables/`."""
        return {kind.TABLE: self.tables[kind.TABLE] for kind in STAGE_KINDS}


def assemble(
    source: ReleaseSource,
    before: pa.Table | None,
    version: int,
    config: ReleaseConfig,
    lists: Sequence[Listed] = (),
) -> Contents:
    """Return the tables of version `version`.

    Args:
        source: checked tables.
        before: the `splits` table of the version before; None where there is none.
        version: number of the new version.
        config: what may be published, and the quotas.
        lists: the exclusion lists of `config`.

    Raises:
        ConfigError: the takedown list can't be read.
        ReleaseError: the quotas can't be solved.
    """
    tables = dict(source.tables)
    videos = tables["videos"]
    chosen = Selection(inherit(tables["questions"], videos, before))
    chosen.leave_out({each: ("inspector_rejected", why) for each, why in source.rejected.items()})
    chosen.leave_out_videos(may_not_be_published(videos, config, lists))
    near = near_duplicates(_fingerprints(videos, before, chosen.questions))
    joined = join_near(near, _alike(videos), _splits(chosen.questions), _splits(before))
    chosen.leave_out_videos({v: ("near_duplicate", why) for v, why in joined.bridges.items()})
    chosen.questions = move(chosen.questions, joined.splits)
    fared: tuple[Balanced, ...] = ()
    if config.quotas:
        traits = read_traits(chosen.questions, videos, tables["events"], config.quotas)
        why, fared = over_quota(traits, config)
        chosen.leave_out(why)
    tables["questions"] = questions = chosen.questions
    tables["media"] = media_table(videos)
    tables["absent"] = absent_table(
        absences(source.absent, chosen.dropped, questions), videos, questions
    )
    tables["dropped"] = collected_records(Dropped, chosen.dropped)
    tables["splits"] = assign(questions, videos, before, version)
    return Contents(tables, tuple(chosen.dropped), near, _uncompared(videos, questions), fared)


def _splits(rows: pa.Table | None) -> dict[str, Split]:
    """Return the split of each video of the questions, or of a table of splits."""
    if rows is None:
        return {}
    return dict(distinct(rows, ["video_id", "split"]))


def _fingerprints(
    videos: pa.Table, before: pa.Table | None, questions: pa.Table
) -> dict[str, str | None]:
    """Return the fingerprints of all videos that have, or in an earlier version had, questions."""
    found: dict[str, str | None] = {}
    if before is not None and "frame_fingerprint" in before.column_names:
        found.update(_column(before))
    asked = videos_of(questions)
    found.update((video, text) for video, text in _column(videos).items() if video in asked)
    return found


def _column(rows: pa.Table) -> dict[str, str | None]:
    return dict(values_of(rows, ["video_id", "frame_fingerprint"]))


def _uncompared(videos: pa.Table, questions: pa.Table) -> int:
    asked = videos_of(questions)
    return sum(text is None for video, text in _column(videos).items() if video in asked)


def _alike(videos: pa.Table) -> list[list[str]]:
    """Return the videos of each split group, and those of each file."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in dicts_of(videos, ["video_id", "split_group", "sha256"]):
        for kind in ("split_group", "sha256"):
            if row[kind] is not None:
                groups[kind, row[kind]].append(row["video_id"])
    return [together for together in groups.values() if len(together) > 1]


def media_table(videos: pa.Table) -> pa.Table:
    """Return what a re-downloaded file of each video has to match."""
    rows = dicts_of(videos, list(Media.model_fields))
    return collected_records(Media, (Media.model_validate(row) for row in rows))


def absent_table(given: Sequence[Absent], videos: pa.Table, questions: pa.Table) -> pa.Table:
    """Return the given rows and one for every video without a question that nobody spoke of."""
    named = {row.video_id for row in given} | videos_of(questions)
    silent = (
        Absent(
            video_id=video_id,
            stage="questions",
            status="done",
            reason_code="empty",
            message="no question could be made about it",
        )
        for (video_id,) in values_of(videos, ["video_id"])
        if video_id not in named
    )
    return collected_records(Absent, chain(given, silent))
