"""Takes in what people decided: every answer kept raw, each decision exactly once.

Takes a desk, gives rows of inspections and revised tubes, committed as people's work. Second
opinions and answers about known truths are kept beside them and decide nothing; where two people
differ, what follows is committed too. Asks only for tasks that changed since the last time; killed
at any moment, the next call goes on from there.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from earshot.annotation_ui.client import Json
from earshot.annotation_ui.desk import Desk, note_of
from earshot.annotation_ui.push import INSPECT, LEASE
from earshot.annotation_ui.pushed import PushedTask, PushedTasks
from earshot.annotation_ui.questions import read_verdict, verdict_id
from earshot.annotation_ui.read import (
    AnnotationError,
    Decision,
    inspection_of,
    is_gold,
    read_decision,
)
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record
from earshot.schemas.ids import video_of
from earshot.schemas.inspection import Inspection, Opinion, OpinionKind, QuestionInspection
from earshot.schemas.ledger import LedgerRow, Status
from earshot.schemas.tube import OpinionTube, RevisedTube, ShownTube, Tube
from earshot.store.agreement import first_decision, settle
from earshot.store.inspection_report import known_tubes
from earshot.store.lease import lease
from earshot.store.parts import write_part
from earshot.store.reviewed import tubes_named
from earshot.store.snapshot import Snapshot
from earshot.store.workspace import Workspace, write_atomic

Rows = dict[type[Record], list[tuple[str, str, Record]]]

_AT_ONCE = 100
_TO_DO = "to_do.json"
# The server stamps a task before its transaction ends: a later stamp may be seen first. What was
# seen with the same stamp is not looked at twice.
_OVERLAP = timedelta(seconds=60)


@dataclass
class Collected:
    """What a collection came to.

    Attributes:
        inspections: new decisions.
        opinions: new second opinions and answers about known truths.
        settled: differences between two people that a rule settled, or left to a third.
        questions: new verdicts on questions.
        tubes: tubes that people changed or drew.
        videos: of which something was decided.
        phantoms: results that nobody made, dropped.
        faults: annotations that can't be taken: (task, why).
    """

    inspections: int = 0
    opinions: int = 0
    settled: int = 0
    questions: int = 0
    tubes: int = 0
    videos: set[str] = field(default_factory=set)
    phantoms: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Collected) -> None:
        """Count what another project gave."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine | value if isinstance(value, set) else mine + value)

    @property
    def line(self) -> str:
        """It in one line."""
        more = f", {self.opinions} opinions" if self.opinions else ""
        more += f", {self.settled} differences" if self.settled else ""
        more += f", {self.questions} questions" if self.questions else ""
        more += f", {self.phantoms} phantom results dropped" if self.phantoms else ""
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
        told, (since, seen) = Collected(), _cursor(desk)
        pushed = PushedTasks(desk.workspace.label_studio / "pushed")
        changed = desk.client.changed_tasks(desk.project, since and since - _OVERLAP)
        now: dict[str, str] = {}
        for tasks in _batches(t for t in changed if seen.get(str(t["id"])) != t["updated_at"]):
            answered = [task for task in tasks if task["annotations"]]
            _keep_raw(desk, answered)
            new = _unknown(snapshot, desk, answered)
            if new and desk.role == "question":
                _take_in_questions(snapshot, desk, new, told)
            elif new:
                known = pushed.find({task["data"]["uid"] for task, _ in new})
                _take_in(snapshot, desk, new, known, told)
            if desk.role in ("first", "second"):
                _settle(snapshot, desk, answered, told)
            now |= {str(task["id"]): task["updated_at"] for task in tasks}
        if now:
            _keep_cursor(desk, since, seen | now)
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


def _cursor(desk: Desk) -> tuple[datetime | None, dict[str, str]]:
    """Return the latest stamp that was seen, and which tasks had which stamps shortly before it."""
    file = note_of(desk.workspace, "cursor", desk.role)
    known = json.loads(file.read_bytes()) if file.exists() else {}
    if (known.get("project"), known.get("url")) != (desk.project, desk.client.url):
        return None, {}
    return datetime.fromisoformat(known["at"]), known.get("seen", {})


def _keep_cursor(desk: Desk, since: datetime | None, seen: dict[str, str]) -> None:
    moments = {number: datetime.fromisoformat(stamp) for number, stamp in seen.items()}
    latest = max([*moments.values(), *([since] if since else [])])
    cursor = {
        "project": desk.project,
        "url": desk.client.url,
        "at": str(latest),
        "seen": {n: seen[n] for n, moment in moments.items() if moment > latest - _OVERLAP},
    }
    write_atomic(note_of(desk.workspace, "cursor", desk.role), json.dumps(cursor).encode())


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
    videos = sorted({_video_of(task) for task in tasks})
    kinds: tuple[type[Record], ...] = (Inspection, Opinion)
    if desk.role == "question":
        kinds = (QuestionInspection,)
    known = {
        row
        for kind in kinds
        if videos
        for row in snapshot.table(kind, videos).column(kind.KEY[0]).to_pylist()
    }
    pairs = [
        (task, annotation)
        for task in tasks
        for annotation in task["annotations"]
        if not annotation["was_cancelled"] and _id_of(desk, task, annotation) not in known
    ]
    return sorted(pairs, key=lambda pair: str(pair[1]["updated_at"]))


def _id_of(desk: Desk, task: Json, annotation: Json) -> str:
    if desk.role == "question":
        return verdict_id(desk.project, task, annotation)
    return inspection_of(desk.project, task, annotation)


