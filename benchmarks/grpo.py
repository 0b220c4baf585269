"""Times plans and exports of training data, each beside a named baseline of the same run.

The plan beside the drawn order (a permutation cut into batches), for speed and for the balance of
visual tokens over ranks; the exports for verl and ms-swift beside making the rows one at a time,
and beside writing their tables with `pyarrow` (JSON Lines with `json`) and nothing else. No video
is decoded. Prints processor seconds, rates and peak memory; exits with 1 where a bound is broken.
Run: `python -m benchmarks.grpo [--prompts 1000000] [--rows 200000]`
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earshot.media.child import Worker
from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.difficulty import Known
from earshot.tasks.grpo.export import export
from earshot.tasks.grpo.footage import LIMIT_S, Footage
from earshot.tasks.grpo.maker import Maker
from earshot.tasks.grpo.plan import make_plan, plan_digest, plan_table
from earshot.tasks.releases.in_order import read_batches
from earshot.tasks.releases.release import Release

MIN_PLAN_ROWS, MIN_EXPORT_ROWS = 5_000_000, 50_000
MAX_WORST, MAX_GROWTH = 1.25, 1.25
BATCH, RANKS, SHARE = 24, 4, (0.41, 0.41, 0.18)
TASKS = ("temporal", "spatial", "spatio_temporal")
PER_VIDEO = 8
CONFIG = ExportConfig(dialect="verl", profile="qwen2_5_vl", check_media=False, ranks=RANKS)
DIALECTS = ("verl", "ms-swift")


def best(work: Callable[[], Any], rounds: int = 5) -> float:
    """Return the best processor time of some rounds."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def measure_plan(count: int) -> list[bool]:
    """Print what a plan takes and how even it is; return which bounds are kept."""
    rng = np.random.default_rng(3)
    tasks = pa.array(rng.choice(TASKS, count, p=SHARE).tolist()).dictionary_encode()
    tokens = np.exp(rng.normal(8, 1.0, count)).astype(np.int64)
    ids = pa.array([f"video-{n // 8:07d}/q-{n:08x}" for n in range(count)])
    plan = make_plan(tasks, tokens, batch=BATCH, ranks=RANKS)

    def draw() -> np.ndarray:
        whole = np.random.default_rng(0).permutation(count)
        return whole[: count // BATCH * BATCH].reshape(-1, RANKS, BATCH // RANKS)

    planned = best(lambda: make_plan(tasks, tokens, batch=BATCH, ranks=RANKS))
    drawn = best(draw)
    written = best(lambda: plan_digest(plan_table(plan, ids, tokens)), 2)
    loads = tokens[draw()].sum(axis=-1)
    worst = float((loads.max(axis=-1) / loads.mean(axis=-1)).mean())
    rate = count / planned
    print(f"plan of {count:,} prompts: {planned:.3f} s, {rate / 1e6:.1f} M/s (at least "
          f"{MIN_PLAN_ROWS / 1e6:g}); the drawn order alone {drawn:.3f} s: {planned / drawn:.1f} "
          f"times; its table and digest {written:.3f} s more")  # fmt: skip
    print(f"worst rank over mean visual tokens, {RANKS} ranks of {BATCH // RANKS}: planned "
          f"{plan.worst_rank:.3f} (at most {MAX_WORST}), drawn order {worst:.3f}")  # fmt: skip
    return [rate >= MIN_PLAN_ROWS, plan.worst_rank <= MAX_WORST]


def make_world(rows: int, folder: Path) -> Path:
    """Publish a release of so many questions about videos that are there by name alone."""
    from benchmarks.grpo_world import publish_world

    return publish_world(rows, PER_VIDEO, folder)


def run_export(release: str, media: str, out: str, dialect: str) -> None:
    """Export in this process and print what it took."""
    import pandas  # noqa: F401 - Arrow imports it when it first reads a file
    import PIL.Image  # noqa: F401

    imported = _resident()
    begun, cpu = time.perf_counter(), time.process_time()
    config = CONFIG.model_copy(update={"dialect": dialect})
    manifest = export(Release(release), media, out, config)
    taken = {"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    # Not ru_maxrss, which a process has from the one that it was forked from.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 - imported
    print(json.dumps({**taken, "peak": peak, "prompts": manifest.prompts,
                      "questions": manifest.questions}))  # fmt: skip


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_export(release: Path, out: Path, dialect: str) -> tuple[float, float]:
    """Print what an export takes, and row by row; return rows a second and the peak in bytes."""
    media = release.parent / "media"
    given = [str(release), str(media), str(out), dialect]
    call = [sys.executable, "-m", "benchmarks.grpo", "--export", *given]
    said = json.loads(subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout)
    rate = said["questions"] / said["cpu"]
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{dialect}, {said['questions']:,} questions: {said['cpu']:.2f} s of processor "
          f"({rate:,.0f} rows/s, at least {MIN_EXPORT_ROWS:,}), {said['wall']:.2f} s wall "
          f"({said['questions'] / said['wall']:,.0f} rows/s), {size / 1e6:.0f} MB, peak "
          f"{said['peak'] / 1e6:.0f} MB above the imports")  # fmt: skip
    single = measure_single(Release(release), media)
    bare = measure_bare(out)
    print(f"one at a time, without files: {single:,.0f} rows/s: {rate / single:.1f} times; its "
          f"Parquet files alone, bare: {bare:,.0f} rows/s: {bare / rate:.1f} times")  # fmt: skip
    return rate, said["peak"]


def measure_bare(out: Path) -> float:
    """Return rows a second of writing the tables that an export wrote, with the same codec."""
    tables = [pq.read_table(path) for path in (out / "rows.parquet", *out.glob("train.parquet"))]
    lines = [json.loads(line) for path in out.glob("*.jsonl") for line in path.open()]

    def work() -> None:
        for table in tables:
            pq.write_table(table, out / "bare.parquet", compression="zstd", use_dictionary=False)
        with (out / "bare.jsonl").open("w") as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    return tables[0].num_rows / best(work, 2)


def measure_single(release: Release, media: Path, count: int = 2_000) -> float:
    """Return rows a second of the way row by row."""
    columns = ["question_id", "video_id", "split", "task", "branch", "question", "options",
               "truth_json"]  # fmt: skip
    asked = next(read_batches(release, "train", columns, count)).to_pylist()
    with Worker(LIMIT_S) as worker:
        footage = Footage(release, media, CONFIG, worker)
        footage.load(sorted({row["video_id"] for row in asked}))
        makers: dict[str, Maker] = {}
        known = Known(None)

        def work() -> Iterator[Any]:
            for row in asked:
                name = row["video_id"]
                if name not in makers:
                    makers[name] = Maker(release, footage.open(name), CONFIG)
                yield makers[name].row(row, known.find(row["question_id"]))

        return len(asked) / best(lambda: list(work()), 1)


def main() -> int:
    """Measure everything; return 1 where a bound is broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--prompts", type=int, default=1_000_000)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--export", nargs=4, default=None, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.export:
        run_export(*given.export)
        return 0
    print(f"{datetime.now(UTC):%Y-%m-%d}, batches of {BATCH} over {RANKS} ranks")
    kept = measure_plan(given.prompts)
    with tempfile.TemporaryDirectory(prefix="earshot-grpo-") as scratch:
        few, many = (make_world(n, Path(scratch) / str(n)) for n in (given.rows // 4, given.rows))
        for dialect in DIALECTS:
            _, less = measure_export(few, Path(scratch) / f"few-{dialect}", dialect)
            rate, peak = measure_export(many, Path(scratch) / f"many-{dialect}", dialect)
            print(f"memory of four times the rows: {peak / less:.2f} times (at most {MAX_GROWTH})")
            kept += [rate >= MIN_EXPORT_ROWS, peak / less <= MAX_GROWTH]
    print("all bounds are kept" if all(kept) else f"BROKEN: {kept}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
