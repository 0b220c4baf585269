"""Times a large release: wording, answers, writing, finding a video, 5 million rows, publishing.

Each figure stands beside a named baseline of the same run: a row loop with a cached jinja2
template, and a bare `pyarrow.write_table`. Prints processor seconds (best of some rounds), and
exits with 1 where a bound is broken.
Run: `python benchmarks/releases.py [--rows 205000] [--large 5000000] [--publish 205000]`; the large
part writes some GB to the temporary folder (TMPDIR), and `--large 0` leaves it out, as `--publish
0` does the whole publication with its gates.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.schemas import ids
from earshot.schemas.arrow import table_schema
from earshot.schemas.base import list_of
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.bulk_text import Blocks, answer_texts, number_texts, question_ids, question_texts
from earshot.tasks.publish_release.shards import write_questions

MIN_TIMES_LOOP, MIN_SPATIAL_ROWS, MAX_TIMES_BARE, MAX_FIND_MS = 8.0, 100_000, 1.25, 20.0
MAX_SHARDS = 2.0
NAMES = [f"thing {n}" for n in range(60)]
WORDINGS = [
    "When is the {object} both heard and seen? Name every interval.",
    "From when to when, each time, can the {object} be seen making its sound?",
    "Between {start} s and {end} s, is the {object} in view while it sounds?",
]
SPLITS = ["test", "train", "train", "validation"]
BOXES = 16
PER_VIDEO = 20


def seconds(*works: Callable[[], Any], rounds: int = 3) -> list[float]:
    """Return the best processor time of each work; they take turns, so that load meets all."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for index, work in enumerate(works):
            begun = time.process_time()
            work()
            best[index] = min(best[index], time.process_time() - begun)
    return best


class World:
    """Numbers that questions are made of, from which both ways write the same texts."""

    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(1)
        self.rows = rows
        self.video = [f"video-{i // PER_VIDEO:07d}" for i in range(rows)]
        self.event = [f"{v}/e-{i % PER_VIDEO:08x}" for i, v in enumerate(self.video)]
        self.object = [f"{v}/o-{i % PER_VIDEO:08x}" for i, v in enumerate(self.video)]
        self.which = rng.integers(0, len(WORDINGS), rows)
        self.name = rng.integers(0, len(NAMES), rows)
        self.spans = rng.integers(0, 400, (rows, 1)) + np.array([0, 1]) * rng.integers(
            5, 200, (rows, 1)
        )


def by_loop(world: World) -> pa.Table:
    """The obvious way: a cached template a row, an id, a dict, a table of dicts."""
    environment = jinja2.Environment(autoescape=False)
    texts = [w.replace("{", "{{").replace("}", "}}") for w in WORDINGS]
    templates = [environment.from_string(text) for text in texts]
    answer = environment.from_string(
        "<answer>\n<object>{{object}}</object>\n<when>[{{start}}, {{end}}]</when>\n</answer>"
    )
    rows = []
    # Lists: a NumPy number at a time would make the loop slower than it has to be.
    which, names, spans = world.which.tolist(), world.name.tolist(), world.spans.tolist()
    for i in range(world.rows):
        start, end = (f"{units / 10:.1f}" for units in spans[i])
        fields = {"object": NAMES[names[i]], "start": start, "end": end}
        asked = ["temporal", None, "earshot", f"t-{which[i]}"]
        said = json.dumps([*asked, [world.event[i]], [world.object[i]]], separators=(",", ":"))
        hashed = hashlib.sha256(said.encode()).hexdigest()[:8]
        rows.append(
            {
                "question_id": f"{world.video[i]}/q-{hashed}",
                "video_id": world.video[i],
                "task": "temporal",
                "template_id": f"t-{which[i]}",
                "question": templates[which[i]].render(fields),
                "answer": answer.render(fields),
            }
        )
    return pa.Table.from_pylist(rows)


def by_columns(world: World, arrays: dict[str, pa.Array]) -> pa.Table:
    """The same rows by columns."""
    one_each = np.arange(world.rows + 1)
    name = pa.array(NAMES).take(pa.array(world.name))
    start, end = (number_texts(world.spans[:, side], 1) for side in (0, 1))
    kinds = [("temporal", None, "earshot", f"t-{n}") for n in range(len(WORDINGS))]
    nothing = np.empty(0, np.int64)
    blocks = Blocks(
        names=name, blocks=one_each, spans=world.spans, intervals=one_each, times=nothing,
        lines=np.zeros(world.rows + 1, np.int64), boxes=nothing.reshape(0, 4),
    )  # fmt: skip
    fields = {"object": name, "start": start, "end": end}
    which = pa.array(world.which)
    return pa.table(
        {
            "question_id": question_ids(
                arrays["video"], kinds, world.which, arrays["event"], arrays["object"]
            ),
            "video_id": arrays["video"],
            "task": pa.array(["temporal"]).take(pa.array(np.zeros(world.rows, int))),
            "template_id": pa.array([kind[3] for kind in kinds]).take(which),
            "question": question_texts(WORDINGS, world.which, fields),
            "answer": answer_texts("temporal", blocks, "norm"),
        }
    )


