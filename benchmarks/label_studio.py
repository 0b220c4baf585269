"""Push and collect: 1,000 tasks to a real Label Studio, against one request a task.

    python benchmarks/label_studio.py FOLDER     # FOLDER: of a running server, W/label_studio

Builds tasks as `earshot inspect push` does (three tubes of 5 fps over 10 s), sends them in its
batches, polls them back as `collect` does, and compares with importing one by one (of 50, scaled).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
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
    return shown_of(*tubes, event=shown, objects=[thing], parts=[part])


def timed(name: str, work: Callable[[], object]) -> float:
    """Print and return the seconds that something takes."""
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(f"{name:<46}{seconds:8.2f} s")
    return seconds


def main(folder: Path) -> None:
    """Measure on a project of its own, which is deleted at the end."""
    login = find(ServerFolder(folder))
    if login is None:
        raise SystemExit(f"no server runs in {folder}: earshot inspect serve")
    client = LabelStudio(login.url, login.token)
    project = int(client.post("/api/projects/", _settings("benchmark"))["id"])
    events = [event(number) for number in range(TASKS + SINGLE)]
    tasks: list[Json] = []
    kept = PushedTasks(folder / "benchmark")
    path = f"/api/projects/{project}/import?return_task_ids=true&commit_to_project=true"

    def build() -> None:
        tasks.extend(task_of(each) for each in events)

    def send() -> None:
        for at in range(0, TASKS, AT_ONCE):
            part = slice(at, min(at + AT_ONCE, TASKS))
            kept.keep([(t, e.tubes) for t, e in zip(tasks[part], events[part], strict=True)])
            client.import_tasks(project, tasks[part])

    build_s = timed(f"make {TASKS + SINGLE} tasks", build)
    send_s = timed(f"keep and send {TASKS} in batches of {AT_ONCE}", send)
    one_s = timed(
        f"send {SINGLE} one by one", lambda: [client.post(path, [t]) for t in tasks[TASKS:]]
    )
    ids = [event.event.event_id for event in events[:TASKS]]
    timed(
        f"ask which of {TASKS} are there", lambda: list(client.tasks_with(project, "event_id", ids))
    )
    timed("poll all of them whole", lambda: list(client.changed_tasks(project, None)))
    timed("find what they showed", lambda: kept.find({t["data"]["uid"] for t in tasks[:AT_ONCE]}))
    print(f"a push of {TASKS}: {build_s + send_s:.1f} s; one by one {one_s / SINGLE * TASKS:.1f} s")
    client._ask("DELETE", f"/api/projects/{project}/")
    for file in (folder / "benchmark").glob("*"):
        file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
