"""`earshot convert` and `formats` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

VIDEO = {
    "video_name": "a",
    "duration": 9.5,
    "annotation": [
        {
            "event_num": 1,
            "AV Temporal Reasoning": [
                {
                    "Q": "When is the moment dog makes sound and is visible?",
                    "A": "<answer>\n<object>dog</object>\n<when>[0.5, 2.0]</when>\n</answer>",
                }
            ],
        }
    ],
}


def earshot(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `earshot` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=300, check=False,
    )  # fmt: skip


def test_a_bad_video_is_told_and_the_exit_code_says_so(tmp_path: Path) -> None:
    """Good videos are written, bad ones named on standard error; the tables are a format too."""
    bad = {**VIDEO, "video_name": "b", "duration": "long"}
    (tmp_path / "in.json").write_text(json.dumps([VIDEO, bad]))
    some = earshot("convert", "--from", "r-avst", "in.json", "--to", "tables", "t", cwd=tmp_path)
    assert some.returncode == 1
    assert "left out: video 2 (b): duration: long; expected a number: mend it" in some.stderr
    assert "error: 1 of 2 videos were left out" in some.stderr
    assert "Traceback" not in some.stderr
    back = earshot(
        "convert", "--from", "tables", "t", "--to", "r-avst", "out.json", "--json", cwd=tmp_path
    )
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["videos"] == 1
    assert json.loads((tmp_path / "out.json").read_text()) == [VIDEO]


def test_formats_lists_what_build_and_convert_take(tmp_path: Path) -> None:
    """Both lists stand there, each with what such a file holds."""
    shown = earshot("formats", cwd=tmp_path).stdout
    assert "unav100" in shown
    assert "r-avst" in shown
    assert "questions and answers by video" in " ".join(shown.split())
