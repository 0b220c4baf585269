"""The request cache: raw answers that survive kills, torn lines and other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from earshot.errors import WorkspaceError
from earshot.store.requests import RequestStore, Usage, request_store

_CHILD = """
import sys
from pathlib import Path
from earshot.store.requests import RequestStore
store = RequestStore(Path(sys.argv[1]))
for number in range(10**6):
    store.sent(f"k{number}", 0.001)
    store.answer(f"k{number}", "body " * 50 + str(number), step="s", model="m", cost_usd=0.0005)
    print(number, flush=True)
"""


def answer(store: RequestStore, key: str, body: str, cost: float = 0.1) -> None:
    """Keep an answer."""
    store.answer(
        key, body, step="s", model="m", usage=Usage(10, 5, 2), cost_usd=cost, sent_bytes=40
    )


def test_an_answer_comes_back_as_it_came(tmp_path: Path) -> None:
    """Bodies are kept whatever they hold, also lone surrogates, and found by another reader."""
    bodies = ["{}", "no JSON", "", 'ünï\n"quoted"\u2028', "\ud800"]
    store = RequestStore(tmp_path)
    for number, body in enumerate(bodies):
        answer(store, f"k{number}", body)
    for reader in (store, RequestStore(tmp_path)):
        assert [reader.get(f"k{n}").body for n in range(5)] == bodies
        assert reader.get("k9") is None
        assert len(reader) == 5
    store.close()


def test_what_the_kill_left_is_all_there(tmp_path: Path) -> None:
    """Every answer that was kept before a SIGKILL is found behind it."""
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(200):
        last = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.communicate()[0].split()
    last = int(rest[-1]) if rest else last
    store = RequestStore(tmp_path)
    assert all(store.get(f"k{n}").body.endswith(f" {n}") for n in range(last + 1))
    assert len(store) in (last + 1, last + 2)
    assert store.settled_usd == pytest.approx(0.0005 * len(store))
    assert store.open_usd in (0, 0.001)


def test_a_torn_line_is_a_miss_and_harms_no_other(tmp_path: Path) -> None:
    """The end of a file that a kill cut off is ignored; new answers go into another file."""
    store = RequestStore(tmp_path)
    answer(store, "a", "1")
    answer(store, "b", "2")
    store.close()
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    reader = RequestStore(tmp_path)
    assert "a" in reader
    assert "b" not in reader
    answer(reader, "b", "3")
    assert RequestStore(tmp_path).get("b").body == "3"
    reader.close()


def test_two_processes_see_each_others_answers(tmp_path: Path) -> None:
    """`refresh` reads what others appended, and only that."""
    one, two = RequestStore(tmp_path), RequestStore(tmp_path)
    answer(one, "a", "1")
    answer(two, "b", "2")
    assert "b" not in one
    one.refresh()
    two.refresh()
    assert one.get("b").body == "2"
    assert two.get("a").body == "1"
    assert one.settled_usd == two.settled_usd == pytest.approx(0.2)
    one.refresh()
    assert one.totals("s", "m").calls == 2
    one.close()
    two.close()


def test_requests_that_were_in_flight_are_counted_when_repeated(tmp_path: Path) -> None:
    """What was sent and never came back stays booked, and sending it again is a repetition."""
    store = RequestStore(tmp_path)
    store.sent("a", 0.5)
    store.sent("b", 0.5)
    answer(store, "b", "1")
    store.close()
    again = RequestStore(tmp_path)
    assert (again.open_usd, again.counts().repeated) == (0.5, 0)
    again.sent("a", 0.5)
    assert (again.open_usd, again.counts().repeated) == (0.5, 1)
    answer(again, "a", "2")
    assert again.settled_usd == pytest.approx(0.1 + 0.5 + 0.1)
    again.close()


def test_a_full_disk_is_told_and_leaves_no_half_answer(tmp_path: Path) -> None:
    """The error names the file and the remedy; what was kept before is there."""
    script = (
        "import sys, resource, signal\n"
        "from pathlib import Path\n"
        "from earshot.errors import WorkspaceError\n"
        "from earshot.store.requests import RequestStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "store = RequestStore(Path(sys.argv[1]))\n"
        "store.answer('a', 'x' * 2000, step='s', model='m')\n"
        "try:\n    store.answer('b', 'y' * 2000, step='s', model='m')\n"
        "except WorkspaceError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "run the same command again" in done.stdout
    store = RequestStore(tmp_path)
    assert "a" in store
    assert "b" not in store


def test_a_folder_that_was_deleted_is_begun_anew(tmp_path: Path) -> None:
    """The one store of a process does not remember answers whose files are gone."""
    folder = tmp_path / "requests"
    answer(request_store(folder), "a", "1")
    assert "a" in request_store(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert "a" not in request_store(folder)


def test_the_files_are_lines_that_other_tools_read(tmp_path: Path) -> None:
    """One JSON object a line, with kind, key and the body as text."""
    store = RequestStore(tmp_path)
    store.sent("a", 0.5)
    answer(store, "a", '{"x": 1}')
    store.fault("b", "429")
    (file,) = tmp_path.glob("*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["sent", "answer", "fault"]
    assert rows[1]["body"] == '{"x": 1}'
    store.close()


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """A file in the way is a fault of the workspace, not of an item."""
    (tmp_path / "requests").write_text("")
    with pytest.raises(WorkspaceError):
        answer(RequestStore(tmp_path / "requests"), "a", "1")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_money_does_not_depend_on_the_order_of_the_files(
    order: tuple[str, str], tmp_path: Path
) -> None:
    """What one process sent and another got back is over, whichever file is read first."""
    with_sent, with_answer = RequestStore(tmp_path), RequestStore(tmp_path)
    for key in ("answered", "lost"):
        with_sent.sent(key, 0.5, "batch")
    answer(with_answer, "answered", "{}")
    with_answer.fault("lost", "batch_expired")
    with_sent.sent("again", 0.25)
    for store, name in zip((with_sent, with_answer), order, strict=True):
        store._own.rename(tmp_path / f"{name}.jsonl")
    read = RequestStore(tmp_path)
    assert (read.open_usd, read.settled_usd) == (0.25, pytest.approx(0.1))
    assert not read.is_open("lost")


def test_a_folder_that_is_not_there_yet_has_one_store(tmp_path: Path) -> None:
    """Whoever asks first does not get another one than who asks after it."""
    folder = tmp_path / "requests"
    store = request_store(folder)
    assert request_store(folder) is store
    answer(store, "k", "{}")
    assert request_store(folder) is store
