"""Takes in what people decided: every answer kept raw, each decision exactly once.

Takes a desk, gives rows of inspections and revised tubes, committed as people's work. Asks only for
tasks that changed since the last time; killed at any moment, the next call goes on from there.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from earshot.annotation_ui.client import Json
from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.push import INSPECT, LEASE
from earshot.annotation_ui.pushed import PushedTask, PushedTasks
from earshot.annotation_ui.read import AnnotationError, Decision, inspection_of, read_decision
from earshot.schemas.base import Record
from earshot.schemas.ids import video_of
from earshot.schemas.inspection import Inspection
from earshot.schemas.ledger import LedgerRow, Status
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.store.lease import lease
from earshot.store.parts import write_part
from earshot.store.reviewed import tubes_named
from earshot.store.snapshot import Snapshot
from earshot.store.workspace import Workspace, write_atomic

_AT_ONCE = 100
_TO_DO = "to_do.json"
# The server stamps a task before its transaction ends: a later stamp may be seen first.
_OVERLAP = timedelta(seconds=60)


@dataclass
class Collected:
    """What a collection came to.

    Attributes:
        inspections: new decisions.
        tubes: tubes that people changed or drew.
        videos: of which something was decided.
        phantoms: results that nobody made, dropped.
        faults: annotations that can't be taken: (task, why).
    """

    inspections: int = 0
    tubes: int = 0
    videos: set[str] = field(default_factory=set)
    phantoms: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def line(self) -> str:
        """It in one line."""
        more = f", {self.phantoms} phantom results dropped" if self.phantoms else ""
        failed = f", {len(self.faults)} to be looked at again" if self.faults else ""
        return f"{self.inspections} inspections, {self.tubes} tubes changed or drawn{more}{failed}"


def collect(snapshot: Snapshot, desk: Desk) -> Collected:
    """Commit every decision that is not here yet.

    Raises:
        ServerError: if the server fails; what was committed stays.
        WorkspaceError: when the disk fails.
    """
    with lease(desk.workspace, LEASE, ()):
        snapshot.refresh()
        told, since = Collected(), _cursor(desk)
        latest = since
        pushed = PushedTasks(desk.workspace.label_studio / "pushed")
        changed = desk.client.changed_tasks(desk.project, since and since - _OVERLAP)
        for tasks in _batches(changed):
            answered = [task for task in tasks if task["annotations"]]
            _keep_raw(desk, answered)
            new = _unknown(snapshot, desk, answered)
            if new:
                known = pushed.find({task["data"]["uid"] for task, _ in new})
                _take_in(snapshot, desk, new, known, told)
            moments = [datetime.fromisoformat(task["updated_at"]) for task in tasks]
            latest = max([*moments, *([latest] if latest else [])])
        if latest != since:
            cursor = {"project": desk.project, "url": desk.client.url, "at": str(latest)}
            file = desk.workspace.label_studio / "cursor.json"
            write_atomic(file, json.dumps(cursor).encode())
        return told


def videos_to_do(workspace: Workspace) -> set[str]:
    """Return the videos whose decisions are committed and not yet taken into the build."""
    file = workspace.label_studio / _TO_DO
    return set(json.loads(file.read_bytes())) if file.exists() else set()


def done_with(workspace: Workspace, videos: set[str]) -> None:
    """Note that the decisions about some videos were taken into the build."""
    if left := videos_to_do(workspace) - videos:
        _note(workspace, left)
    else:
        (workspace.label_studio / _TO_DO).unlink(missing_ok=True)


def _note(workspace: Workspace, videos: set[str]) -> None:
    write_atomic(workspace.label_studio / _TO_DO, json.dumps(sorted(videos)).encode())


def _cursor(desk: Desk) -> datetime | None:
    file = desk.workspace.label_studio / "cursor.json"
    known = json.loads(file.read_bytes()) if file.exists() else {}
    if (known.get("project"), known.get("url")) != (desk.project, desk.client.url):
        return None
    return datetime.fromisoformat(known["at"])


def _batches(tasks: Iterator[Json]) -> Iterator[list[Json]]:
    while batch := list(islice(tasks, _AT_ONCE)):
        yield batch


def _keep_raw(desk: Desk, tasks: Sequence[Json]) -> None:
    """Keep what the server said, before anything is read of it."""
    if tasks:
        lines = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}.jsonl.gz"
        folder = desk.workspace.label_studio / "raw" / f"project-{desk.project}"
        write_atomic(folder / name, gzip.compress(lines.encode(), mtime=0))


def _unknown(snapshot: Snapshot, desk: Desk, tasks: Sequence[Json]) -> list[tuple[Json, Json]]:
    """Return (task, annotation) of decisions that are not committed yet, by moment."""
    videos = sorted({video_of(task["data"]["event_id"]) for task in tasks})
    table = snapshot.table(Inspection, videos) if videos else None
    known = set() if table is None else set(table.column("inspection_id").to_pylist())
    pairs = [
        (task, annotation)
        for task in tasks
        for annotation in task["annotations"]
        if not annotation["was_cancelled"]
        and inspection_of(desk.project, task, annotation) not in known
    ]
    return sorted(pairs, key=lambda pair: str(pair[1]["updated_at"]))


def _take_in(
    snapshot: Snapshot,
    desk: Desk,
    new: Sequence[tuple[Json, Json]],
    known: dict[str, PushedTask],
    told: Collected,
) -> None:
    """Read decisions and commit them."""
    rows: dict[type[Record], list[tuple[str, str, Record]]] = {
        kind: [] for kind in (Inspection, RevisedTube, ShownTube)
    }
    ledger: list[LedgerRow] = []
    for task, annotation in new:
        video_id = video_of(task["data"]["event_id"])
        pushed = known.get(task["data"]["uid"])
        dense = dict(pushed.tubes) if pushed else {}
        try:
            sent = _sent(task, annotation, pushed)
            decision = read_decision(desk.project, task, annotation, sent, dense)
        except AnnotationError as error:
            place = f"{desk.client.url}/projects/{desk.project}/data?task={task['id']}"
            told.faults.append((place, str(error)))
            ledger.append(_row(snapshot, task, "quarantined", error.code, str(error), place))
            continue
        if decision is None:
            continue
        for kind, records in _records(decision, dense).items():
            rows[kind] += [(video_id, "", record) for record in records]
        ledger += [
            _row(snapshot, task, "filtered", "phantom_region", said, str(annotation["id"]))
            for said in decision.phantoms
        ]
        told.inspections += 1
        told.tubes += len(decision.revised)
        told.phantoms += len(decision.phantoms)
        told.videos.add(video_id)
    if ledger or rows[Inspection]:
        people = bool(rows[Inspection])
        _note(desk.workspace, videos_to_do(desk.workspace) | told.videos)
        write_part(desk.workspace, INSPECT, [], ledger, rows, people_work=people)
        snapshot.refresh()


def _records(decision: Decision, dense: dict[str, Tube]) -> dict[type[Record], Sequence[Record]]:
    known = dense | {each.digest: Tube(**each.model_dump()) for each in decision.revised}
    shown = tubes_named(decision.inspection, known)
    return {Inspection: [decision.inspection], RevisedTube: decision.revised, ShownTube: shown}


def _sent(task: Json, annotation: Json, pushed: PushedTask | None) -> Sequence[Any]:
    """Return the results that the annotation began with: ours, or the server's copy of them."""
    if pushed:
        return pushed.sent
    copies = [annotation.get("prediction") or {}, *(task.get("predictions") or ())]
    return next((copy["result"] for copy in copies if copy.get("result")), ())


def _row(
    snapshot: Snapshot, task: Json, status: Status, code: str, message: str, value: str
) -> LedgerRow:
    event_id = task["data"]["event_id"]
    return LedgerRow(
        build_id=snapshot.build.build_id,
        stage=INSPECT,
        video_id=video_of(event_id),
        item_kind="event",
        item_id=event_id,
        status=status,
        reason_code=code,
        message=message,
        value=value,
        attempts=1,
        seconds=0.0,
        key=task["data"]["uid"],
        at=datetime.now(UTC),
    )
