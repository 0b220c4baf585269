"""Gives people the events that nobody has inspected: cuts clips, makes tasks, sends what is new.

Takes a snapshot and a desk. Sending again sends nothing: a task is known by its event and what is
shown of it. Answered events stay answered, unless CONTRACTS 2 says that their verdict ended. The
desk's role says which events wait there; hidden among the first ones are some whose truth is known.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.desk import Desk
from earshot.annotation_ui.media_root import clear_leftovers, clip_of, media_of, put_clip
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.sdk_check import Check
from earshot.annotation_ui.show import Shown, task_of
from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.review_clip import ClipPlan, plan_clip
from earshot.schemas.arrow import from_table
from earshot.schemas.base import Record, to_pairs
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import h8
from earshot.schemas.inspection import Inspection, Opinion
from earshot.schemas.object import Object
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.schemas.video import Video
from earshot.store.lease import lease
from earshot.store.reviewed import people_verdict, tubes_of
from earshot.store.snapshot import Snapshot

AT_ONCE = 200
"""Tasks an import: far below the server's limits on one request."""

INSPECT = "inspect"
LEASE = "label_studio"
_VIDEOS_AT_ONCE = 100
# Of so many events what is shown is kept between the look at all and the sending (some 100 KB
# each); of those behind them it is read once more, so that memory has a bound.
_KEPT = 2000

R = TypeVar("R", bound=Record)
Progress = Callable[[int, int], None]
Tasks = list[tuple[Mapping[str, Any], Sequence[Tube]]]
Wanted = tuple[str, str, int | None]  # event, video, and of a hidden task how often before


@dataclass
class Pushed:
    """What a push came to; counts are events.

    Attributes:
        sent: new tasks.
        there: waited already, as they are now.
        answered: inspected by people.
        superseded: tasks of outdated content that nobody had answered, taken away.
        faults: what could not be shown: (event, why).
    """

    sent: int = 0
    there: int = 0
    answered: int = 0
    superseded: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def line(self) -> str:
        """It in one line."""
        more = f", {self.superseded} outdated taken away" if self.superseded else ""
        failed = f", {len(self.faults)} could not be shown" if self.faults else ""
        return (
            f"{self.sent} sent, {self.there} were there, {self.answered} inspected already"
            f"{more}{failed}"
        )


@dataclass(frozen=True)
class Candidate:
    """An event that may be shown.

    Attributes:
        shown: what people would see.
        verdict: what they say of it as it is now, None if nothing.
        seconds: second opinions on it.
    """

    shown: Shown
    verdict: Inspection | None
    seconds: Sequence[Opinion]

    @property
    def is_settled(self) -> bool:
        """Whether people have decided about it and none differs."""
        return self.verdict is not None and not self.verdict.is_open_dispute

    def state(self, desk: Desk) -> Literal["waits", "answered", "elsewhere"]:
        """Return what is to be done with it at a desk."""
        if desk.role == "first":
            return "waits" if self.verdict is None else "answered"
        if desk.role == "third":
            # What two differ about, and what one could not tell.
            is_open = self.verdict is not None and self.verdict.verdict == "unsure"
            return "waits" if is_open else "elsewhere"
        if not is_drawn(self.shown.event.event_id, desk.config.second_share):
            return "elsewhere"
        digests = sorted(self.shown.digests.values())
        seen = [
            sorted(tube.before_digest for tube in each.tubes if tube.before_digest)
            for each in self.seconds
        ]
        return "answered" if digests in seen else "waits"


