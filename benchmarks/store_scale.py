"""Builds, plans and counts many videos' records with stand-in stages, in the plain loop.

Run as `python benchmarks/store_scale.py [VIDEOS] [FOLDER]` (default: 2,000 in a temporary folder;
100,000 take about an hour of one core). Every step is a process of its own, as a user's command is,
so that its time and memory are its own. Prints CPU and wall seconds, memory, files, and the ratio
that is held: a plan over a fresh workspace costs no more than a fiftieth of the build's CPU time.
`--finished [VIDEOS] [FOLDER]` (default: 100,000) skips the build: it writes the workspace that one
leaves in some minutes, and holds `plan` and `status` to 10 s each, once the index is there.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VIDEOS = 2_000
FINISHED = 100_000
MIN_RATIO = 50.0
MAX_S = 10.0
STEPS = ("build", "plan", "status", "build again")


def step(name: str, folder: Path) -> None:
    """Do one step and print what it found."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.stand_in import STAND_INS
    from earshot.schemas.request import BuildRequest
    from earshot.store.workspace import Workspace
    from earshot.tasks.pipeline import ANNOTATE, PUBLISH, open_run, open_session, run_plain

    workspace = folder / "w"
    request = BuildRequest(
        workspace=str(workspace), input=str(folder / "input.jsonl"), publish=False
    )
    if name == "plan":
        run = open_run(request, keep=False, stages=STAND_INS)
        print(json.dumps({"todo": sum(len(one.todo) for one in run.plan())}))
    elif name == "status":
        counts = open_session(Workspace.open(workspace), stages=STAND_INS).counts
        print(json.dumps({"items": sum(count.n_in for count in counts)}))
    else:
        run = open_run(request, stages=STAND_INS)
        run_plain(run, (*ANNOTATE, *PUBLISH))
        run.finish()
        print(json.dumps({"batches": run.batches_executed}))


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Return what one step printed, with its seconds, CPU seconds and memory."""
    begun = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, __file__, "--step", name, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"step {name} failed")
    return {
        "wall_s": round(time.monotonic() - begun, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "mb": usage.ru_maxrss // 1024,
        **json.loads(told),
    }


def main(videos: int, folder: Path) -> None:
    """Measure all steps and print them."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.stand_in import write_manifest

    write_manifest(folder / "input.jsonl", videos)
    found = {}
    for name in STEPS:
        found[name] = measure(name, folder)
        print(f"{name:12s} {json.dumps(found[name])}", flush=True)
    files = [path for path in (folder / "w").rglob("*") if path.is_file()]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    print(f"files        {len(files)}, {size_mb:.0f} MB")
    build, plan = found["build"]["cpu_s"], found["plan"]["cpu_s"]
    print(f"build: {1000 * build / videos:.1f} ms CPU a video; {build / plan:.0f} times a plan")
    # A plan's fixed two seconds are the imports: below 2,000 videos they are all of it.
    if videos >= VIDEOS and build / plan < MIN_RATIO * min(1, videos / 20_000):
        sys.exit(f"a build costs {build / plan:.0f} plans: the plan is too slow")


def hold(videos: int, folder: Path) -> None:
    """Measure plan and status over a workspace as a build leaves it, and hold them to a bound.

    CPU seconds decide: a machine with other work to do makes no step slower by them.
    """
    sys.path.insert(0, str(ROOT))
    from benchmarks.finished import write_finished

    if not (folder / "w").exists():
        write_finished(folder, videos)
    found = {}
    # A build leaves the index: here the first reader makes it.
    for said, name in (("no index", "status"), ("plan", "plan"), ("status", "status")):
        found[said] = measure(name, folder)
        print(f"{said:12s} {json.dumps(found[said])}", flush=True)
    if found["plan"]["todo"] or not found["status"]["items"]:
        sys.exit("the written workspace is not finished: benchmarks/finished.py is not up to date")
    for name in ("plan", "status"):
        cpu_s = found[name]["cpu_s"]
        print(f"{name} at {videos} videos: {cpu_s} s of CPU, {found[name]['wall_s']} s in all")
        if cpu_s > MAX_S:
            sys.exit(f"{name} takes {cpu_s} s of CPU: expected at most {MAX_S}")


def run(measured: Callable[[int, Path], None], default: int, asked: list[str]) -> None:
    """Measure in the folder that was named, or in a temporary one."""
    videos = int(asked[0]) if asked else default
    if asked[1:]:
        measured(videos, Path(asked[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        measured(videos, Path(temporary))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--finished"]:
        run(hold, FINISHED, sys.argv[2:])
    else:
        run(main, VIDEOS, sys.argv[1:])
