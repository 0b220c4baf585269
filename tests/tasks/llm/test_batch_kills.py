"""Processes that are killed in batch mode: no batch is made twice, and the cache ends the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earshot.schemas.config import LlmConfig
from earshot.store.requests import RequestStore
from earshot.tasks.analyse_captions.llm import LlmAnalyser
from earshot.tasks.llm.batch import Batches
from tests.llm_server import LlmServer
from tests.tasks.llm.test_batch import Analyse, codes, lines, videos

MOMENTS = ("uploaded", "created", "asked for its state", "asked for its answers", "collecting")


def main() -> None:
    """Analyse in batch mode, as a process to be killed; by itself at the given answer."""
    llm, folder, last = sys.argv[1:]
    left = int(last)
    taken = Batches._answer

    def answer(*given: object) -> bool:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return taken(*given)  # type: ignore[arg-type]

    Batches._answer = answer  # type: ignore[method-assign]
    analyser = LlmAnalyser(LlmConfig.model_validate_json(llm), Path(folder))
    list(analyser.analyse_all(videos(), ()))


def killed(llm: LlmConfig, folder: Path, server: LlmServer, moment: str) -> None:
    """Run a process until the moment, and kill it there."""
    server.hold_at = moment
    last = 2 if moment == "collecting" else -1
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, llm.model_dump_json(), str(folder), str(last)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    if moment != "collecting":
        assert server.held.wait(60)
        child.kill()
    assert child.wait(60) == -signal.SIGKILL
    server.hold_at = ""
    server.held.clear()


# Each takes two processes: the moments that cost money if they go wrong are in every run.
@pytest.mark.parametrize(
    "moment",
    [
        moment
        if moment in ("created", "collecting")
        else pytest.param(moment, marks=pytest.mark.slow)
        for moment in MOMENTS
    ],
)
def test_a_kill_in_batch_mode_makes_no_second_batch(
    moment: str,
    llm: Callable[..., LlmConfig],
    analyse: Analyse,
    server: LlmServer,
    tmp_path: Path,
) -> None:
    """Wherever SIGKILL comes, the requests are in one batch and all answers in the cache."""
    if MOMENTS.index(moment) >= 2:
        assert codes(analyse(*videos(), mode="batch")) == ["for_batch"] * 5
    killed(llm(mode="batch"), tmp_path / "requests", server, moment)
    for _ in range(2):
        said = analyse(*videos(), mode="batch")
    assert codes(said) == ["done"] * 5
    assert [len(lines(server, batch_id)) for batch_id in server.batches] == [5]
    assert server.requests == []
    folder = tmp_path / "whole"
    unbroken = LlmAnalyser(llm(mode="batch"), folder)
    for _ in range(2):
        list(unbroken.analyse_all(videos(), ()))
    assert cache(tmp_path / "requests") == cache(folder)


def cache(folder: Path) -> dict[str, object]:
    """The answers of a request cache by key, and what they cost, as another process reads it."""
    store = RequestStore(folder)
    rows = [
        json.loads(line)
        for file in folder.glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    ]
    keys = [row["key"] for row in rows if row["kind"] == "answer"]
    assert (len(keys), len(set(keys)), store.open_usd) == (5, 5, 0)
    return {**{key: store.get(key) for key in keys}, "usd": pytest.approx(store.settled_usd)}


if __name__ == "__main__":
    main()
