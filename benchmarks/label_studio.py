"""Push and collect: 1,000 events of a real workspace to a real Label Studio, beside one by one.

    python -m benchmarks.label_studio W/label_studio [--profile]    # the folder of a running server

Does what `earshot inspect push` and `collect` do with the workspace of `benchmarks.waiting`, and
compares with importing one by one (of 50, scaled). CPU seconds stand beside the clock's, ours and
the server's: they say what a quiet machine takes. Clips are not cut: empty files stand for them.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.waiting import waiting
from earshot.annotation_ui.collect import collect
from earshot.annotation_ui.desk import Desk, open_desk
from earshot.annotation_ui.push import _events, push
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.server import Login, ServerFolder, find
from earshot.annotation_ui.show import task_of
from earshot.schemas.config import LabelStudioConfig
from earshot.tasks.pipeline import Session

SINGLE = 50


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