def measure_wording(rows: int) -> tuple[float, pa.Table]:
    """Print what wording takes both ways; return the ratio and the table."""
    world = World(rows)
    one_each = pa.array(np.arange(rows + 1), pa.int32())
    arrays = {"video": pa.array(world.video)}
    for name in ("event", "object"):
        arrays[name] = pa.ListArray.from_arrays(one_each, pa.array(getattr(world, name)))
    loop, columns = by_loop(world), by_columns(world, arrays)
    assert columns.equals(loop.cast(columns.schema)), "both ways write the same rows"
    example = ids.question_id(
        world.video[0], "temporal", None, "earshot", f"t-{world.which[0]}",
        [world.event[0]], [world.object[0]],
    )  # fmt: skip
    assert columns["question_id"][0].as_py() == example
    (slow,) = seconds(lambda: by_loop(world), rounds=1)
    (fast,) = seconds(lambda: by_columns(world, arrays))
    print(f"{rows:,} questions: jinja2 loop {slow:.2f} s, columns {fast:.3f} s: "
          f"{slow / fast:.1f} times (at least {MIN_TIMES_LOOP:g}), "
          f"{rows / fast:,.0f} rows/s")  # fmt: skip
    return slow / fast, columns


def spatial(rows: int) -> Blocks:
    """Spatial answers of 16 boxes each."""
    rng = np.random.default_rng(2)
    boxes = rng.integers(0, 400, (rows * BOXES, 4)) + np.array([0, 0, 500, 500])
    return Blocks(
        names=pa.array(NAMES).take(pa.array(rng.integers(0, len(NAMES), rows))),
        blocks=np.arange(rows + 1), spans=np.empty((0, 2), int),
        intervals=np.zeros(rows + 1, int), times=np.tile(np.arange(BOXES) * 10 + 3, rows),
        lines=np.arange(rows + 1) * BOXES, boxes=boxes,
    )  # fmt: skip


def measure_spatial(rows: int) -> tuple[float, pa.Array]:
    """Print what answers with boxes take; return rows a second and the answers."""
    content = spatial(rows)
    (taken,) = seconds(lambda: answer_texts("spatial", content, "norm"))
    print(f"{rows:,} spatial answers of {BOXES} boxes: {taken:.2f} s: {rows / taken:,.0f} rows/s "
          f"(at least {MIN_SPATIAL_ROWS:,})")  # fmt: skip
    return rows / taken, answer_texts("spatial", content, "norm")


