"""`earshot release`: what its commands print, and the codes they end with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earshot.cli import main
from earshot.tasks.publish_release.publish import publish
from tests import factories
from tests.tasks.publish_release.conftest import CONFIG, make_rows, make_source


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def earshot(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run a command line in this process: each of its own would import for seconds."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["earshot", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a dataset."""
    out = tmp_path_factory.mktemp("shelf")
    for count in (8, 9):
        publish(make_source(make_rows(count)), out, CONFIG, now=factories.NOW)
    return out


def test_list_show_and_verify(earshot, shelf, tmp_path):
    """Names, pins, tables; a pin of another version is refused; JSON for scripts."""
    listed = json.loads(earshot("release", "list", str(shelf), "--json").stdout)
    assert [(one["name"], one["version"]) for one in listed] == [("yard", 1), ("yard", 2)]
    pin = listed[0]["pin"]
    table = earshot("release", "list", str(shelf)).stdout
    assert pin[:12] in table
    shown = earshot("release", "show", str(shelf / "yard-v2"))
    assert f"follows   v1 ({pin[:12]})" in shown.stdout
    assert "tubes" in shown.stdout
    said = json.loads(earshot("release", "show", str(shelf / "yard-v1"), "--json").stdout)
    assert (said["pin"], said["rows"]["questions"]) == (pin, 24)
    whole = earshot("release", "verify", str(shelf / "yard-v1"), "--pin", pin)
    assert "is whole" in whole.stdout
    other = earshot("release", "verify", str(shelf / "yard-v2"), "--pin", pin)
    assert other.returncode == 1
    assert "pinned is" in other.stderr
    assert earshot("release", "show", str(tmp_path)).returncode == 1


def test_pull_push_and_a_spoilt_file(earshot, shelf, tmp_path):
    """Both say where it is now; verify ends with 1 and names the file."""
    pulled = earshot("release", "pull", str(shelf / "yard-v1"), str(tmp_path))
    assert str(tmp_path / "yard-v1") in pulled.stdout
    again = earshot("release", "push", str(tmp_path / "yard-v1"), str(tmp_path / "x"), "--json")
    assert json.loads(again.stdout)["is_new"]
    spoilt = tmp_path / "yard-v1" / "media.parquet"
    spoilt.chmod(0o644)
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"x")
    checked = earshot("release", "verify", str(tmp_path / "yard-v1"))
    assert checked.returncode == 1
    assert "media.parquet is altered" in checked.stdout
    assert "is not as its manifest says, faults: 1" in checked.stderr


def test_diff_as_table_json_and_parquet(earshot, shelf, tmp_path):
    """The same rows in three forms."""
    both = (str(shelf / "yard-v1"), str(shelf / "yard-v2"))
    text = earshot("release", "diff", *both, "--limit", "2").stdout
    assert "+ captions" in text
    assert "more: --limit" in text
    lines = earshot("release", "diff", *both, "--format", "json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["change"] for row in rows if row["table"] == "questions"} == {"added"}
    out = tmp_path / "diff.parquet"
    earshot("release", "diff", *both, "--format", "parquet", "--out", str(out))
    assert pq.read_table(out).num_rows == len(rows)
    assert earshot("release", "diff", *both, "--format", "parquet").returncode == 2


def test_where_nothing_can_be_written_is_said_before_any_work(earshot, shelf, tmp_path):
    """A folder for a file, a file for a folder, a file above either; a new folder is made."""
    taken = tmp_path / "taken"
    taken.write_text("")
    release = str(shelf / "yard-v1")
    diff = ("release", "diff", release, str(shelf / "yard-v2"), "--out")
    for arguments, said in (
        ((*diff, str(tmp_path)), "is a folder; expected a file to write"),
        ((*diff, str(taken / "x.txt")), "can't be made"),
        (("release", "browse", release, "-o", str(taken / "x.html")), "can't be made"),
        (("release", "pull", release, str(taken)), "is a file; expected a folder"),
        (("release", "pull", release, str(taken / "below")), "is a file; give another path"),
    ):
        done = earshot(*arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert earshot(*diff, str(tmp_path / "new" / "diff.txt")).returncode == 0
    assert "questions" in (tmp_path / "new" / "diff.txt").read_text()
