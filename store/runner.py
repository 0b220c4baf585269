"""Runs one stage on one batch of videos and commits what became of each.

The only place with a broad `except`: what a stage raises becomes quarantine rows with a traceback,
and the other videos of the batch go on. Faults of the disk are raised, never quarantined.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earshot.errors import (
    ConfigError,
    DeviceError,
    EarshotError,
    EndpointError,
    ItemError,
    WorkspaceError,
)
from earshot.schemas.base import Record
from earshot.schemas.ids import video_of
from earshot.schemas.inspection import Inspection
from earshot.schemas.ledger import REASONS, LedgerRow, Status, fits
from earshot.schemas.state import StageState
from earshot.store.item_counts import count_items
from earshot.store.keys import Key, hand_on
from earshot.store.parts import write_part
from earshot.store.quarantine import keep_traceback
from earshot.store.runlog import RunLog
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Done, Item, Outcome, Quarantined, Stage, StageInput
from earshot.store.workspace import disk_fault, is_disk_fault

# A killed build loses at most this much of finished work; more parts cost the readers time.
COMMIT_EVERY_S = 5.0

RunStage = Callable[[Stage[Any], Sequence[StageInput]], Iterator[Outcome]]
"""How a stage's `run` is called: here, or in a child that can be killed."""


def run_here(stage: Stage[Any], batch: Sequence[StageInput]) -> Iterator[Outcome]:
    """Call a stage's `run` in this process."""
    return stage.run(batch)


@dataclass(frozen=True)
class Receipt:
    """What a batch came to: counts by status, small enough to pass between processes."""

    stage: str
    counts: dict[Status, int]
    seconds: float


@dataclass
class _Pending:
    """Outcomes that wait for the next commit."""

    states: list[StageState] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    rows: dict[type[Record], list[tuple[str, str, Record]]] = field(default_factory=dict)
    people_work: bool = False


def run_batch(
    snapshot: Snapshot,
    stage: Stage[Any],
    videos: Sequence[str],
    run_id: str,
    log: RunLog,
    run_stage: RunStage = run_here,
) -> Receipt:
    """Run a stage on videos whose input is there, and commit.

    Args:
        snapshot: gives inputs and keys; refresh it before, the batch does not.
        stage: the stage.
        videos: ids; each gets exactly one outcome.
        run_id: written into the states.
        log: told of every video and commit.
        run_stage: how the stage is called.

    Raises:
        WorkspaceError: when the disk fails; what was committed before stays.
    """
    started = time.monotonic()
    if not videos:
        return Receipt(stage.name, {}, 0.0)
    keys = snapshot.keys(stage.name, videos)
    before = dict(zip(videos, snapshot.look(stage.name, videos), strict=True))
    givens = snapshot.inputs(stage, [video_id for video_id in videos if video_id in keys])
    for video_id, given in givens.items():
        earlier = before[video_id]
        given.attempt = 1 if earlier is None else earlier.state.attempts + 1
    counts: dict[Status, int] = {}
    pending = _Pending()
    last_commit = time.monotonic()
    outcomes = _timed(_outcomes(snapshot, stage, run_stage, list(givens.values())))
    try:
        for outcome, seconds in outcomes:
            given = givens[outcome.video_id]
            checked, item_ids = _checked(snapshot, stage, given, outcome)
            _collect(
                pending, snapshot, stage, checked, item_ids, keys, given.attempt, seconds, run_id
            )
            counts[checked.status] = counts.get(checked.status, 0) + 1
            log.tell("video_ran", stage=stage.name, video_id=checked.video_id)
            if time.monotonic() - last_commit > COMMIT_EVERY_S:
                _commit(snapshot, stage, pending, log)
                pending, last_commit = _Pending(), time.monotonic()
    except EndpointError:  # what was answered before is paid for
        _commit(snapshot, stage, pending, log)
        raise
    _commit(snapshot, stage, pending, log)
    return Receipt(stage.name, counts, time.monotonic() - started)


