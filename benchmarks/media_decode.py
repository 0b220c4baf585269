"""Measures frame sources against bare decoding by the same library and prints the ratios.

Run as `python benchmarks/media_decode.py [folder]`; it makes its own clips (720p, 30 fps, H.264,
one key frame in 250 frames) in a temporary folder, or keeps them in the one that is given. Every
figure is a ratio to a baseline of the same run, on one core: sampling at 2 fps against a loop that
only decodes; a 10 s window in the middle of 10 minutes against decoding as many frames from a key
frame; memory at 1 and at 10 minutes. `media_transport.py` measures how frames leave a child.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from earshot.media.frames import LocalSource, SourceInfo, window_times
from earshot.media.probe import probe

FPS = 30
GOP = 250
SIZE = (1280, 720)
BIT_RATE = 2_700_000
MIN_SAMPLING = 0.85
MAX_WINDOW = 1.15
MAX_MEMORY = 1.10
REPEATS = 3


def make_clip(path: Path, seconds: int) -> None:
    """Write moving, noisy texture at the bit rate of real clips, with a quiet tone."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, (8, 720, 1280, 3), dtype=np.uint8)
    texture = rng.integers(0, 240, (90, 160, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.gop_size = GOP
        video.bit_rate = BIT_RATE
        video.options = {"preset": "veryfast"}
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for second in range(seconds):
            for index in range(FPS):
                shift = (second * FPS + index) % 480
                picture = texture[shift : shift + 720, shift : shift + 1280] + noise[index % 8]
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
            samples = av.AudioFrame.from_ndarray(
                tone.astype(np.float32)[None], format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts = 16000, second * 16000
            out.mux(sound.encode(samples))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))


def repeat_clip(path: Path, short: Path, times: int) -> None:
    """Write a clip several times behind itself, without encoding it again."""
    with av.open(str(path), "w") as out, av.open(str(short)) as first:
        targets = [out.add_stream_from_template(stream) for stream in first.streams]
        for turn in range(times):
            with av.open(str(short)) as clip:
                length_s = clip.duration / av.time_base + 0.1  # the last samples overhang
                for packet in clip.demux():
                    if packet.dts is not None and packet.pts is not None:
                        shift = round(turn * length_s / packet.time_base)
                        packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                        packet.stream = targets[packet.stream.index]
                        out.mux(packet)


def decode(path: Path, start_s: float, frames: int | None) -> int:
    """Decode and drop frames from the key frame before a time; return how many."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if start_s:
            container.seek(int(start_s * av.time_base), backward=True)
        count = 0
        for _ in container.decode(stream):
            count += 1
            if count == frames:
                break
        return count


def source(path: Path, seconds: int) -> LocalSource:
    """Return the frame source of a clip."""
    return LocalSource(path, SourceInfo(seconds, FPS, *SIZE))


def cpu_s(ours: Callable[[], object], bare: Callable[[], object]) -> tuple[float, float]:
    """Return the least CPU seconds of some runs of both, in turns: other load hits both alike."""
    least = [float("inf"), float("inf")]
    for _ in range(REPEATS):
        for index, work in enumerate((ours, bare)):
            start = time.process_time()
            work()
            least[index] = min(least[index], time.process_time() - start)
    return least[0], least[1]


def sampling(path: Path, seconds: int) -> None:
    """Compare 2 fps of a whole clip with a loop that only decodes it."""
    times = window_times(0.0, seconds, 2)
    ours_s, bare_s = cpu_s(
        lambda: [None for _ in source(path, seconds).frames(times)],
        lambda: decode(path, 0.0, None),
    )
    ratio = bare_s / ours_s
    frames = seconds * FPS
    print(f"2 fps of {seconds} s: {frames / ours_s:,.0f} source frames/s a core;", end=" ")
    print(f"decode only {frames / bare_s:,.0f}; {ratio:.2f} of it (at least {MIN_SAMPLING})")
    assert ratio >= MIN_SAMPLING, f"sampling at {ratio:.2f} of decoding; expected {MIN_SAMPLING}"


def window(path: Path, seconds: int) -> None:
    """Compare a window in the middle with decoding the window and one group of pictures."""
    ratios = []
    for start_s in (seconds / 2, seconds / 2 + 3, seconds / 2 + 6):
        times = window_times(start_s, start_s + 10, 2)
        ours_s, bare_s = cpu_s(
            lambda t=times: [None for _ in source(path, seconds).frames(t)],
            lambda s=start_s: decode(path, s, 10 * FPS + GOP),
        )
        ratios.append(ours_s / bare_s)
        print(f"10 s at {start_s:.0f} of {seconds} s: {ours_s:.2f} s CPU;", end=" ")
        print(f"window + one group {bare_s:.2f}; {ratios[-1]:.2f} of it (at most {MAX_WINDOW})")
    assert max(ratios) <= MAX_WINDOW, f"a window costs {ratios}; expected at most {MAX_WINDOW}"


def peak_mb(path: Path, seconds: int) -> float:
    """Return the peak memory of a process that probes a clip and samples it at 2 fps."""
    called = [sys.executable, __file__, "--peak", str(path), str(seconds)]
    return float(subprocess.run(called, check=True, capture_output=True, text=True).stdout)


def print_peak(path: Path, seconds: int) -> None:
    """Probe and sample, then print the peak memory in MB."""
    probe(path, -60.0)
    for _ in source(path, seconds).frames(window_times(0.0, seconds, 2)):
        pass
    status = Path("/proc/self/status")
    if status.exists():
        # The peak of getrusage would include that of the process which started this one.
        print(int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory(short: Path, long: Path) -> None:
    """Compare the peak memory of one minute and of ten."""
    one, ten = peak_mb(short, 60), peak_mb(long, 600)
    print(f"peak memory of probe and sampling: 1 min {one:.0f} MB, 10 min {ten:.0f} MB;", end=" ")
    print(f"{ten / one:.2f} times (at most {MAX_MEMORY})")
    assert ten <= MAX_MEMORY * one, f"memory grows {ten / one:.2f} times; expected {MAX_MEMORY}"


def main(folder: Path) -> None:
    """Make the clips where they are missing, and measure."""
    short, long = folder / "one.mp4", folder / "ten.mp4"
    if not short.exists():
        make_clip(short, 60)
    if not long.exists():
        repeat_clip(long, short, 10)
    sampling(short, 60)
    window(long, 600)
    memory(short, long)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
