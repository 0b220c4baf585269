"""The Croissant file is valid and a reader gets the rows through it."""

from __future__ import annotations

import json
import logging
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlcroissant

# What mlcroissant itself does with rdflib and pandas.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
]


@pytest.fixture(scope="module")
def dataset(release):
    """The release as mlcroissant sees it; making it validates the file."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    return mlcroissant.Dataset(release / "croissant.json")


def test_mlcroissant_finds_no_fault(dataset):
    """Neither errors nor warnings."""
    issues = dataset.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])


def test_every_table_is_a_record_set(dataset):
    """Of a table without rows too."""
    assert {each.uuid for each in dataset.metadata.record_sets} == {
        "questions", "videos", "captions", "events", "mentions", "objects", "event_objects",
        "tubes", "tube_masks", "inspections", "revised_tubes", "shown_tubes", "media", "absent",
        "dropped", "splits",
    }  # fmt: skip


def test_questions_are_read_over_all_shards(dataset):
    """With typed nested columns."""
    rows = list(dataset.records("questions"))
    assert len(rows) == 24
    assert rows[0]["questions/grid"]["questions/grid/step_s"] == 1.0


def test_tubes_keep_their_boxes(dataset):
    """One record a box; nulls stay null."""
    boxes = next(iter(dataset.records("tubes")))["tubes/boxes"]
    assert boxes[0]["tubes/boxes/x1"] >= 0
    assert boxes[-1]["tubes/boxes/x1"] is None


def test_files_are_listed_with_the_manifests_digests(release):
    """One truth about each file."""
    manifest = json.loads((release / "manifest.json").read_text())
    expected = {f["path"]: f["sha256"] for f in manifest["files"] if f["rows"] is not None}
    parts = json.loads((release / "croissant.json").read_text())["distribution"]
    listed = {part["@id"]: part["sha256"] for part in parts if part["@id"].endswith(".parquet")}
    assert listed == expected
