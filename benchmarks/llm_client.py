"""Measures the language-model client against raw aiohttp, and how fast cached answers are read.

Run as `python -m benchmarks.llm_client` in the repository's folder. A local server in a process of
its own answers every request after one second. In the same run and at the same number in flight the
client (SDK, limits, budget, request cache) is compared with bare aiohttp: at least 0.75 of its
rate, at most 3 ms of CPU a request. Then the same captions are read from the request cache: at
least 5,000 rows a second, with no request.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from earshot.schemas.caption import Caption
from earshot.schemas.config import LlmConfig
from earshot.tasks.analyse_captions import asked
from earshot.tasks.analyse_captions.llm import LlmAnalyser
from earshot.tasks.analyse_captions.protocol import Analysis, VideoCaptions
from earshot.tasks.llm.dialect import Dialect

MIN_SHARE, MAX_CPU_MS, MIN_ROWS_PER_S = 0.75, 3.0, 5_000


def videos(count: int) -> list[VideoCaptions]:
    """Return videos with one caption each, no two equal."""
    return [
        VideoCaptions(
            f"v{n}",
            (
                Caption(
                    caption_id=f"v{n}/c0", video_id=f"v{n}", start_s=0, end_s=9.5 + n / 1000,
                    text=f"A dog{n} barks at two cyclists who ride past the old gate.",
                    caption_source="given",
                ),
            ),
            (),
        )
        for n in range(count)
    ]  # fmt: skip


def measured(work: Callable[[], int]) -> tuple[float, float, int]:
    """Return wall seconds, CPU seconds of this process, and what the work returned."""
    before, cpu = time.perf_counter(), _cpu_s()
    count = work()
    return time.perf_counter() - before, _cpu_s() - cpu, count


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def raw(url: str, bodies: Sequence[bytes], in_flight: int) -> int:
    """Send the same bodies with nothing but aiohttp; return how many were answered."""

    async def all_of_them() -> int:
        slots = asyncio.Semaphore(in_flight)
        headers = {"Authorization": "Bearer none", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=headers
        ) as session:

            async def one(body: bytes) -> int:
                async with (
                    slots,
                    session.post(f"{url}/chat/completions", data=body) as response,
                ):
                    await response.read()
                    return response.status == 200

            return sum(await asyncio.gather(*(one(body) for body in bodies)))

    return asyncio.run(all_of_them())


def analysed(analyser: LlmAnalyser, given: Sequence[VideoCaptions]) -> int:
    """Analyse captions; return how many have rows."""
    return sum(isinstance(each.said, Analysis) for each in analyser.analyse_all(given, ()))


def main() -> None:
    """Print the figures; exit with 1 if one is worse than its goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=128)
    parser.add_argument("--requests", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.llm_server", "--latency", "1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        missed = compare(server.stdout.readline().strip(), options)
    finally:
        server.terminate()
        server.wait()
    raise SystemExit(missed)


def compare(url: str, options: argparse.Namespace) -> int:
    """Measure and print; return how many goals are missed."""
    llm = LlmConfig(endpoint=url, key_env="", in_flight=options.in_flight, max_budget_usd=100)
    given = videos(options.requests)
    bodies = [asked.ask_about(video.captions[0], (), (), llm).body(Dialect()) for video in given]
    warm_up = videos(1)
    cores = os.cpu_count()
    print(f"{options.requests} requests, {options.in_flight} in flight, 1 s latency, {cores} cores")
    cpu_ms: dict[str, list[float]] = {"raw aiohttp": [], "client": []}
    shares = []
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            place = Path(folder) / str(number)
            client = LlmAnalyser(llm, place)
            analysed(LlmAnalyser(llm, place / "warm"), warm_up)
            rates = {}
            for name, work in (
                ("raw aiohttp", lambda: raw(url, bodies, options.in_flight)),
                ("client", lambda client=client: analysed(client, given)),
            ):
                wall, cpu, count = measured(work)
                assert count == options.requests, f"{name}: {count} answered"
                rates[name] = count / wall
                cpu_ms[name].append(1e3 * cpu / count)
                each = f"{count / wall:7.1f} requests/s {cpu_ms[name][-1]:6.2f} ms CPU each"
                print(f"{name:<12} {each}")
            shares.append(rates["client"] / rates["raw aiohttp"])
        share, least = max(shares), min(cpu_ms["client"])
        print(
            f"client / raw aiohttp: {share:.2f} (goal: >= {MIN_SHARE}), {least:.2f} ms CPU "
            f"(goal: <= {MAX_CPU_MS:g})"
        )
        missed += (share < MIN_SHARE) + (least > MAX_CPU_MS)
        missed += cached(llm, Path(folder) / "0", given)
    return missed


def cached(llm: LlmConfig, place: Path, given: Sequence[VideoCaptions]) -> int:
    """Measure reading the answers that are there already."""
    analyser = LlmAnalyser(llm.model_copy(update={"endpoint": "http://127.0.0.1:9/v1"}), place)
    runs = [measured(lambda: analysed(analyser, given)) for _ in range(5)]
    rate = max(count / wall for wall, _, count in runs)
    by_cpu = max(count / cpu for _, cpu, count in runs)
    print(
        f"cached: {rate:,.0f} captions/s to events and mentions, {by_cpu:,.0f} a CPU second "
        f"(goal: >= {MIN_ROWS_PER_S:,}), 0 requests"
    )
    return int(by_cpu < MIN_ROWS_PER_S)


if __name__ == "__main__":
    main()
