"""Which detection is which track, and what is run backwards, without any model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from earshot.geometry.boxes import box_iou
from earshot.tasks.track_objects.association import Detections, Live, match
from earshot.tasks.track_objects.follow import Track, WindowFollower

HERE, NEAR, FAR = (0.1, 0.1, 0.3, 0.3), (0.2, 0.1, 0.4, 0.3), (0.7, 0.7, 0.9, 0.9)
NOWHERE = (np.nan,) * 4
DOG, CAT = 0, 1


def found(*boxes: tuple[float, ...], names: Sequence[int] = (), score: float = 0.9) -> Detections:
    """Detections of two names."""
    scores = np.full((len(boxes), 2), 0.05)
    for row in range(len(boxes)):
        scores[row, names[row] if names else DOG] = score
    return Detections(np.array(boxes).reshape(-1, 4), scores)


def live(box: tuple[float, ...], name: int = DOG, hits: int = 1, misses: int = 0) -> Live:
    """A track that was last confirmed where it is, or HERE."""
    last = HERE if np.isnan(box[0]) else box
    return Live(name, np.array(box), np.array(last), hits, misses)


def test_a_track_keeps_its_detection_and_others_are_new() -> None:
    """What overlaps stays, what has no track is new."""
    matches = match([live(HERE)], found(FAR, HERE), 0.3)
    assert (matches.kept, matches.new) == (((0, 1),), (0,))


def test_names_are_not_exchanged() -> None:
    """A detection of another name is no match, however well it overlaps."""
    matches = match([live(HERE, CAT)], found(HERE), 0.3)
    assert (matches.kept, matches.moved, matches.new) == ((), (), (0,))


def test_one_detection_has_one_track_the_longer_known() -> None:
    """Of two tracks on one thing the older keeps it; the other has jumped there."""
    matches = match([live(HERE, hits=1), live(HERE, hits=6)], found(HERE), 0.3)
    assert (matches.kept, matches.jumped, matches.new) == (((1, 0),), (0,), ())


def test_one_that_jumped_is_found_again_where_it_was() -> None:
    """A track that sits on a neighbour goes back to the detection that nobody has."""
    jumped = Live(DOG, np.array(HERE), np.array(FAR), 3, 0)
    matches = match([jumped, live(HERE, hits=6)], found(HERE, FAR), 0.3)
    assert (matches.kept, matches.moved, matches.new) == (((1, 0),), ((0, 1),), ())


def test_a_lost_track_is_found_again_anywhere_and_a_seen_one_is_not_moved() -> None:
    """What is not seen takes a free detection of its name; what is seen and confirmed stays."""
    lost = match([live(NOWHERE, hits=4, misses=0)], found(FAR), 0.3)
    assert (lost.moved, lost.new) == (((0, 0),), ())
    seen = match([live(HERE, hits=4)], found(FAR), 0.3)
    assert (seen.moved, seen.new) == ((), (0,))


def test_a_drifted_track_is_prompted_anew() -> None:
    """A track that overlaps its detection by less than half is moved to it."""
    matches = match([live(HERE)], found((0.15, 0.15, 0.35, 0.35)), 0.3)
    assert (matches.kept, matches.moved) == ((), ((0, 0),))


def test_a_thing_is_detected_once() -> None:
    """Boxes of one name that lie on each other count once; those below the threshold not at all."""
    twice = Detections(np.array([HERE, HERE, FAR, NEAR]), np.array([[0.5], [0.8], [0.39], [0.6]]))
    kept = twice.kept(0.4)
    assert kept.scores[:, 0].tolist() == [0.8, 0.6]


def test_nothing_to_match() -> None:
    """No tracks, no detections, or neither are fine."""
    assert match([], found(), 0.3).new == ()
    assert match([live(HERE)], found(), 0.3).kept == ()
    assert match([], found(HERE), 0.3).new == (0,)


class Rail:
    """A propagator of things on rails: it follows whatever its prompt was nearest to.

    Args:
        paths: (things, frames, 4) boxes, NaN where a thing is not there.
    """

    def __init__(self, paths: np.ndarray) -> None:
        self.paths = paths
        self.on: dict[int, int] = {}
        self.asked: list[tuple[int, tuple[int, ...], bool]] = []

    def prompt(
        self, frame: int, tracks: Sequence[int], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put the tracks on the things under their boxes."""
        for track, box in zip(tracks, boxes, strict=True):
            self.on[track] = int(box_iou(self.paths[:, frame], box).argmax())
        return self._at(frame, tracks)

    def step(
        self, frame: int, tracks: Sequence[int], backward: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move on."""
        self.asked.append((frame, tuple(tracks), backward))
        return self._at(frame, tracks)

    def drop(self, tracks: Sequence[int]) -> None:
        """Forget."""
        for track in tracks:
            del self.on[track]

    def _at(self, frame: int, tracks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        boxes = self.paths[[self.on[track] for track in tracks], frame]
        return boxes, np.where(np.isnan(boxes[:, 0]), np.nan, 0.9)


def paths(*things: tuple[float, float, int, int], length: int = 40) -> np.ndarray:
    """Things that go from left edge to left edge, there in frames [first, stop)."""
    boxes = np.full((len(things), length, 4), np.nan)
    for row, (begin, end, first, stop) in enumerate(things):
        left = np.linspace(begin, end, length)[first:stop]
        boxes[row, first:stop] = np.stack(
            [left, left * 0 + 0.4, left + 0.1, left * 0 + 0.6], axis=1
        )
    return boxes


def follow(
    world: np.ndarray, missed: set[tuple[int, int]] = frozenset(), cuts: Sequence[int] = ()
) -> tuple[list[Track], Rail]:
    """Follow a world that is detected every 10 frames but for what is missed (thing, frame)."""
    length = world.shape[1]
    keys = sorted({*range(0, length, 10), length - 1})
    rail = Rail(world)
    follower = WindowFollower(length, rail, 0.4, 0.3)
    edges = [0, *cuts, length]
    for first, stop in pairwise(edges):
        seen = {}
        for frame in (key for key in keys if first <= key < stop):
            there = [
                row for row in range(len(world))
                if not np.isnan(world[row, frame, 0]) and (row, frame) not in missed
            ]  # fmt: skip
            seen[frame] = found(*(tuple(world[row, frame]) for row in there))
        follower.advance(first, stop, max(first - 10, 0), seen)
    return follower.tracks, rail


@pytest.mark.parametrize("cuts", [(), (20,), (7, 15, 33)])
def test_two_alike_keep_two_ids_whatever_the_pieces(cuts: Sequence[int]) -> None:
    """Two of one name are two tracks, on every frame on their own thing, however it is cut."""
    world = paths((0.1, 0.4, 0, 40), (0.6, 0.3, 0, 40))
    tracks, rail = follow(world, {(1, 10), (0, 20)}, cuts)
    assert len(tracks) == 2
    np.testing.assert_array_equal([track.boxes for track in tracks], world)
    assert all(len(numbers) == 2 for _, numbers, _ in rail.asked)


def test_a_late_thing_is_followed_back_to_its_begin() -> None:
    """What appears between key frames, or is missed on one, is there from its first frame on."""
    world = paths((0.1, 0.3, 0, 40), (0.8, 0.6, 13, 40))
    tracks, rail = follow(world, {(1, 20)})
    np.testing.assert_array_equal([track.boxes for track in tracks], world)
    back = [frame for frame, _, backward in rail.asked if backward]
    assert back == list(range(29, 7, -1)), "to where it was gone for a while, no farther"


def test_one_that_leaves_and_returns_elsewhere_keeps_its_id() -> None:
    """A lost track waits, and takes the detection of its name that nobody has."""
    world = paths((0.1, 0.2, 0, 12), (0.8, 0.9, 25, 40))
    tracks, _ = follow(world)
    assert len(tracks) == 1
    np.testing.assert_array_equal(tracks[0].boxes, np.fmax(world[0], world[1]))


def test_a_passing_mistake_of_the_detector_is_no_track() -> None:
    """What is detected once and then missed on several key frames is left out."""
    world = paths((0.1, 0.3, 0, 40), (0.8, 0.6, 0, 40))
    tracks, _ = follow(world, {(1, 10), (1, 20), (1, 30), (1, 39)})
    assert len(tracks) == 1


def test_nothing_detected_is_no_track_and_costs_nothing() -> None:
    """A window without detections moves nothing."""
    tracks, rail = follow(np.empty((0, 40, 4)))
    assert (tracks, rail.asked) == ([], [])
