"""A batch can be looked at: its prompts by rank, and a page with frames and boxes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from earshot.cli import main
from earshot.tasks.grpo.export import export
from tests.tasks.grpo.test_export import config, rows_of


@pytest.fixture
def call(monkeypatch, capfd):
    """`earshot grpo preview` with arguments: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["earshot", "grpo", "preview", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_preview(release, films, tmp_path, call):
    """The asked batch alone; four frames a prompt with the truth's boxes; a lost video is said."""
    root = shutil.copytree(films, tmp_path / "films")
    export(release, root, tmp_path / "o", config(ranks=2))
    rows = rows_of(tmp_path / "o")[6:12]
    lost = rows[0].video_id
    (tmp_path / "films" / f"{lost}.mp4").unlink()
    page = tmp_path / "p" / "page.html"
    code, out, _ = call(tmp_path / "o", "--batch", 1, "--out", page)
    assert code == 0
    assert str(page) in out
    html = page.read_text()
    assert re.findall(r"v\d{3}/q-\w+", html) == [row.sample_id for row in rows]
    whole = [row for row in rows if row.video_id != lost]
    assert html.count("<figure>") == 4 * len(whole) - sum(
        4 - min(4, len(row.gt_objects[0].boxes)) for row in whole if row.gt_objects
    )
    assert html.count("not_found") == len(rows) - len(whole)
    assert html.count("border-color") == sum(
        min(4, len(row.gt_objects[0].boxes)) for row in whole if row.gt_objects
    )
    code, out, _ = call(tmp_path / "o", "--batch", 1, "--json")
    told = json.loads(out)["prompts"]
    assert [(one["rank"], one["slot"]) for one in told] == [
        (r, s) for r in (0, 1) for s in range(3)
    ]
    assert [one["answer"] for one in told] == [row.answer for row in rows]


def test_what_is_not_there_is_told(release, films, tmp_path, call):
    """A batch too far, and a folder that is no export."""
    export(release, films, tmp_path / "o", config(check_media=False))
    for arguments, told in (((tmp_path / "o", "--batch", 3), "expected 0 to 2"),
                            ((tmp_path,), "is no export")):  # fmt: skip
        code, _, error = call(*arguments)
        assert code == 2
        assert told in error


def test_a_folder_of_mixed_files_is_told_in_a_line(release, films, tmp_path, call):
    """A release's manifest, another export's rows: what is wrong is said, and not every field."""
    out = tmp_path / "o"
    export(release, films, out, config(check_media=False))
    export(release, films, tmp_path / "other", config(check_media=False, seed=1))
    shutil.copy(tmp_path / "other" / "rows.parquet", out)
    code, _, error = call(out)
    assert (code, error.count("\n")) == (2, 1)
    assert "its rows are not those of its plan" in error
    shutil.copy(Path(str(release.place)) / "manifest.json", out)
    code, _, error = call(out)
    assert (code, error.count("\n")) == (2, 1)
    assert "faults, first: Field required; expected a folder of `earshot grpo export`" in error