def questions(first: int, rows: int, answers: pa.Array) -> pa.Table:
    """Rows of a release, in the order of their videos; a third has boxes."""
    number = np.arange(first, first + rows)
    video = pa.array([f"video-{i // PER_VIDEO:07d}" for i in number])
    # An id's end is a hash: within a video questions lie in no order.
    hashed = pa.array([f"{i * 2654435761 % 2**32:08x}" for i in number])
    has_boxes = pa.array(number % 3 == 0)
    when = "<answer>\n<object>dog</object>\n<when>[2.0, 6.0]</when>\n</answer>"
    answer = pc.if_else(has_boxes, answers.slice(0, rows), when)
    truth = pc.binary_join_element_wise('{"duration_s":20,"objects":[', answer, "]}", "")
    word = "When is the thing both heard and seen? Name every interval of it."
    ids_ = pc.binary_join_element_wise(video, "/q-", hashed, "")

    def lists(values: pa.Array, each: int) -> pa.Array:
        kind = list_of(values.type)
        return pa.ListArray.from_arrays(
            pa.array(np.arange(rows + 1) * each, pa.int32()), values, kind
        )

    one, empty = lists(ids_, 1), lists(ids_.slice(0, 0), 0)
    grid = pa.StructArray.from_arrays(
        [pa.array(np.zeros(rows)), pa.array(np.ones(rows)),
         lists(pa.array(np.tile(np.arange(4.0), rows)), 4)],
        fields=list(table_schema(Question).field("grid").type),
    )  # fmt: skip
    split = pa.array(SPLITS).take(pa.array(number // PER_VIDEO % len(SPLITS)))
    columns = {
        "question_id": ids_, "video_id": video, "split": split, "grid": grid, "event_ids": one,
        "object_ids": one, "tube_ids": empty, "inspection_ids": empty, "options": empty,
        "asked_object_id": ids_, "answer": answer,
        "truth_json": truth, "digest": pc.binary_join_element_wise(*[hashed] * 8, ""),
    }  # fmt: skip
    same = {"task": "temporal", "pack": "earshot", "template_id": "t-1", "question": word,
            "inspected_by": "human", "box_space": "norm"}  # fmt: skip
    schema = table_schema(Question)
    none = {name: pa.array([None] * rows, schema.field(name).type) for name in ("branch", "span")}
    repeated = {n: pa.array([v]).take(pa.array(np.zeros(rows, int))) for n, v in same.items()}
    made = {**none, **columns, **repeated}
    return pa.table([made[field.name] for field in schema], schema=schema)


def measure_writing(table: pa.Table, folder: Path) -> float:
    """Print what writing takes beside a bare `write_table` of the same codec; return the ratio."""
    config = ReleaseConfig()
    bare, plain = folder / "bare.parquet", folder / "plain.parquet"
    codec = {"compression": "zstd", "compression_level": 3}
    snappy, same, ours = seconds(
        lambda: pq.write_table(table, plain),
        lambda: pq.write_table(table, bare, **codec),
        lambda: write_questions(table, folder / "data", config),
        rounds=7,
    )
    size = sum(path.stat().st_size for path in (folder / "data").rglob("*.parquet"))
    print(f"{table.num_rows:,} rows written: bare with zstd-3 {same:.2f} s, "
          f"{bare.stat().st_size / 1e6:.0f} MB; as a release {ours:.2f} s, {size / 1e6:.0f} MB: "
          f"{ours / same:.2f} times (at most {MAX_TIMES_BARE:g}). Bare with the default codec, "
          f"snappy: {snappy:.2f} s, {plain.stat().st_size / 1e6:.0f} MB")  # fmt: skip
    return ours / same


def measure_finding(rows: int, folder: Path) -> float:
    """Print what one video out of all takes; return the slower of both readers in ms."""
    number = rows // PER_VIDEO // 2
    video, split = f"video-{number:07d}", SPLITS[number % len(SPLITS)]
    found: list[int] = []

    def arrow(where: Path) -> None:
        found.append(pq.read_table(where, filters=[("video_id", "=", video)]).num_rows)

    database = duckdb.connect()

    def duck() -> None:
        query = f"SELECT * FROM '{folder}/data/*/*.parquet' WHERE video_id = '{video}'"
        found.append(database.sql(query).to_arrow_table().num_rows)

    works = (lambda: arrow(folder / "data" / split), duck, lambda: arrow(folder / "data"))
    in_split, by_duck, in_all = (1e3 * each for each in seconds(*works, rounds=25))
    assert set(found) == {PER_VIDEO}, found
    print(f"one video of {rows:,} rows: pyarrow {in_split:.1f} ms in its split, DuckDB "
          f"{by_duck:.1f} ms in all (at most {MAX_FIND_MS:g}); pyarrow in all splits "
          f"{in_all:.1f} ms: each has a row group that might hold it")  # fmt: skip
    return max(in_split, by_duck)


def write_large(rows: int, folder: str) -> None:
    """Write so many rows that come in no order; print what memory it took and two shards have."""
    config, size = ReleaseConfig(), 20_000
    imported = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    answers = answer_texts("spatial", spatial(size), "norm")
    one = questions(0, size, answers)

    def batches() -> Iterator[pa.RecordBatch]:
        blocks = np.random.default_rng(4).permutation(-(-rows // size))
        for block in blocks.tolist():
            table = questions(block * size, min(size, rows - block * size), answers)
            yield from table.combine_chunks().to_batches()

    begun, cpu = time.perf_counter(), time.process_time()
    write_questions(batches(), Path(folder), config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - imported
    shard = one.nbytes / size * config.shard_rows
    taken = {"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    print(json.dumps({"peak": peak, "shard": shard, **taken}))


def measure_large(rows: int) -> float:
    """Print what many rows take in a process of their own; return its memory in shards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--write-large", str(rows), folder]
        said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        files = sorted(Path(folder).rglob("*.parquet"))
        total = sum(pq.read_metadata(path).num_rows for path in files)
    assert total == rows
    gb = said["shard"] * rows / ReleaseConfig().shard_rows / 1e9
    print(f"{rows:,} rows ({gb:.1f} GB) in {len(files)} shards: {said['cpu']:.0f} s of processor, "
          f"{said['wall']:.0f} s; peak {said['peak'] / 1e6:.0f} MB above the imports = "
          f"{said['peak'] / said['shard']:.2f} shards of {said['shard'] / 1e6:.0f} MB "
          f"(at most {MAX_SHARDS:g})")  # fmt: skip
    return float(said["peak"] / said["shard"])


class Watch:
    """The most memory that this process had at any time, above what it had at first."""

    def __init__(self) -> None:
        self.first = self.now()
        self.most = dict(self.first)
        threading.Thread(target=self._look, daemon=True).start()

    def above(self) -> dict[str, int]:
        """Return bytes by kind: all that is resident, and what the system can't drop."""
        return {kind: self.most[kind] - self.first[kind] for kind in self.most}

    def now(self) -> dict[str, int]:
        """Return what this process has now."""
        lines = Path("/proc/self/status").read_text().splitlines()
        found = (line.partition(":") for line in lines if line.startswith(("VmRSS", "RssAnon")))
        return {kind: int(said.split()[0]) * 1024 for kind, _, said in found}

    def _look(self) -> None:
        while True:
            self.most = {kind: max(self.most[kind], has) for kind, has in self.now().items()}
            time.sleep(0.02)


def publish_many(rows: int, folder: str) -> None:
    """Publish so many questions; print what the gates took, SQL, all, and the memory."""
    from many_videos import many

    from earshot.tasks.publish_release import plots, publish

    source = many(rows)
    questions = source.tables["questions"]
    spent: dict[str, float] = {}

    def timed(name: str) -> None:
        work = getattr(publish, name)

        def run(*given: Any, **named: Any) -> Any:
            begun = time.process_time()
            try:
                return work(*given, **named)
            finally:
                spent[name] = time.process_time() - begun

        setattr(publish, name, run)

    timed("_draft")
    timed("check_answers")
    assert plots
    watch, begun = Watch(), time.process_time()
    limits = {"blind": 99}
    publish.publish(source, folder, ReleaseConfig(name="many", limits=limits))
    shard = questions.nbytes / questions.num_rows * ReleaseConfig().shard_rows
    peak = watch.above()
    said = {
        "rows": questions.num_rows,
        "shard": shard,
        "all": time.process_time() - begun,
        "gates": spent["_draft"],
        "sql": spent["check_answers"],
        "peak": peak["VmRSS"],
        "anon": peak["RssAnon"],
    }
    print(json.dumps(said))


def measure_publishing(rows: int) -> float:
    """Print what a whole publication takes, gates and all; return its memory in shards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--publish-many", str(rows), folder]
        said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    rate = said["rows"] / said["all"]
    print(f"{said['rows']:,} questions published: {said['all']:.0f} s of processor, {rate:,.0f} "
          f"rows/s: gates and baselines {said['gates']:.0f} s, answers again by SQL "
          f"{said['sql']:.0f} s; peak {said['peak'] / 1e6:.0f} MB above the start = "
          f"{said['peak'] / said['shard']:.2f} shards of {said['shard'] / 1e6:.0f} MB (at most "
          f"{MAX_SHARDS:g}), {said['anon'] / 1e6:.0f} MB of it not mapped files")  # fmt: skip
    return float(said["peak"] / said["shard"])


def main() -> int:
    """Measure everything; return 1 where a bound is broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=205_000)
    options.add_argument("--large", type=int, default=5_000_000)
    options.add_argument("--publish", type=int, default=205_000)
    options.add_argument("--publish-many", nargs=2, default=None, help=argparse.SUPPRESS)
    options.add_argument("--write-large", nargs=2, default=None, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.write_large:
        write_large(int(given.write_large[0]), given.write_large[1])
        return 0
    if given.publish_many:
        publish_many(int(given.publish_many[0]), given.publish_many[1])
        return 0
    times, _ = measure_wording(given.rows)
    per_second, answers = measure_spatial(given.rows)
    with tempfile.TemporaryDirectory() as folder:
        # In the order of the ids, as the stage hands them over.
        table = questions(0, given.rows, answers).sort_by("question_id")
        slower = measure_writing(table, Path(folder))
        find_ms = measure_finding(given.rows, Path(folder))
    del table, answers
    kept = [times >= MIN_TIMES_LOOP, per_second >= MIN_SPATIAL_ROWS, slower <= MAX_TIMES_BARE,
            find_ms <= MAX_FIND_MS]  # fmt: skip
    if given.large:
        kept.append(measure_large(given.large) <= MAX_SHARDS)
    if given.publish:
        kept.append(measure_publishing(given.publish) <= MAX_SHARDS)
    print("all bounds are kept" if all(kept) else f"BROKEN: {kept}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
