"""The card says what is in a release, how to load it and what to be wary of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.card import cell, size_category
from earshot.tasks.publish_release.publish import publish


def _text(release: Path) -> str:
    return (release / "README.md").read_text(encoding="utf-8")


def _front(release: Path) -> dict:
    return yaml.safe_load(_text(release).split("---\n")[1])


def test_the_yaml_names_splits_licence_and_size(release):
    """What the Hugging Face hub shows and filters by."""
    front = _front(release)
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["default"] is True
    assert [f["split"] for f in front["configs"][0]["data_files"]] == [
        "train",
        "validation",
        "test",
    ]


def test_every_path_of_the_yaml_is_there(release):
    """Tables without rows are left out: the hub's reader stumbles over them."""
    for config in _front(release)["configs"]:
        files = config["data_files"]
        patterns = [files] if isinstance(files, str) else [file["path"] for file in files]
        assert all(list(release.glob(pattern)) for pattern in patterns)
    assert "revised_tubes" not in [c["config_name"] for c in _front(release)["configs"]]


def test_rows_that_nobody_looked_at_are_called_so(release, world, tmp_path):
    """All, some or none of them."""
    assert "**Nobody looked at these rows.**" in _text(release)
    rows = world.rows()
    some = world.change(rows, Question, 0, inspected_by="human")
    text = _text(Path(publish(world.source(some), tmp_path / "some", ReleaseConfig()).folder))
    assert "**Nobody looked at 23 of these 24 rows.**" in text
    rows[Question] = [q.model_copy(update={"inspected_by": "human"}) for q in rows[Question]]
    text = _text(Path(publish(world.source(rows), tmp_path / "none", ReleaseConfig()).folder))
    assert "Nobody looked" not in text
    assert "a person inspected" in text


def test_tasks_ledger_refusals_absences_and_baselines_are_tables(release):
    """Numbers are those of the source."""
    text = _text(release)
    assert re.search(r"\| `temporal` \| when .* \| 4 \| 2 \| 2 \| 8 \|", text)
    assert "| questions | question | 27 | 24 | 3 | 0 | 0 | 0 |" in text
    assert "| questions | question | `another_stretch` | 2 | The object sounds" in text
    assert "| probe | quarantined | `unreadable` | 1 |" in text
    assert re.search(r"\| `temporal` \| whole video: .* \| 0\.\d{3} \| 2 \| – \|", text)


def test_tables_are_well_formed(release):
    """Every row of a table has as many cells as its head."""
    for block in re.findall(r"(?:^\|.*\|\n)+", _text(release), flags=re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


def test_every_plot_of_the_card_is_there(release):
    """Nine pictures, two in a row, each a PNG of some size."""
    plots = re.findall(r"!\[[^]]*\]\((plots/\w+\.png)\)", _text(release))
    assert len(plots) == 9
    assert all((release / plot).stat().st_size > 5_000 for plot in plots)


def test_exclusion_lists_are_listed_with_their_overlap(release, world, tmp_path):
    """Also that none was given is said."""
    listed = tmp_path / "unav-test.txt"
    listed.write_text("a\nb\n")
    config = ReleaseConfig(exclusion_lists=(str(listed),))
    text = _text(Path(publish(world.source(), tmp_path / "out", config).folder))
    assert "| unav-test | 2 | 0 | 0 |" in text
    assert "No exclusion list was given" in _text(release)


def test_text_of_others_does_not_break_a_table():
    """Bars, lines and tags are made harmless."""
    assert cell("a | b\n<c>") == "a \\| b &lt;c>"


@pytest.mark.parametrize(
    ("questions", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (250_000, "100K<n<1M")],
)
def test_size_categories_are_those_of_the_hub(questions, category):
    """The bounds are powers of ten, the lower one included."""
    assert size_category(questions) == category
