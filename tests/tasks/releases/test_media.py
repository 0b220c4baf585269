"""Which videos are at hand, on real files: identical, encoded anew, cut, another film, broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from earshot.errors import InputError
from earshot.schemas.question import Question
from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.releases import Release
from earshot.tasks.releases.media import check_media
from tests import factories
from tests.films import about_films, write_film
from tests.tasks.publish_release.conftest import CONFIG, make_rows, make_source

FPS, SIZE, N = Fraction(25), (160, 120), 500


def paint(path: Path, seed: int, n: int = N, size: tuple[int, int] = SIZE) -> Path:
    """A film of moving patches: another seed is another film, another size another encoding."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n // 50 + 2, 6, 8, 3)).astype(float)

    def frames() -> Iterator[np.ndarray]:
        for index in range(n):
            share = index % 50 / 50
            mixed = coarse[index // 50] * (1 - share) + coarse[index // 50 + 1] * share
            tile = (size[1] // 6, size[0] // 8, 1)
            yield np.kron(mixed, np.ones(tile)).astype(np.uint8)

    return write_film(path, frames(), FPS, size, n / FPS, 48_000)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos as they were when the release was made."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(5):
        paint(folder / f"v{seed:03d}.mp4", seed)
    return folder


@pytest.fixture(scope="module")
def asked(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release about these five videos, with their fingerprints."""
    rows = make_rows(5)
    rows = {**rows, Video: about_films(rows[Video], films, fingerprint=True)}
    rows[Question] = [q for q in rows[Question] if _ends(q) <= 20]
    folder = publish(make_source(rows), tmp_path_factory.mktemp("r"), CONFIG, now=factories.NOW)
    return Release(folder.folder)


def _ends(question: Question) -> float:
    ends = [end for _, end in json.loads(question.truth_json)["intervals"]]
    return max([*ends, question.span.end_s if question.span else 0.0])


def test_identical_equal_different_unreadable_missing(asked, films, tmp_path):
    """Each video in its state, with what differs; questions about usable ones remain."""
    videos = sorted(set(asked.read(columns=["video_id"])["video_id"].to_pylist()))
    assert len(videos) >= 3, "the world has changed: paint longer films"
    states = ["identical", "equal", "different", "unreadable", "missing"][: len(videos)]
    for video_id, state in zip(videos, states, strict=True):
        path, seed = tmp_path / f"{video_id}.mp4", int(video_id[1:])
        if state == "identical":
            shutil.copy(films / path.name, path)
        elif state == "equal":
            paint(path, seed, size=(320, 240))
        elif state == "different":
            paint(path, seed, n=N - 30)
        elif state == "unreadable":
            path.write_bytes(b"no video at all")
    report = check_media(asked, tmp_path)
    assert [video.state for video in report.videos] == states
    assert "frames, expected 500" in report.videos[2].why
    asked_of = {i.split("/")[0] for i in report.usable_ids}
    assert asked_of == set(videos[:2])
    assert sum(left for left, _ in report.questions.values()) == len(report.usable_ids)
    assert not report.is_complete
    assert check_media(asked, films).is_complete


def test_another_film_of_the_same_length_is_told_by_its_pictures(asked, films, tmp_path):
    """Length and frames are equal: the fingerprint is not."""
    (first, *_) = sorted(set(asked.read(columns=["video_id"])["video_id"].to_pylist()))
    paint(tmp_path / f"{first}.mp4", seed=99)
    (found, *_) = check_media(asked, tmp_path).videos
    assert (found.video_id, found.state) == (first, "different")
    assert found.why == "other pictures: 0% of the frames are alike, expected 50%"


def test_a_media_root_that_is_no_folder_is_refused(asked, tmp_path):
    """A path that is not there, or a URL."""
    for root in (tmp_path / "none", "s3://bucket/films"):
        with pytest.raises(InputError, match="--media-root"):
            check_media(asked, root)


def test_of_files_with_one_name_the_video_in_its_own_place_is_taken(asked, films, tmp_path):
    """Posters, captions and another folder's film of that name are not taken for it."""
    (first, *_) = sorted(set(asked.read(columns=["video_id"])["video_id"].to_pylist()))
    for folder in ("a", "somewhere"):  # the uri is somewhere/NAME.mp4
        (tmp_path / "moved" / folder).mkdir(parents=True)
    paint(tmp_path / f"moved/a/{first}.mp4", seed=99)
    own = Path(shutil.copy(films / f"{first}.mp4", tmp_path / "moved/somewhere"))
    for beside in (own.with_suffix(".description"), own.with_suffix(".jpg")):
        beside.write_text("no video")
    (found, *_) = check_media(asked, tmp_path).videos
    assert (found.state, found.path) == ("identical", str(own))
    own.unlink()
    (found, *_) = check_media(asked, tmp_path).videos
    assert (found.state, found.path) == ("different", str(tmp_path / f"moved/a/{first}.mp4"))