def _video_of(task: Json) -> str:
    data = task["data"]
    return video_of(data.get("event_id") or data["question_id"])


def _take_in(
    snapshot: Snapshot,
    desk: Desk,
    new: Sequence[tuple[Json, Json]],
    known: dict[str, PushedTask],
    told: Collected,
) -> None:
    """Read decisions and commit them."""
    rows: Rows = {}
    ledger: list[LedgerRow] = []
    deciding: set[str] = set()
    for task, annotation in new:
        video_id = _video_of(task)
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
        opinion: OpinionKind | None
        opinion = "second" if desk.role == "second" else "gold" if is_gold(task["data"]) else None
        if opinion is None:
            decision = _resolving(snapshot, desk, decision)
            deciding.add(video_id)
        for kind, records in _records(decision, dense, opinion).items():
            rows.setdefault(kind, []).extend((video_id, "", record) for record in records)
        ledger += [
            _row(snapshot, task, "filtered", "phantom_region", said, str(annotation["id"]))
            for said in decision.phantoms
        ]
        told.inspections += opinion is None
        told.opinions += opinion is not None
        told.tubes += 0 if opinion else len(decision.revised)
        told.phantoms += len(decision.phantoms)
    told.videos |= deciding
    _commit(snapshot, desk, rows, ledger, deciding)


def _commit(
    snapshot: Snapshot, desk: Desk, rows: Rows, ledger: Sequence[LedgerRow], deciding: set[str]
) -> None:
    """Commit rows; the videos of those that decide something are noted for the build."""
    if not (ledger or rows):
        return
    if deciding:
        _note(desk.workspace, videos_to_do(desk.workspace) | deciding)
    write_part(desk.workspace, INSPECT, [], ledger, rows, people_work=bool(rows))
    snapshot.refresh()


def _records(
    decision: Decision, dense: dict[str, Tube], opinion: OpinionKind | None
) -> dict[type[Record], Sequence[Record]]:
    known = dense | {each.digest: Tube(**each.model_dump()) for each in decision.revised}
    shown = tubes_named(decision.inspection, known)
    if opinion is None:
        return {Inspection: [decision.inspection], RevisedTube: decision.revised, ShownTube: shown}
    kept = [OpinionTube(**each.model_dump()) for each in shown]
    return {
        Opinion: [Opinion(**decision.inspection.model_dump(), kind=opinion)],
        OpinionTube: kept,
    }


def _resolving(snapshot: Snapshot, desk: Desk, decision: Decision) -> Decision:
    """Return a third person's decision with those that it settles."""
    if desk.role != "third":
        return decision
    mine = decision.inspection
    about = [
        each
        for each in from_table(Inspection, snapshot.table(Inspection, [video_of(mine.event_id)]))
        if each.event_id == mine.event_id and each.inspected_by == "human"
        if each.verdict == "unsure" and not each.takes_back and each.at < mine.at
    ]
    last = max(about, key=lambda row: row.at, default=None)
    changes = {"resolved_from": last and (last.resolved_from or last.inspection_id)}
    return replace(decision, inspection=mine.model_copy(update=changes))


def _settle(snapshot: Snapshot, desk: Desk, tasks: Sequence[Json], told: Collected) -> None:
    """Commit what follows from two people's decisions about one event."""
    videos = sorted({_video_of(task) for task in tasks})
    opinions = from_table(Opinion, snapshot.table(Opinion, videos)) if videos else []
    seconds = {
        e.event_id: e for e in sorted(opinions, key=lambda row: row.at) if e.kind == "second"
    }
    if not seconds:
        return
    inspections = from_table(Inspection, snapshot.table(Inspection, videos))
    known = known_tubes(snapshot, videos)
    rows: Rows = {}
    for event_id, second in sorted(seconds.items()):
        about = [each for each in inspections if each.event_id == event_id]
        first = first_decision(about)
        made = first and settle(first, second, known, desk.config.agree_iou)
        if not made or any(each.inspection_id == made.inspection_id for each in about):
            continue
        of_second = [
            known[tube.after_digest]
            for tube in made.tubes
            if tube.verdict in ("fixed", "added") and tube.after_digest in known
        ]
        revised = [RevisedTube(**tube.model_dump()) for tube in of_second]
        made_of: dict[type[Record], Sequence[Record]] = {
            Inspection: [made],
            RevisedTube: revised,
            ShownTube: tubes_named(made, known),
        }
        for kind, records in made_of.items():
            rows.setdefault(kind, []).extend((video_of(event_id), "", one) for one in records)
        told.settled += 1
        told.videos.add(video_of(event_id))
    _commit(snapshot, desk, rows, (), {video for video, _, _ in rows.get(Inspection, ())})


def _take_in_questions(
    snapshot: Snapshot, desk: Desk, new: Sequence[tuple[Json, Json]], told: Collected
) -> None:
    """Read verdicts on questions and commit them."""
    rows: list[tuple[str, str, Record]] = []
    for task, annotation in new:
        try:
            verdict = read_verdict(desk.project, task, annotation)
        except AnnotationError as error:
            place = f"{desk.client.url}/projects/{desk.project}/data?task={task['id']}"
            told.faults.append((place, str(error)))
            continue
        rows.append((_video_of(task), "", verdict))
        told.questions += 1
    _commit(snapshot, desk, {QuestionInspection: rows} if rows else {}, (), set())


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
