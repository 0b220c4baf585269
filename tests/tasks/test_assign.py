"""Which region gets which name, and when the tracker says that it can't tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from earshot.tasks.track_objects.assign import Evidence, Pick, assign
from earshot.tasks.track_objects.protocol import Target

HEARD = ((1.0, 3.0),)


def target(name: str, *, sounds: bool = True, count: int | None = 1) -> Target:
    """A thing to look for."""
    return Target(name, name, name, count, is_group=False, sounding=HEARD if sounds else ())


def picked(
    targets: Sequence[Target],
    follows: dict[str, list[float]],
    lives: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    is_heard: bool = True,
) -> tuple[list[tuple[str, int, bool]], dict[str, str]]:
    """The picks as (name, region, doubted), sorted, and why others got none."""
    rows = {name: np.array(values) for name, values in follows.items()}
    size = len(next(iter(rows.values()))) if rows else len(lives)
    picks, refused = assign(targets, Evidence(rows, np.array(lives[:size]), is_heard=is_heard))
    return sorted(_said(pick) for pick in picks), refused


def _said(pick: Pick) -> tuple[str, int, bool]:
    return pick.target.name, pick.region, "ambiguous_identity" in pick.flags


DOG, CAT, BOX, CUP = (
    target("dog"),
    target("cat"),
    target("box", sounds=False),
    target("cup", sounds=False),
)


def test_the_region_that_follows_best_is_the_sounder() -> None:
    """It has the name without a doubt where the next best is clearly worse."""
    assert picked([DOG], {"dog": [0.2, 0.8, 0.4]}) == ([("dog", 1, False)], {})


def test_two_that_move_alike_are_picked_as_a_set() -> None:
    """A second region that follows as well is one of the set, and both are doubted."""
    found, _ = picked([DOG], {"dog": [0.78, 0.8, 0.1]})
    assert found == [("dog", 0, True), ("dog", 1, True)]


def test_two_that_sound_alike_are_doubted() -> None:
    """Two names with the same sounds could be exchanged; with sounds of their own they can't."""
    alike, _ = picked([DOG, CAT], {"dog": [0.8, 0.7], "cat": [0.8, 0.7]})
    assert [doubted for *_, doubted in alike] == [True, True]
    apart, _ = picked([DOG, CAT], {"dog": [0.8, 0.1], "cat": [0.2, 0.7]})
    assert apart == [("cat", 1, False), ("dog", 0, False)]


def test_one_region_for_two_that_sound_alike_is_doubted() -> None:
    """The one that got no region might as well be it."""
    found, refused = picked([DOG, CAT], {"dog": [0.8], "cat": [0.78]})
    assert [doubted for *_, doubted in found] == [True]
    assert len(refused) == 1
    found, _ = picked([DOG, CAT], {"dog": [0.8], "cat": [0.3]})
    assert found == [("dog", 0, False)]


def test_what_follows_too_little_is_no_sounder() -> None:
    """Below the threshold, or without any sound, there is no pick, and the reason says so."""
    assert picked([DOG], {"dog": [0.1, 0.21]})[0] == []
    found, refused = picked([DOG], {"dog": [0.9]}, is_heard=False)
    assert found == []
    assert "no sound to follow" in refused["dog"]
    assert "nothing moves" in picked([DOG], {"dog": []})[1]["dog"]


def test_a_silent_thing_is_told_by_elimination_alone() -> None:
    """Beside a found sounder the one other mover is the one silent thing."""
    found, _ = picked([DOG, BOX], {"dog": [0.8, 0.1]})
    assert found == [("box", 1, False), ("dog", 0, False)]


@pytest.mark.parametrize(
    ("targets", "follows", "lives"),
    [
        ([BOX, CUP], {}, [1.0, 1.0]),  # two silent things and two movers
        ([BOX, CUP], {}, [9.0, 1.0]),  # however differently they move
        ([BOX, CUP], {}, [1.0]),  # one mover for both names
        ([DOG, BOX], {"dog": [0.1]}, [1.0]),  # the mover may be the sounder that was not found
    ],
)
def test_silent_things_that_elimination_can_not_tell_are_doubted(
    targets: list[Target], follows: dict[str, list[float]], lives: list[float]
) -> None:
    """Nothing in motion or sound says which of the names a silent mover has."""
    found, _ = picked(targets, follows, lives)
    assert found
    assert all(doubted for *_, doubted in found)


def test_instances_of_one_name_are_no_rivals() -> None:
    """Two dogs that bark together are two tubes of one object: no name is in doubt."""
    dogs = target("dog", count=2)
    assert picked([dogs], {"dog": [0.8, 0.79]})[0] == [("dog", 0, False), ("dog", 1, False)]
