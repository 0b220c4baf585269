"""Push and collect: 1,000 events of a real workspace to a real Label Studio, beside one by one.

    python -m benchmarks.label_studio W/label_studio [--profile]    # the folder of a running server

Makes a workspace of 500 videos with two events each, three tubes of 5 fps over 10 s an event, and
does what `earshot inspect push` and `collect` do with it; compares with importing one by one (of
50, scaled). CPU seconds stand beside the clock's, ours and the server's: they say what a quiet
machine takes. Clips are not cut: empty files stand in their places.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stand_in import STAND_INS, Analyse, Objects, Track, write_manifest
from earshot.annotation_ui.collect import collect
from earshot.annotation_ui.desk import Desk, open_desk
from earshot.annotation_ui.push import _events, push
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.server import Login, ServerFolder, find
from earshot.annotation_ui.show import task_of
from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.config import Config, InspectConfig, LabelStudioConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject, Evidence
from earshot.schemas.request import BuildRequest
from earshot.schemas.tube import Tube, boxes_from_array
from earshot.store.stage import StageInput
from earshot.store.workspace import Workspace
from earshot.tasks.inspect_tubes import InspectTubes
from earshot.tasks.pipeline import ANNOTATE, Session, open_run, open_session, run_plain

VIDEOS = 500
SINGLE = 50
TUBES = 3
FPS, SECONDS = 5, 10


class TwoEvents(Analyse):
    """Two events a video, 10 s each."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Events without mentions."""
        return tuple(
            Event(
                event_id=ids.event_id(given.video_id, [], "sound", at), video_id=given.video_id,
                label=f"sound {at}", description="A thing sounds.",
                segments=(Interval(start_s=2.0 + 20 * at, end_s=12.0 + 20 * at),),
                time_source="caption", caption_ids=(ids.caption_id(given.video_id, at),),
            )
            for at in (0, 1)
        )  # fmt: skip


class ThreeThings(Objects):
    """Three of the objects in each event."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Objects and their parts."""
        objects = [each for each in super().rows(given) if not isinstance(each, EventObject)]
        seen = (Evidence(caption_id=ids.caption_id(given.video_id, 0), char_start=0, char_end=3),)
        parts = [
            EventObject(
                event_id=event.event_id, object_id=thing.object_id,
                audibility="visible_and_audible", sounding=event.segments, evidence=seen,
                confidence=0.9,
            )
            for event in given.all(Event)
            for thing in objects[:TUBES]
        ]  # fmt: skip
        return (*objects, *parts)


class Walk(Track):
    """Boxes that walk about and grow and shrink, as tracked ones do."""

    def rows(self, given: StageInput) -> tuple[Any, ...]:
        """Three tubes an event."""
        rng, n = np.random.default_rng(random.Random(given.video_id).getrandbits(32)), FPS * SECONDS
        things = sorted({part.object_id for part in given.all(EventObject)})
        return tuple(self._tube(given.video_id, event, thing, rng, n)
                     for event in given.all(Event) for thing in things)  # fmt: skip

    def _tube(
        self, video_id: str, event: Event, thing: str, rng: np.random.Generator, n: int
    ) -> Tube:
        window = event.segments[0]
        centre = 0.5 + np.cumsum(rng.normal(0, 0.012, (n, 2)), axis=0).clip(-0.3, 0.3)
        size = (0.25 + np.cumsum(rng.normal(0, 0.004, (n, 2)), axis=0)).clip(0.1, 0.38)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).round(6)
        return Tube(
            tube_id=ids.tube_id(thing, window.pair, 0), video_id=video_id, object_id=thing,
            window=window, times_s=tuple(round(window.start_s + at / FPS, 3) for at in range(n)),
            boxes=boxes_from_array(boxes), state=("visible",) * n,
            score=tuple(np.round(rng.random(n), 4).tolist()), source="detected", synchrony=0.5,
            box_space="norm", parent_digest=None, backend="stand-in", backend_version="1",
            weights_digest=None, settings_digest="0" * 64,
        )  # fmt: skip


