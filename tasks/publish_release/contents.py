"""Takes the source and the version before, gives the tables that a release will hold.

Derives media, absent and splits; changes no row but the split of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from earshot.schemas.arrow import to_table
from earshot.schemas.release import Absent, Media
from earshot.tasks.publish_release.source import STAGE_KINDS, ReleaseSource
from earshot.tasks.publish_release.splits import assign, inherit


@dataclass(frozen=True)
class Contents:
    """All tables of a release by name; `questions` has its final splits."""

    tables: Mapping[str, pa.Table]
    near_duplicates: tuple[tuple[str, str], ...] = ()

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


def assemble(source: ReleaseSource, before: pa.Table | None, version: int) -> Contents:
    """Return the tables of version `version`.

    Args:
        source: checked tables.
        before: the `splits` table of the version before; None where there is none.
        version: number of the new version.
    """
    tables = dict(source.tables)
    videos = tables["videos"]
    tables["questions"] = inherit(tables["questions"], videos, before)
    tables["media"] = media_table(videos)
    tables["absent"] = absent_table(source.absent, videos, tables["questions"])
    tables["splits"] = assign(tables["questions"], videos, before, version)
    return Contents(tables)


def media_table(videos: pa.Table) -> pa.Table:
    """Return what a re-downloaded file of each video has to match."""
    rows = videos.select(list(Media.model_fields)).to_pylist()
    return to_table(Media, (Media.model_validate(row) for row in rows))


def absent_table(given: Sequence[Absent], videos: pa.Table, questions: pa.Table) -> pa.Table:
    """Return the given rows and one for every video without a question that nobody spoke of."""
    named = {row.video_id for row in given} | set(questions.column("video_id").to_pylist())
    silent = [
        Absent(
            video_id=video_id,
            stage="questions",
            status="done",
            reason_code="empty",
            message="no question could be made about it",
        )
        for video_id in videos.column("video_id").to_pylist()
        if video_id not in named
    ]
    return to_table(Absent, [*given, *silent])
