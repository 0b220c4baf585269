"""The plots are drawn for any facts, the same bytes for the same facts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from earshot.schemas.event import Event
from earshot.tasks.publish_release.facts import Fact
from earshot.tasks.publish_release.plots import HEAT, draw_all
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.publish_release.tally import Tally
from earshot.tasks.publish_release.world_plots import World

pytestmark = pytest.mark.plots


def _tally(count: int) -> Tally:
    centres = np.array([[0.25, 0.75]], dtype=np.float32)
    return Tally.of(
        Fact(f"q{i}", "v", "train", "temporal", 20.0, ((2.0, 6.0),), centres, ())
        for i in range(count)
    )


def test_nothing_to_show_is_said_and_not_an_error(tmp_path):
    """An empty release has its four pictures as well."""
    names = draw_all(Tally(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_dollar_in_a_label_is_no_formula(tmp_path, world):
    """People call events as they like, and one that TeX does not know stopped the publication."""
    rows = world.change(world.rows(4), Event, 0, label="$\\noformula$")
    folder = publish(world.source(rows), tmp_path, world.config).folder
    assert (Path(folder) / "plots" / "categories.png").is_file()


def test_equal_facts_give_equal_bytes(tmp_path):
    """No date and no version inside."""
    for folder in ("a", "b"):
        draw_all(_tally(3), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_box_centres_stand_where_they_are_in_the_frame(tmp_path):
    """y runs down: a box at the lower left is drawn at the lower left."""
    draw_all(_tally(3), tmp_path)
    with Image.open(tmp_path / "box_centres.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    darkest = (np.array(HEAT(1.0)[:3]) * 255).round()
    near = np.abs(pixels - darkest).max(axis=2) <= 2
    rows, columns = np.nonzero(near[:, : pixels.shape[1] * 3 // 4])
    assert np.median(rows) > pixels.shape[0] * 0.55
    assert np.median(columns) < pixels.shape[1] * 0.4


def test_pyplot_is_never_imported(tmp_path):
    """Its global state would be shared by all threads of a worker."""
    draw_all(_tally(1), tmp_path)
    source = sys.modules["earshot.tasks.publish_release.plots"].__dict__
    assert "plt" not in source
    assert not any(getattr(v, "__name__", "") == "matplotlib.pyplot" for v in source.values())


def test_what_stands_behind_the_questions_is_drawn(world, tmp_path):
    """Videos, events, categories, rejects and baselines."""
    tables = world.source().tables
    shown = World({**tables, "media": tables["videos"]}, {"v000": "train", "v003": "test"})
    names = draw_all(Tally(), tmp_path / "a", shown)
    assert {"durations.png", "events.png", "categories.png", "rejects.png", "baselines.png"} <= set(
        names
    )
