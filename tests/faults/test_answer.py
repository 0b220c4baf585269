"""`earshot answer` as a user types it, killed in the middle and run again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.fake_openai import Model, question_of, serve
from tests.tasks.publish_release import conftest as worlds

pytestmark = pytest.mark.slow


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """SIGKILL while a question is open: the rerun asks that one again, and no answered one."""
    release = Path(publish(worlds.make_source(), tmp_path, worlds.CONFIG, now=factories.NOW).folder)
    out = tmp_path / "p.jsonl"
    is_open, may_answer = threading.Event(), threading.Event()
    replies = Counter[str]()

    def reply(request: dict[str, Any]) -> str:
        replies["asked"] += 1
        if replies["asked"] == 4:
            is_open.set()
            may_answer.wait(300)
        return f"I can't see: {question_of(request)}"

    with serve(Model(reply=reply)) as model:
        command = [
            sys.executable, "-m", "earshot.cli", "answer", "--release", str(release),
            "--endpoint", model.url, "--model", "m", "--split", "all", "--max-frames", "0",
            "--in-flight", "1", "--out", str(out),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
            assert is_open.wait(300)
            first.kill()
        may_answer.set()
        before = out.read_text()
        assert before.count("\n") == 3
        again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert "24 questions: 3 had an answer, 21 have now" in again.stdout
    assert out.read_text().startswith(before)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row["question_id"] for row in rows}) == len(rows) == 24
    assert len(model.requests) == 25
