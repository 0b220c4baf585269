"""Takes back what people said of events, so that they are inspected again (`--reopen`).

Takes ids of videos or events, gives a row more for each event: inspections are append-only. The
rows before stay for ever and count no more; until a person looks again, the rules alone decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from earshot.errors import InputError
from earshot.schemas.arrow import from_table
from earshot.schemas.ids import inspection_id, video_of
from earshot.schemas.inspection import Inspection
from earshot.store.parts import write_part
from earshot.store.snapshot import Snapshot

ANNOTATOR = "reopen"


def inspected_events(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, list[Inspection]]:
    """Return people's inspections of each event that is meant, by event id.

    Raises:
        InputError: for a video or event that no person has inspected.
    """
    wanted = sorted(set(ids))
    videos = sorted({video_of(one) for one in wanted})
    rows = from_table(Inspection, snapshot.table(Inspection, videos)) if videos else []
    found: dict[str, list[Inspection]] = {}
    for row in rows:
        if row.inspected_by == "human" and {row.event_id, video_of(row.event_id)} & set(wanted):
            found.setdefault(row.event_id, []).append(row)
    known = {*found, *map(video_of, found)}
    for one in wanted:
        if one not in known:
            raise InputError(
                f"--reopen {one!r}: expected the id of a video or event that a person has "
                "inspected; no person has inspected this one, so there is nothing to take back"
            )
    return found


def reopen(snapshot: Snapshot, stage: str, ids: Sequence[str], run_id: str) -> int:
    """Commit a row that takes back each event which is not taken back yet; return how many.

    Raises:
        InputError: as `inspected_events`.
        WorkspaceError: when the disk fails.
    """
    latest = [
        max(rows, key=lambda row: (row.at, row.takes_back))
        for rows in inspected_events(snapshot, ids).values()
    ]
    rows = [_taking_back(row, run_id) for row in latest if not row.takes_back]
    if rows:
        entries = [(video_of(row.event_id), "", row) for row in rows]
        write_part(snapshot.workspace, stage, [], [], {Inspection: entries}, people_work=True)
        snapshot.refresh()
    return len(rows)


def _taking_back(latest: Inspection, run_id: str) -> Inspection:
    return Inspection(
        inspection_id=inspection_id(latest.event_id, ANNOTATOR, run_id, latest.inspection_id),
        event_id=latest.event_id,
        verdict="unsure",
        reasons=("reopened",),
        segments=latest.segments,
        tubes=(),
        annotator=ANNOTATOR,
        # A clock that was set back must not let the verdict stand.
        at=max(datetime.now(UTC), latest.at + timedelta(microseconds=1)),
        seconds=0,
        inspected_by="human",
    )
