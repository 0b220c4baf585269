"""Measures batched tube IoU against plain loops over the same tubes and prints the ratios.

Run as `python benchmarks/geometry_iou.py`. Two cases: all tubes on one grid (columns are read as
they lie), and tubes whose windows begin anywhere (common rows are gathered first). Two baselines,
both written here: `plain python` keeps a dict of boxes by frame and computes with floats; `numpy
per frame` has the structure of published evaluators (TubeDETR, datasets/vidstg_eval.py), one array
call per frame, and runs on a sample. Best of several runs of CPU time, one core.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earshot.geometry.tube_columns import TubeColumns, tube_iou_batch

TUBES = 10_000
FRAMES = 100
NUMPY_SAMPLE = 100
MIN_RATIO = {"plain python": 20.0, "numpy per frame": 500.0}

FrameBoxes = dict[int, tuple[float, float, float, float]]
Boxes = npt.NDArray[np.float64]
T = TypeVar("T")


def make_tubes(rng: np.random.Generator, latest_first: int) -> TubeColumns:
    """Return float32 tubes of FRAMES rows that begin at frame 0 .. latest_first."""
    corner = rng.uniform(0, 0.5, (TUBES, 1, 2)) + rng.normal(0, 0.01, (TUBES, FRAMES, 2))
    side = rng.uniform(0.2, 0.5, (TUBES, 1, 2))
    columns = np.concatenate([corner, corner + side], axis=2).astype(np.float32).reshape(-1, 4).T
    x1, y1, x2, y2 = np.ascontiguousarray(columns)
    offsets = np.arange(0, TUBES * FRAMES + 1, FRAMES, dtype=np.intp)
    return TubeColumns(x1, y1, x2, y2, offsets, first=rng.integers(0, latest_first + 1, TUBES))


def as_dicts(tubes: TubeColumns) -> list[FrameBoxes]:
    """Return the same tubes as one dict per tube, frame to box."""
    assert tubes.first is not None
    rows = np.stack(tubes.columns(), axis=1).astype(np.float64).tolist()
    return [
        {int(first) + i: tuple(rows[int(low) + i]) for i in range(FRAMES)}
        for first, low in zip(tubes.first, tubes.offsets[:-1], strict=True)
    ]


def plain_iou(a: FrameBoxes, b: FrameBoxes) -> float:
    """Return the vIoU of two tubes with nothing but Python floats."""
    total = 0.0
    for frame, (ax1, ay1, ax2, ay2) in a.items():
        other = b.get(frame)
        if other is None:
            continue
        bx1, by1, bx2, by2 = other
        width = min(ax2, bx2) - max(ax1, bx1)
        height = min(ay2, by2) - max(ay1, by1)
        if width > 0 and height > 0:
            shared = width * height
            total += shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)
    return total / len(a.keys() | b.keys())


def array_iou(a: Boxes, b: Boxes) -> Boxes:
    """Return the IoU matrix of two small arrays of boxes, without any guard."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    side = (high - low).clip(min=0)
    shared = side[:, :, 0] * side[:, :, 1]
    a_area = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    b_area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return np.asarray(shared / (a_area[:, None] + b_area - shared))


def per_frame_iou(a: FrameBoxes, b: FrameBoxes) -> float:
    """Return the vIoU of two tubes with one NumPy call on (1, 4) arrays per common frame."""
    common = a.keys() & b.keys()
    total = sum(float(array_iou(np.array([a[f]]), np.array([b[f]]))[0, 0]) for f in common)
    return total / len(a.keys() | b.keys())


def timed(work: Callable[[], T], repeats: int) -> tuple[T, float]:
    """Return the result and the least CPU seconds of `repeats` runs."""
    best, result = float("inf"), work()
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return result, best


def measure(case: str, latest_first: int) -> None:
    """Print one line a method, and fail if the batch is wrong or not fast enough."""
    rng = np.random.default_rng(0)
    a, b = make_tubes(rng, latest_first), make_tubes(rng, latest_first)
    a_dicts, b_dicts = as_dicts(a), as_dicts(b)
    batch, batch_s = timed(lambda: tube_iou_batch(a, b), 10)
    plain, plain_s = timed(lambda: list(map(plain_iou, a_dicts, b_dicts)), 2)
    sample = a_dicts[:NUMPY_SAMPLE], b_dicts[:NUMPY_SAMPLE]
    _, sample_s = timed(lambda: list(map(per_frame_iou, *sample)), 2)
    rates = {
        "batched columns": TUBES / batch_s,
        "plain python": TUBES / plain_s,
        "numpy per frame": NUMPY_SAMPLE / sample_s,
    }
    worst = float(np.abs(batch - np.array(plain)).max())
    print(f"tube IoU, {case}: {TUBES:,} pairs x {FRAMES} frames, float32, one core")
    for name, rate in rates.items():
        ratio = rates["batched columns"] / rate
        print(f"  {name:16} {rate:12,.0f} tubes/s   batched is {ratio:8,.1f} x")
    print(f"  largest difference to plain python {worst:.1e}")
    assert worst < 1e-6, f"batched tube IoU differs by {worst}; expected below 1e-6"
    for name, least in MIN_RATIO.items():
        ratio = rates["batched columns"] / rates[name]
        assert ratio >= least, f"batched is {ratio:.1f} x {name}; expected at least {least}"


if __name__ == "__main__":
    measure("one grid", latest_first=0)
    measure("random windows", latest_first=FRAMES // 2)