def _outcomes(
    snapshot: Snapshot, stage: Stage[Any], run_stage: RunStage, batch: Sequence[StageInput]
) -> Iterator[Outcome]:
    """One outcome for each input, whatever the stage does."""
    left = {given.video_id: given for given in batch}
    strange: list[str] = []
    try:
        for outcome in run_stage(stage, batch):
            if left.pop(outcome.video_id, None) is not None:
                yield outcome
            else:
                strange.append(outcome.video_id)
    except EndpointError:  # as with the disk: no other item would fare better
        raise
    except Exception as error:  # what a stage may raise is unknown by nature
        if len(left) == 1:
            (video_id,) = left
            left.clear()
            yield _fault(snapshot, video_id, error)
        elif (found := fatal(error, snapshot.workspace.root)) is not None:
            raise found from error
    if len(left) == len(batch) == 1:
        (video_id,) = left
        instead = f", but one for {strange[:3]}" if strange else ""
        yield Quarantined(
            video_id,
            reason_code="wrong_results",
            message=f"stage {stage.name} gave no result for this video; expected exactly one"
            f"{instead}",
        )
        return
    # Alone, each of the rest shows whether it is at fault itself.
    for given in left.values():
        yield from _outcomes(snapshot, stage, run_stage, [given])


def fatal(error: Exception, root: Path) -> EarshotError | None:
    """Return what stops a build: the workspace at `root`, settings, the device. None: an item's."""
    if isinstance(error, (WorkspaceError, ConfigError, DeviceError)):
        return error
    if isinstance(error, OSError) and is_disk_fault(error, root):
        return disk_fault(Path(os.fsdecode(error.filename or "a file")), error)
    return None


def _fault(snapshot: Snapshot, video_id: str, error: Exception) -> Quarantined:
    found = fatal(error, snapshot.workspace.root)
    if found is not None:
        raise found from error
    text = "".join(traceback.format_exception(error))
    if isinstance(error, ItemError):
        return Quarantined(
            video_id, reason_code=error.code, message=str(error), value=error.value, traceback=text
        )
    code = "stage_error"
    message = str(error) if isinstance(error, EarshotError) else f"{type(error).__name__}: {error}"
    return Quarantined(video_id, reason_code=code, message=message, traceback=text)


def _timed(outcomes: Iterator[Outcome]) -> Iterator[tuple[Outcome, float]]:
    before = time.monotonic()
    for outcome in outcomes:
        now = time.monotonic()
        yield outcome, now - before
        before = time.monotonic()


def _checked(
    snapshot: Snapshot, stage: Stage[Any], given: StageInput, outcome: Outcome
) -> tuple[Outcome, tuple[str, ...]]:
    """Return the outcome, or a quarantine row that says what is wrong with it, and the items in."""
    try:
        item_ids = stage.items(given)
    except Exception as error:  # noqa: BLE001 - as in _outcomes: a stage's own code
        return _fault(snapshot, given.video_id, error), ()
    wrong = _mismatch(stage, given, outcome, item_ids)
    if wrong is None:
        return outcome, item_ids
    message = f"stage {stage.name}, version {stage.version}: {wrong}"
    return (
        Quarantined(outcome.video_id, reason_code="wrong_results", message=message),
        item_ids,
    )


def _mismatch(
    stage: Stage[Any], given: StageInput, outcome: Outcome, item_ids: tuple[str, ...]
) -> str | None:
    said = [(outcome.status, getattr(outcome, "reason_code", None) or None)]
    said += [(item.status, item.reason_code) for item in outcome.items]
    for status, code in said:
        if not fits(status, code):
            return f"gave the reason {code!r} for {status!r}, which schemas.ledger does not know"
    for record in outcome.records:
        if type(record) not in stage.writes:
            return f"returned a row of table {record.TABLE}, which it does not declare to write"
        if video_of(record.record_id) != given.video_id:
            return f"returned {record.TABLE} row {record.record_id} of another video"
    ids = [(type(record), record.record_id) for record in outcome.records]
    if len(set(ids)) != len(ids):
        twice = next(record_id for kind, record_id in ids if ids.count((kind, record_id)) > 1)
        return f"returned two rows with the id {twice}"
    if isinstance(outcome, Done) or outcome.items:
        expected, got = sorted(item_ids), sorted(item.item_id for item in outcome.items)
        if expected != got:
            missing, extra = set(expected) - set(got), set(got) - set(expected)
            return (
                f"accounted for {len(got)} of {len(expected)} items of kind {stage.item_kind}: "
                f"missing {sorted(missing)[:3]}, unknown {sorted(extra)[:3]}, or one twice"
            )
    return None