STAGES = tuple(
    {"Analyse": TwoEvents, "Objects": ThreeThings, "Track": Walk, "Inspect": InspectTubes}.get(
        each.__name__, each
    )
    for each in STAND_INS
    if each.__name__ != "Questions"
)


def waiting(folder: Path) -> Session:
    """Build a workspace whose events wait for people."""
    manifest = write_manifest(folder / "input.jsonl", VIDEOS)
    config = Config(inspect=InspectConfig(backend="label_studio"))
    request = BuildRequest(
        workspace=str(folder / "w"), input=str(manifest), config=config, publish=False
    )
    run = open_run(request, stages=STAGES)
    run_plain(run, ANNOTATE)
    run.finish()
    return open_session(Workspace.open(folder / "w"), stages=STAGES)


def desk_of(session: Session, login: Login, media: Path) -> Desk:
    """A project of its own."""
    os.environ["BENCHMARK_TOKEN"] = login.token
    config = LabelStudioConfig(
        url=login.url, token_env="BENCHMARK_TOKEN", media_root=str(media),
        project=f"benchmark {time.time():.0f}",
    )  # fmt: skip
    return open_desk(session.workspace, config)


def server_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its children so far (proc_pid_stat(5), 14 and 15)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for each in (str(pid), *children):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(name: str, pid: int, work: Callable[[], object]) -> float:
    """Print and return the seconds that something takes, with the CPU seconds of both sides."""
    began, mine, theirs = time.perf_counter(), time.process_time(), server_cpu_s(pid)
    work()
    seconds = time.perf_counter() - began
    ours, server = time.process_time() - mine, server_cpu_s(pid) - theirs
    print(f"{name:<46}{seconds:8.2f} s   CPU {ours:6.2f} s ours, {server:6.2f} s the server's")
    return seconds


def main(folder: Path, *, is_profiled: bool = False) -> None:
    """Measure on a project of its own, which is deleted at the end."""
    login, record = find(ServerFolder(folder)), ServerFolder(folder).record()
    if login is None or record is None:
        raise SystemExit(f"no server runs in {folder}: earshot inspect serve")
    with tempfile.TemporaryDirectory() as place:
        session = waiting(Path(place))
        desk = desk_of(session, login, ServerFolder(folder).media)
        try:
            measure(session, desk, record.pid, is_profiled=is_profiled)
        finally:
            desk.client._ask("DELETE", f"/api/projects/{desk.project}/")


def measure(session: Session, desk: Desk, pid: int, *, is_profiled: bool) -> None:
    """Push, push again, ask, poll; then some one by one."""
    shown = [each.shown for each in _events(session.snapshot, desk)]
    clips = [desk.media_root / each.clip for each in shown]
    for clip in clips:
        clip.touch()
    profile = cProfile.Profile()

    def first() -> None:
        if is_profiled:
            profile.enable()
        told = push(session.snapshot, desk)
        profile.disable()
        assert told.sent == len(shown), told.line

    push_s = timed(f"push {len(shown)}", pid, first)
    if is_profiled:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    timed("push again: nothing is new", pid, lambda: push(session.snapshot, desk))
    timed("collect them, all unanswered", pid, lambda: collect(session.snapshot, desk))
    kept = PushedTasks(desk.workspace.label_studio / "pushed")
    some = {each.uid for each in shown[:200]}
    timed("find what 200 of them showed", pid, lambda: kept.find(some))
    single = [json.loads(json.dumps(task_of(each))) for each in shown[:SINGLE]]
    path = f"/api/projects/{desk.project}/import?return_task_ids=true&commit_to_project=true"
    one_s = timed(
        f"send {SINGLE} one by one", pid, lambda: [desk.client.post(path, [t]) for t in single]
    )
    print(f"a push of {len(shown)}: {push_s:.1f} s; one by one "
          f"{one_s / SINGLE * len(shown):.1f} s to send alone")  # fmt: skip
    for clip in clips:
        clip.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_profiled="--profile" in sys.argv)
