"""A release about real films, to export; twelve videos, six of them for training."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from tests import factories
from tests.films import about_films, write_film
from tests.tasks.publish_release.conftest import CONFIG, make_rows, make_source

FPS, SECONDS = Fraction(5), 20
SIZES = ((320, 180), (160, 120), (180, 320))


def grey(index: int) -> int:
    """The grey of a frame; its neighbours differ by 37 or more."""
    return 20 + 37 * index % 200


def paint(path: Path, seed: int, size: tuple[int, int], seconds: int = SECONDS) -> Path:
    """A film whose grey tells the frame's number, with a tone."""
    count = int(FPS * seconds)

    def frames() -> Iterator[np.ndarray]:
        for index in range(count):
            yield np.full((size[1], size[0], 3), grey(index) + seed, np.uint8)

    return write_film(path, frames(), FPS, size, seconds)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos, as they were when the release was made."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(12):
        paint(folder / f"v{seed:03d}.mp4", seed, SIZES[seed % 3])
    return folder


@pytest.fixture(scope="session")
def release(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Eighteen questions for training, nine each to validate and to test."""
    rows = make_rows(12)
    source = make_source({**rows, Video: about_films(rows[Video], films)})
    out = tmp_path_factory.mktemp("releases")
    return Release(publish(source, out, CONFIG, now=factories.NOW).folder)