def _collect(
    pending: _Pending,
    snapshot: Snapshot,
    stage: Stage[Any],
    outcome: Outcome,
    item_ids: tuple[str, ...],
    keys: dict[str, Key],
    attempts: int,
    seconds: float,
    run_id: str,
) -> None:
    key, now = keys[outcome.video_id], datetime.now(UTC)
    base = {
        "build_id": snapshot.build.build_id,
        "stage": stage.name,
        "video_id": outcome.video_id,
        "attempts": attempts,
        "key": key.key,
        "at": now,
    }
    reason_code = getattr(outcome, "reason_code", None) or None
    pending.ledger.append(
        LedgerRow(
            **base,
            item_kind="video",
            item_id=outcome.video_id,
            status=outcome.status,
            reason_code=reason_code,
            message=_message(snapshot, stage, outcome),
            value=getattr(outcome, "value", None),
            seconds=seconds,
            tokens=outcome.tokens,
            cost_usd=outcome.cost_usd,
        )
    )
    # Where a whole video is left out or at fault, so is each of its items.
    items = outcome.items or tuple(
        Item(item_id, outcome.status, reason_code, getattr(outcome, "message", None))
        for item_id in item_ids
    )
    pending.ledger.extend(
        LedgerRow(
            **base,
            item_kind=stage.item_kind or "video",
            item_id=item.item_id,
            status=item.status,
            reason_code=item.reason_code,
            message=item.message,
            value=item.value,
            seconds=0.0,
        )
        for item in items
    )
    views, view_digests = hand_on(snapshot.views[stage.name], outcome.records)
    for record in outcome.records:
        pending.rows.setdefault(type(record), []).append((outcome.video_id, key.key, record))
        if isinstance(record, Inspection) and record.is_original_work:
            pending.people_work = True
    pending.states.append(
        StageState(
            stage=stage.name,
            video_id=outcome.video_id,
            key=key.key,
            stage_version=key.stage_version,
            config_digest=key.config_digest,
            prompt_digest=key.prompt_digest,
            model_digest=key.model_digest,
            input_digest=key.input_digest,
            status=outcome.status,
            reason_code=reason_code,
            n_items=len(item_ids),
            item_counts=count_items(items),
            attempts=attempts,
            seconds=seconds,
            build_id=snapshot.build.build_id,
            run_id=run_id,
            at=now,
            views=views,
            view_digests=view_digests,
        )
    )


def _message(snapshot: Snapshot, stage: Stage[Any], outcome: Outcome) -> str | None:
    message = getattr(outcome, "message", None)
    if isinstance(outcome, Quarantined):
        if outcome.traceback:
            file = keep_traceback(
                snapshot.workspace, stage.name, outcome.video_id, outcome.traceback
            )
            return f"{message} [traceback: {file}]"
        remedy = REASONS[outcome.reason_code].remedy
        return f"{message} {remedy}" if message else remedy
    return message


def _commit(snapshot: Snapshot, stage: Stage[Any], pending: _Pending, log: RunLog) -> None:
    if not pending.states:
        return
    part = write_part(
        snapshot.workspace,
        stage.name,
        pending.states,
        pending.ledger,
        pending.rows,
        people_work=pending.people_work,
    )
    log.write("part_committed", stage=stage.name, part_id=part.part_id)
    for state in pending.states:  # done means committed: a line here is never run again
        log.write(
            "video_done",
            stage=stage.name,
            video_id=state.video_id,
            status=state.status,
            reason_code=state.reason_code,
            seconds=round(state.seconds, 3),
        )
