"""Runs many videos' records through Prefect and through the plain loop; prints what Prefect costs.

Run as `python benchmarks/flow_overhead.py [VIDEOS] [WORKERS]` (default 5,000; two to three minutes
of CPU time for each way). Stages are stand-ins, so that what differs is the engine and its server,
whose CPU time counts; by default it runs one batch at a time, as the plain loop does, since work
beside other work takes more CPU time, whoever runs it. Held: at most 3,000 task runs, all in the
history; at most 20 ms CPU a video beside the plain loop; memory that does not grow with the shards;
a fresh rerun ten times faster.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VIDEOS = 5_000
MAX_TASK_RUNS = 3_000
MAX_OVERHEAD_MS = 20.0
MAX_GROWTH = 1.25
MIN_RERUN_RATIO = 10.0


def rss_mb() -> float:
    """Return what this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def step(name: str, folder: Path, workers: int) -> None:
    """Build once, in the way that the first word of `name` says, and print what it found."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.stand_in import STAND_INS
    from earshot.flows.open_runs import share_run
    from earshot.flows.run import run_build_in_prefect
    from earshot.schemas.config import Config, RunConfig
    from earshot.schemas.request import BuildRequest
    from earshot.store.runlog import listen_to
    from earshot.tasks.build import run_opened
    from earshot.tasks.pipeline import open_run

    way = name.split(" ")[0]
    request = BuildRequest(
        workspace=str(folder / way),
        input=str(folder / "input.jsonl"),
        config=Config(run=RunConfig(workers=workers)),
        publish=False,
    )
    run = open_run(request, stages=STAND_INS)
    memory: list[float] = []

    def listen(event: str, fields: dict[str, Any]) -> None:
        if event == "stage_finished" and fields["stage"] == "inspect":
            memory.append(rss_mb())

    listen_to(run.run_id, listen)
    said: list[str] = []
    if way == "plain":
        run_opened(run)
    else:
        share_run(run)
        run_build_in_prefect(run.request, said.append)
    growth = memory[-1] / memory[0] if memory else 1.0
    print(json.dumps({"task_runs": run.batches_executed, "growth": growth, "said": said[1:]}))


def measure(name: str, folder: Path, workers: int = 1) -> dict[str, Any]:
    """Return what one step printed, with its seconds, and CPU seconds with its server's."""
    begun = time.monotonic()
    command = [sys.executable, __file__, "--step", name, str(folder), str(workers)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"step {name} failed")
    found = {
        "wall_s": round(time.monotonic() - begun, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "mb": usage.ru_maxrss // 1024,
        **json.loads(told.splitlines()[-1]),
    }
    print(f"{name:14s} {json.dumps(found)}", flush=True)
    return found


def main(videos: int, folder: Path, workers: int) -> None:
    """Measure both ways, twice each, and hold the limits."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.stand_in import write_manifest

    write_manifest(folder / "input.jsonl", videos)
    plain = measure("plain", folder)
    prefect = measure("prefect", folder, workers)
    again = measure("prefect again", folder, workers)
    overhead_ms = 1000 * (prefect["cpu_s"] - plain["cpu_s"]) / videos
    faster = prefect["wall_s"] / again["wall_s"]
    lost = [line for line in prefect["said"] if line.startswith("note")]
    print(
        f"prefect: {prefect['cpu_s'] / plain['cpu_s']:.2f} times the plain loop's CPU time, "
        f"{overhead_ms:.1f} ms a video more; rerun {faster:.0f} times faster"
    )
    wrong = {
        "task runs": prefect["task_runs"] > MAX_TASK_RUNS,
        "history": bool(lost),
        "overhead": overhead_ms > MAX_OVERHEAD_MS,
        "memory": prefect["growth"] > MAX_GROWTH,
        # With few videos both are start-up alone.
        "rerun": videos >= VIDEOS and faster < MIN_RERUN_RATIO,
    }
    if any(wrong.values()):
        sys.exit(f"out of bounds: {', '.join(name for name, is_so in wrong.items() if is_so)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            asked = [int(number) for number in sys.argv[1:]]
            videos, workers = [*asked, *(VIDEOS, 1)[len(asked) :]]
            main(videos, Path(temporary), workers)
