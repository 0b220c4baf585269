"""What a player shows of stored pictures."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from earshot.media.display import Orientation, displayed_size
from earshot.media.frames import LocalSource, SourceInfo
from earshot.media.probe import probe

Maker = Callable[..., Path]
IDENTITY = (1, 0, 0, 1)


def bright_side(frame: np.ndarray) -> str:
    """Where the bright half of the picture lies."""
    height, width = frame.shape[:2]
    sides = {
        "left": frame[:, : width // 4],
        "right": frame[:, -width // 4 :],
        "top": frame[: height // 4],
        "bottom": frame[-height // 4 :],
    }
    return max(sides, key=lambda side: float(sides[side].mean()))


@pytest.mark.parametrize(
    ("matrix", "side", "is_turned"),
    [
        (IDENTITY, "left", False),
        ((0, 1, -1, 0), "top", True),
        ((-1, 0, 0, -1), "right", False),
        ((0, -1, 1, 0), "bottom", True),
        ((-1, 0, 0, 1), "right", False),
        ((1, 0, 0, -1), "left", False),
        ((0, 1, 1, 0), "top", True),
        ((0, -1, -1, 0), "bottom", True),
    ],
)
def test_display_matrix(
    make_video: Maker, matrix: tuple[int, int, int, int], side: str, is_turned: bool
) -> None:
    """All eight orientations come upright and unmirrored, in the size that the probe measured."""
    path = make_video("turned.mov", matrix=matrix)
    found = probe(path, -60.0)
    assert (found.width, found.height) == ((48, 64) if is_turned else (64, 48))
    info = SourceInfo(found.duration_s, found.fps, found.width, found.height)
    ((_, frame),) = LocalSource(path, info).frames([1.5])
    assert frame.shape == (found.height, found.width, 3)
    assert bright_side(frame) == side


def test_upright_is_what_the_matrix_says() -> None:
    """A point lands where (a x + c y, b x + d y) puts it, up to the picture's own offset."""
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(Orientation(True, True, False).upright(picture), np.rot90(picture, -1))
    assert np.array_equal(Orientation(False, True, True).upright(picture), np.rot90(picture, 2))
    assert np.array_equal(Orientation(False, True, False).upright(picture), picture[:, ::-1])
    assert Orientation(False, True, False).is_mirrored
    assert not Orientation(True, True, False).is_mirrored


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(4, 3), (85, 48)), (Fraction(1, 2), (64, 96)), (Fraction(1, 50), (64, 48))],
)
def test_pixels_that_are_not_square(
    make_video: Maker, aspect: Fraction, size: tuple[int, int]
) -> None:
    """Frames have the shape that a browser shows, enlarged; an absurd aspect is not believed."""
    path = make_video("wide.mp4", aspect=aspect)
    found = probe(path, -60.0)
    assert (found.width, found.height) == size
    info = SourceInfo(found.duration_s, found.fps, found.width, found.height)
    ((_, frame),) = LocalSource(path, info).frames([1.0])
    assert frame.shape == (size[1], size[0], 3)
    assert bright_side(frame) == "left"


def test_displayed_size_of_a_turned_wide_picture() -> None:
    """Pixels are made square before the picture is turned."""
    assert displayed_size(720, 576, Fraction(16, 15), Orientation(True)) == (576, 768)
