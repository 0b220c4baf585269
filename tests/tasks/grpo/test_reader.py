"""The reader gives each rank its planned batches, and after a SIGKILL the rest of them, exactly."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earshot.errors import InputError
from earshot.tasks.grpo.plan import make_plan, plan_table

COUNT, BATCH, RANKS, EPOCHS = 200, 8, 2, 2
PROGRAM = """
import os, pickle, signal, sys
from earshot.tasks.grpo.reader import open_reader

if __name__ == "__main__":
    folder, rank, workers, stop_at, out = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    reader = open_reader(folder, rank=rank, workers=workers, columns=["sample_id"])
    if os.path.exists(out + ".state"):
        reader.load_state_dict(pickle.load(open(out + ".state", "rb")))
    said = open(out, "a")
    for number, rows in enumerate(reader, 1):
        for row in rows:
            print(row["epoch"], row["batch"], row["rank"], row["slot"], row["sample_id"], file=said)
        said.flush()
        pickle.dump(reader.state_dict(), open(out + ".new", "wb"))
        os.replace(out + ".new", out + ".state")
        if number == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export's plan and rows; row groups of 30 rows, so that batches lie across them."""
    out = tmp_path_factory.mktemp("export")
    tasks = np.random.default_rng(1).choice(["temporal", "spatial"], COUNT).tolist()
    ids = [f"v{at % 50:03d}/q-{at:08x}" for at in range(COUNT)]
    plan = make_plan(tasks, range(COUNT), batch=BATCH, ranks=RANKS, epochs=EPOCHS, seed=3)
    planned = plan_table(plan, ids, range(COUNT))
    pq.write_table(planned, out / "plan.parquet")
    rows = pa.table({"sample_id": planned["sample_id"], "question": planned["sample_id"]})
    pq.write_table(rows, out / "rows.parquet", row_group_size=30)
    return out


def planned(folder: Path, rank: int) -> list[str]:
    """What a rank has to be given."""
    table = pq.read_table(folder / "plan.parquet").to_pylist()
    keys = ("epoch", "batch", "rank", "slot", "sample_id")
    return [" ".join(str(row[key]) for key in keys) for row in table if row["rank"] == rank]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_where_it_was(folder, tmp_path, workers):
    """Killed in the first of two epochs after the state was saved: nothing twice, nothing out."""
    pytest.importorskip("torchdata")
    program, out = tmp_path / "program.py", tmp_path / "said"
    program.write_text(PROGRAM)
    batches = len(planned(folder, 1)) // (BATCH // RANKS)
    codes = []
    for stop_at in (batches // 3, batches // 2, 0):
        call = [sys.executable, program, folder, "1", str(workers), str(stop_at), out]
        codes.append(subprocess.run(call, timeout=180, check=False).returncode)
        assert (
            out.read_text().splitlines() == planned(folder, 1)[: len(out.read_text().splitlines())]
        )
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert out.read_text().splitlines() == planned(folder, 1)


def test_ranks_share_a_batch_and_a_foreign_state_is_refused(folder, tmp_path):
    """Together they have every row once an epoch; a plan for another number of ranks is told."""
    pytest.importorskip("torchdata")
    from earshot.tasks.grpo.reader import open_reader

    readers = [open_reader(folder, rank=rank, ranks=RANKS) for rank in range(RANKS)]
    assert len(readers[0]) == len(readers[1]) > 40
    seen = [row for batches in zip(*readers, strict=True) for rows in batches for row in rows]
    assert [row["sample_id"] for row in seen] == pq.read_table(folder / "plan.parquet")[
        "sample_id"
    ].to_pylist()
    assert all(row["question"] == row["sample_id"] for row in seen)
    state = readers[0].state_dict()
    other = open_reader(folder, rank=1)
    other.load_state_dict(state)
    with pytest.raises(InputError, match="another plan or rank"):
        iter(other)
    with pytest.raises(InputError, match="for 2 ranks; asked is rank 0 of 4"):
        open_reader(folder, ranks=4)
    with pytest.raises(InputError, match="expected a folder of `earshot grpo export`"):
        open_reader(tmp_path)
    with pytest.raises(InputError, match=r"has no columns \['prompt'\]; expected some of"):
        open_reader(folder, columns=["question", "prompt"])


def test_torch_is_not_imported_before_a_reader_is_opened():
    """The module itself, and the command line, do without it."""
    code = (
        "import sys; import earshot.tasks.grpo.reader, earshot.cli.grpo\n"
        "assert not {'torch', 'torchdata'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
