"""Measures how frames leave a decoder child: by a ring of shared memory, and by the pipe.

Run as `python -m benchmarks.media_transport` from the root, where the child finds it too. The child
makes frames without decoding, so the figures are those of the way alone; wall clock, best of
several, both in one run. A frame counts when the parent holds it as an array of its own.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from earshot.media.child import Worker
from earshot.media.frames import Frame, TimedFrame

FRAMES = 200
SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
MIN_RATIO = 1.2
REPEATS = 4


def blank_frames(count: int, width_px: int, height_px: int) -> Iterator[TimedFrame]:
    """Yield one frame again and again."""
    frame: Frame = np.full((height_px, width_px, 3), 7, np.uint8)
    for index in range(count):
        yield float(index), frame


def least_s(read: Callable[[], Iterator[TimedFrame]]) -> float:
    """Return the least wall seconds of reading all frames."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        count = sum(1 for _ in read())
        best = min(best, time.perf_counter() - start)
        assert count == FRAMES
    return best


def main() -> None:
    """Print one line a size, and fail where shared memory is not worth its code."""
    with Worker(60) as worker:
        for name, (width, height) in SIZES.items():
            size = FRAMES, width, height
            ring_s = least_s(lambda s=size: worker.arrays(3 * s[1] * s[2], blank_frames, *s))
            pipe_s = least_s(lambda s=size: worker.stream(blank_frames, *s))
            ratio = pipe_s / ring_s
            print(
                f"{name:6} shared memory {FRAMES / ring_s:8,.0f} frames/s   "
                f"pipe {FRAMES / pipe_s:8,.0f}   {ratio:.1f} x (at least {MIN_RATIO})"
            )
            assert ratio >= MIN_RATIO, f"{ratio:.2f} x the pipe; expected {MIN_RATIO}"


if __name__ == "__main__":
    # The child imports what it calls by name: as `__main__` it would not find it.
    from benchmarks.media_transport import main as run

    run()