def push(
    snapshot: Snapshot, desk: Desk, progress: Progress | None = None, check: Check | None = None
) -> Pushed:
    """Send every event that waits for people at a desk, the least certain first.

    Args:
        snapshot: of the build.
        desk: where.
        progress: told how many of how many are sent.
        check: refuses tasks that do not fit (`sdk_check.task_check`).

    Raises:
        ServerError: if the server fails; what it has taken in stays, and is not sent again.
        WorkspaceError: when the disk fails.
    """
    with lease(desk.workspace, LEASE, ()):
        clear_leftovers(desk)
        told = Pushed()
        look = _look(snapshot, desk, told)
        new: list[Wanted] = [(*one, None) for one in _unsent(desk, look.waiting, told)]
        if desk.role == "first" and look.golds:
            new += _hidden(desk, look.golds, told.answered + told.there + len(new))
        kept = PushedTasks(desk.workspace.label_studio / "pushed")
        kept.compact()
        # The server takes one batch in while the next is made.
        with ThreadPoolExecutor(1) as sender:
            sending: list[Future[list[int]]] = []
            for at in range(0, len(new), AT_ONCE):
                batch = _found(snapshot, desk, new[at : at + AT_ONCE], look.ready)
                tasks = _tasks(snapshot, desk, batch, told, check)
                _await(sending)
                if tasks:
                    # Before the server knows: an answer always finds its tubes.
                    sent = kept.keep(tasks)
                    sending.append(sender.submit(desk.client.import_json, desk.project, sent))
                    told.sent += len(tasks)
                if progress:
                    progress(min(at + AT_ONCE, len(new)), len(new))
            _await(sending)
        return told


@dataclass
class _Look:
    """What a look at all events came to.

    Attributes:
        waiting: (certainty, event, video, uid) of each that waits there.
        ready: what is shown of the first of them.
        golds: settled ones whose truth is known.
    """

    waiting: list[tuple[float, str, str, str]] = field(default_factory=list)
    ready: dict[str, Shown] = field(default_factory=dict)
    golds: list[Shown] = field(default_factory=list)


def _look(snapshot: Snapshot, desk: Desk, told: Pushed) -> _Look:
    found = _Look()
    for each in _events(snapshot, desk):
        shown, state = each.shown, each.state(desk)
        event = shown.event
        if state == "waits":
            found.waiting.append((shown.certainty, event.event_id, event.video_id, shown.uid))
            if len(found.ready) < _KEPT:
                found.ready[event.event_id] = shown
        told.answered += state == "answered"
        if event.event_id in desk.config.gold and each.is_settled:
            found.golds.append(shown)
    return found


def _await(sending: list[Future[list[int]]]) -> None:
    """Wait until what is on its way was taken in; raises what went wrong there."""
    while sending:
        sending.pop().result()


def has_open(snapshot: Snapshot) -> bool:
    """Whether any event was ever called unsure: by a person, or because two people differ."""
    rows = snapshot.table(Inspection)
    pairs = zip(*(rows.column(n).to_pylist() for n in ("verdict", "inspected_by")), strict=True)
    return ("unsure", "human") in set(pairs)


