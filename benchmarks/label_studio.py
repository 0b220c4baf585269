"""Push and collect: 1,000 tasks to a real Label Studio, against one request a task.

    python benchmarks/label_studio.py FOLDER     # FOLDER: of a running server, W/label_studio

Builds tasks as `earshot inspect push` does (three tubes of 5 fps over 10 s), sends each batch while
the next is made, polls them back as `collect` does, and compares with importing one by one (of 50,
scaled). CPU seconds stand beside the clock's, ours and the server's: they say what a quiet machine
takes. Clips are not cut.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from earshot.annotation_ui.client import Json, LabelStudio
from earshot.annotation_ui.desk import _settings
from earshot.annotation_ui.push import AT_ONCE
from earshot.annotation_ui.pushed import PushedTasks
from earshot.annotation_ui.server import ServerFolder, find
from earshot.annotation_ui.show import Shown, task_of
from tests.annotation_ui.events import shown_of, walking
from tests.factories import make_event, make_event_object, make_object

TASKS = 1000
SINGLE = 50


def event(number: int) -> Shown:
    """An event with three tubes."""
    shown, thing = make_event(label=f"event {number}"), make_object()
    tubes = [walking(seen=[True] * 50, seed=3 * number + k, ordinal=k) for k in range(3)]
    part = make_event_object(shown, thing)
    known = {tube.tube_id: tube.digest for tube in tubes}  # as `push` has them from the table
    return shown_of(*tubes, event=shown, objects=[thing], parts=[part], known_digests=known)


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


def main(folder: Path) -> None:
    """Measure on a project of its own, which is deleted at the end."""
    login, record = find(ServerFolder(folder)), ServerFolder(folder).record()
    if login is None or record is None:
        raise SystemExit(f"no server runs in {folder}: earshot inspect serve")
    client = LabelStudio(login.url, login.token)
    project = int(client.post("/api/projects/", _settings("benchmark"))["id"])
    events = [event(number) for number in range(TASKS + SINGLE)]
    kept = PushedTasks(folder / "benchmark")
    path = f"/api/projects/{project}/import?return_task_ids=true&commit_to_project=true"
    parts = [events[at : at + AT_ONCE] for at in range(0, TASKS, AT_ONCE)]

    def push() -> None:
        with ThreadPoolExecutor(1) as sender:
            sending: list[Future[list[int]]] = []
            for part in parts:
                tasks = [task_of(each) for each in part]
                while sending:
                    sending.pop().result()
                kept.keep([(task, each.tubes) for task, each in zip(tasks, part, strict=True)])
                sending.append(sender.submit(client.import_tasks, project, tasks))

    pid = record.pid
    push_s = timed(f"push {TASKS} in batches of {AT_ONCE}", pid, push)
    single = [task_of(each) for each in events[TASKS:]]
    one_s = timed(
        f"send {SINGLE} one by one", pid, lambda: [client.post(path, [task]) for task in single]
    )
    ids = [each.event.event_id for each in events[:TASKS]]

    def ask() -> None:
        list(client.tasks_with(project, "event_id", ids))

    timed(f"ask which of {TASKS} are there", pid, ask)
    polled: list[Json] = []
    timed("poll all of them whole", pid, lambda: polled.extend(client.changed_tasks(project, None)))
    some = {each["data"]["uid"] for each in polled[:AT_ONCE]}
    timed("find what 200 of them showed", pid, lambda: kept.find(some))
    print(f"a push of {TASKS}: {push_s:.1f} s; one by one {one_s / SINGLE * TASKS:.1f} s to send")
    client._ask("DELETE", f"/api/projects/{project}/")
    for file in (folder / "benchmark").glob("*"):
        file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
