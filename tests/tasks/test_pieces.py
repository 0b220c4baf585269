"""How windows are cut into pieces, and which frames are detected."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.tasks.track_objects.pieces import key_frames, pack


@given(
    lengths=st.lists(st.integers(1, 300), max_size=8),
    frames=st.integers(2, 80),
    share=st.floats(0, 0.9),
)
def test_packs_are_bounded_and_cover_every_frame_once(
    lengths: list[int], frames: int, share: float
) -> None:
    """No pack holds more than its frames; pieces of a window follow on and hold the overlap."""
    overlap = int(frames * share)
    packs = pack(lengths, frames, overlap)
    reached = [0] * len(lengths)
    for pieces in packs:
        assert sum(piece.stop - piece.reach for piece in pieces) <= frames
        assert pieces == sorted(pieces, key=lambda piece: piece.window)
        for piece in pieces:
            assert piece.first == reached[piece.window] < piece.stop
            assert piece.first - piece.reach == min(overlap, piece.first)
            reached[piece.window] = piece.stop
    assert reached == lengths


def test_short_windows_share_a_pack() -> None:
    """Windows of a video that fit together are detected together."""
    assert [len(pieces) for pieces in pack([20, 20, 20, 20], 64, 8)] == [4, 1]


def test_pieces_need_room() -> None:
    """A piece that only holds what came before would never end."""
    with pytest.raises(ValueError, match="pieces of 8 frames with 8 held"):
        pack([10], 8, 8)


@given(length=st.integers(1, 2000), fps=st.floats(1, 60), every_s=st.floats(0.01, 30))
def test_key_frames_are_spread_from_first_to_last(length: int, fps: float, every_s: float) -> None:
    """First and last frame are detected, and between two no more frames lie than asked, but one."""
    keys = key_frames(length, fps, every_s)
    assert keys[0] == 0
    assert keys[-1] == length - 1
    gaps = [b - a for a, b in pairwise(keys)]
    assert all(1 <= gap <= max(every_s * fps, 1) + 1 for gap in gaps)


def test_ten_seconds_at_five_a_second_are_detected_six_times() -> None:
    """Every two seconds, and at the end."""
    assert key_frames(50, 5, 2) == [0, 10, 20, 29, 39, 49]