def _hidden(desk: Desk, golds: Sequence[Shown], n_events: int) -> list[Wanted]:
    """Return which events of known truth are to be asked once more, and how often they were.

    Args:
        desk: where.
        golds: these events.
        n_events: how many others were ever sent there, or are about to be.
    """
    wanted = [
        replace(golds[number % len(golds)], gold=number // len(golds))
        for number in range(int(desk.config.gold_share * n_events))
    ]
    uids = [shown.uid for shown in wanted]
    there = {task["data"]["uid"] for task in desk.client.tasks_with(desk.project, "uid", uids)}
    return [
        (shown.event.event_id, shown.event.video_id, shown.gold)
        for shown in wanted
        if shown.uid not in there
    ]


def _unsent(
    desk: Desk, waiting: Sequence[tuple[float, str, str, str]], told: Pushed
) -> list[tuple[str, str]]:
    """Return (event, video) of what the server does not have; outdated tasks go."""
    uids = {event_id: uid for _, event_id, _, uid in waiting}
    there: set[str] = set()
    for task in desk.client.tasks_with(desk.project, "event_id", sorted(uids)):
        uid, event_id = task["data"]["uid"], task["data"]["event_id"]
        if uid == uids[event_id]:
            there.add(event_id)
        elif not task["total_annotations"] and not task["drafts"]:
            desk.client.delete_task(int(task["id"]))
            told.superseded += 1
    told.there = len(there)
    return [(e, video_id) for _, e, video_id, _ in sorted(waiting) if e not in there]


def _found(
    snapshot: Snapshot, desk: Desk, batch: Sequence[Wanted], ready: Mapping[str, Shown]
) -> list[Shown]:
    """Return what is shown of some events, in order: what is ready, and the others read again."""
    videos = sorted({video_id for event_id, video_id, _ in batch if event_id not in ready})
    read = {
        each.shown.event.event_id: each.shown
        for each in (_events(snapshot, desk, videos) if videos else ())
    }
    found = [(ready.get(event_id) or read[event_id], gold) for event_id, _, gold in batch]
    return [shown if gold is None else replace(shown, gold=gold) for shown, gold in found]


def _tasks(
    snapshot: Snapshot, desk: Desk, batch: Sequence[Shown], told: Pushed, check: Check | None
) -> Tasks:
    """Return the tasks of some events in order, with their clips in place."""
    give = media_of(snapshot)
    made: Tasks = []
    with Worker(snapshot.build.config.run.limit_s) as worker:
        for shown in batch:
            try:
                plan = _plan(shown.video, shown.event, desk)
                put_clip(shown.clip, shown.video, plan, desk, give, worker)
                task = task_of(shown)
                if check:
                    check(task)
            except ItemError as error:
                told.faults.append((shown.event.event_id, str(error)))
                continue
            made.append((task, shown.tubes))
    return made


def _plan(video: Video, event: Event, desk: Desk) -> ClipPlan:
    pairs = to_pairs(event.segments)
    window = (min(start for start, _ in pairs), max(end for _, end in pairs))
    size = (video.width, video.height)
    return plan_clip(video.duration_s, video.fps, size, window, desk.config.margin_s)


def is_drawn(item_id: str, share: float) -> bool:
    """Tell whether an item is in a share of all that depends on its id alone."""
    return int(h8(["share", item_id]), 16) < share * 16**8


def _events(
    snapshot: Snapshot, desk: Desk, videos: Sequence[str] | None = None
) -> Iterator[Candidate]:
    """Yield what is shown of each event, and what people said of it."""
    reached = snapshot.reach(INSPECT) if videos is None else videos
    for at in range(0, len(reached), _VIDEOS_AT_ONCE):
        with _uncollected():
            found = list(_events_of(snapshot, desk, reached[at : at + _VIDEOS_AT_ONCE]))
        yield from found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Read without a look for cycles: records have none, and it takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _events_of(snapshot: Snapshot, desk: Desk, videos: Sequence[str]) -> Iterator[Candidate]:
    def rows(kind: type[R]) -> list[R]:
        return from_table(kind, snapshot.table(kind, videos))

    by_id = {video.video_id: video for video in rows(Video)}
    objects = {each.object_id: each for each in rows(Object)}
    captions = {each.caption_id: each for each in rows(Caption)}
    parts = _grouped(rows(EventObject), lambda row: row.event_id)
    table = snapshot.table(Tube, videos)
    digests = dict(
        zip(*(table.column(name).to_pylist() for name in ("tube_id", "digest")), strict=True)
    )
    tubes = _grouped(from_table(Tube, table), lambda row: row.video_id)
    people = [each for each in rows(Inspection) if each.inspected_by == "human"]
    earlier = [*rows(RevisedTube), *(each.tube() for each in rows(ShownTube))] if people else []
    opinions = [each for each in rows(Opinion) if each.kind == "second"]
    for event in rows(Event):
        video_id = event.video_id
        mine = parts.get(event.event_id, [])
        shown_tubes = tubes_of(event, mine, tubes.get(video_id, ()))
        plan = _plan(by_id[video_id], event, desk)
        about = [each for each in people if each.event_id == event.event_id]
        known = [*shown_tubes, *earlier]
        verdict = people_verdict(event, shown_tubes, about, known)
        shown = Shown(
            video=by_id[video_id],
            event=event,
            parts=mine,
            objects=[objects[part.object_id] for part in mine],
            tubes=shown_tubes,
            clip=clip_of(by_id[video_id], plan),
            clock=Clock(plan.offset_s, float(plan.fps), plan.n_frames),
            captions=[captions[c].text for c in event.caption_ids if c in captions],
            times_reopened=sum(each.takes_back for each in about),
            said="; ".join(verdict.reasons) if verdict and desk.role == "third" else "",
            known_digests=digests,
        )
        taken_back = max((each.at for each in about if each.takes_back), default=None)
        seconds = [
            each
            for each in opinions
            if each.event_id == event.event_id and (taken_back is None or each.at > taken_back)
        ]
        yield Candidate(shown, verdict, seconds)


def _grouped(rows: Sequence[R], key: Callable[[R], str]) -> dict[str, list[R]]:
    found: dict[str, list[R]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found
