"""Times the reading of answers: that no text costs more than linear time, and what an answer costs.

Takes the adversarial texts of the tests, prints a table and exits with 1 where a bound is broken.
Both bounds are ratios within one run: a doubled text to its half, and `parse` to `json.loads` of
the same numbers. Run: `python benchmarks/grammar_parse.py`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from earshot.rewards.grammar import Answer, Block, Task, make_interval, make_line, parse, render

ADVERSARIAL_FILE = Path(__file__).parents[1] / "tests" / "rewards" / "adversarial_texts.jsonl"
SIZES = (30_000, 60_000)  # Just below the cap of 64 KiB.
MAX_DOUBLING = 3.0
MAX_TIMES_JSON = 40.0


def best_seconds(*works: Callable[[], object], rounds: int = 9) -> list[float]:
    """Return the best processor time of one call of each work over rounds of about 5 ms.

    The works take turns, so that a change of the processor's clock meets all of them.
    """
    calls = [max(1, int(0.005 / max(_seconds(work, 1), 1e-7))) for work in works]
    table = [[_seconds(*pair) for pair in zip(works, calls, strict=True)] for _ in range(rounds)]
    return [min(column) for column in zip(*table, strict=True)]


def _seconds(work: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls


def measure_doubling() -> float:
    """Print what each adversarial text costs at two sizes; return the largest ratio."""
    print(f"{'repeated text':26}{'30 k':>10}{'60 k':>10}  ratio")
    worst = 0.0
    for row in ADVERSARIAL_FILE.read_text("utf-8").splitlines():
        case = json.loads(row)
        texts = [
            case["prefix"] + case["piece"] * (size // len(case["piece"])) + case["suffix"]
            for size in SIZES
        ]
        readings = [partial(parse, text, "spatial") for text in texts]
        half, full = best_seconds(*readings)
        for _ in range(2):
            # A neighbour's load can break a bound once; a quadratic reader breaks it every time.
            half, full = best_seconds(*readings) if full >= MAX_DOUBLING * half else (half, full)
        worst = max(worst, full / half)
        print(f"{case['name']:26}{half * 1e3:7.3f} ms{full * 1e3:7.3f} ms{full / half:7.2f}")
    return worst


def measure_answers() -> float:
    """Print what right answers cost beside JSON of the same numbers; return the largest ratio."""
    print(f"\n{'right answer':26}{'parse':>10}{'json':>10}  ratio")
    worst = 0.0
    sizes: list[tuple[Task, int, int]] = [
        ("temporal", 1, 0),
        ("spatio_temporal", 1, 10),
        ("spatial", 2, 30),
        ("spatial", 8, 60),
    ]
    for task, n_blocks, n_lines in sizes:
        lines = tuple(make_line(i, (0.1, 0.2, 0.3, 0.456), "norm") for i in range(n_lines))
        blocks = tuple(Block(f"object {i}", lines) for i in range(n_blocks))
        answer = Answer(blocks, (make_interval(1.4, 4.3),))
        text = render(answer, task, "norm")
        same = json.dumps([[b.name, [[0.1, 0.1, 0.2, 0.3, 0.456]] * n_lines] for b in blocks])
        ours, baseline = best_seconds(partial(parse, text, task), partial(json.loads, same))
        worst = max(worst, ours / baseline)
        name = f"{task}, {n_blocks} x {n_lines}"
        print(f"{name:26}{ours * 1e3:7.3f} ms{baseline * 1e3:7.3f} ms{ours / baseline:7.2f}")
    return worst


def main() -> int:
    """Measure both; return the exit status."""
    doubling, times_json = measure_doubling(), measure_answers()
    print(f"\nlargest doubling {doubling:.2f} (bound {MAX_DOUBLING}), ", end="")
    print(f"largest cost {times_json:.1f} x json.loads (bound {MAX_TIMES_JSON})")
    return int(doubling >= MAX_DOUBLING or times_json >= MAX_TIMES_JSON)


if __name__ == "__main__":
    sys.exit(main())
