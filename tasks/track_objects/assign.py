"""Which region is which object, and where that can't be told apart.

Takes how well each region follows each object's sound; gives at most one region an instance, says
which instances could be exchanged without loss, and why an object gets none. Looks at no pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from earshot.schemas.tube import TubeFlag
from earshot.tasks.track_objects.protocol import Target

Floats = npt.NDArray[np.float64]

# A region less in step with the sound than this is not the sounder. Of sample videos without a
# visible one, 2 of 32 have a region above it (at 0.22, 3); of seen sounders 1 of 48 lies below,
# and none of 16 with late sound, a shaking camera and noise, of which the lowest has 0.288.
MIN_SYNCHRONY = 0.24
# Another choice that fits the sounds no worse than by this much is as good: on sample videos, with
# and without a shaking camera, 5 of 8 wrong choices lie within it, and 4 of 170 right ones.
ALIKE_SYNCHRONY = 0.06
# A silent thing is not looked for in what moves less than this part of what the liveliest does.
MIN_SILENT_LIFE = 0.08
# What is not in step may be anything that moves: lives within this factor don't tell.
ALIKE_LIFE = 5.0


@dataclass(frozen=True)
class Pick:
    """A target's instance is the region at this place in the list, as far as can be told."""

    target: Target
    region: int
    flags: tuple[TubeFlag, ...]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for which region (column).

    Attributes:
        follows: for each sounding object how well the regions (n,) follow its sound, in [0, 1].
        lives: (n,) how much the regions move in all.
        is_heard: whether there is any sound at all.
    """

    follows: Mapping[str, Floats]
    lives: Floats
    is_heard: bool

    @property
    def most(self) -> Floats:
        """(n,) how well each region follows the sound that it follows best."""
        rows = [*self.follows.values(), np.zeros(len(self.lives))]
        return np.asarray(np.max(rows, axis=0), dtype=np.float64)


def assign(targets: Sequence[Target], evidence: Evidence) -> tuple[list[Pick], dict[str, str]]:
    """Return the picks, and by object id why an object has none.

    The sum of synchrony over all sounding instances is made as large as can be; what is left goes
    to silent things. A set of things that sound or move alike is picked as a whole, each with the
    flag `ambiguous_identity`: an exchange that costs less than ALIKE_SYNCHRONY is no mistake that
    the sound could show. So are silent things, unless elimination leaves only one; and what a thing
    that got no region might as well have been.
    """
    slots = [t for t in targets for _ in range(min(t.count or 1, len(evidence.lives)))]
    pairs = _best_pairs(slots, evidence)
    sure = [(slots[at], region) for at, region in pairs]
    rivals = _rivals(sure, evidence)
    picked = {target.object_id for target, _ in sure}
    without = [target for target in targets if target.object_id not in picked]
    alike = {place for place, others in rivals.items() if others}
    alike |= {place for target, place in sure if _might_be(without, target, place, evidence)}
    picks = [
        Pick(target, region, ("ambiguous_identity",) if region in alike else ())
        for target, region in sure
    ]
    taken = {region for _, region in sure}
    for target, region in sure:
        if target.sounding:
            free = sorted(rivals[region] - taken)
            picks += [Pick(target, other, ("ambiguous_identity",)) for other in free]
            taken.update(free)
    has = {pick.target.object_id for pick in picks}
    return picks, {t.object_id: _why_not(t, evidence) for t in targets if t.object_id not in has}


def _best_pairs(slots: Sequence[Target], evidence: Evidence) -> list[tuple[int, int]]:
    if not slots:
        return []
    worth = np.stack([_worth(slot, evidence) for slot in slots])
    worth = worth + np.linspace(0.01, 0.0, worth.shape[1])
    chosen = np.stack(linear_sum_assignment(-worth), axis=1).tolist()
    return [(slot, region) for slot, region in chosen if worth[slot, region] >= 0]


def _worth(slot: Target, evidence: Evidence) -> Floats:
    """Return what each region (n,) is worth to an instance; below 0: not it.

    A sounder takes its region first; silent things get what is left, least in step first.
    """
    if slot.sounding:
        values = evidence.follows[slot.object_id]
        return np.where(evidence.is_heard & (values >= MIN_SYNCHRONY), 1 + values, -1.0)
    is_lively = evidence.lives >= MIN_SILENT_LIFE * evidence.lives.max()
    return np.where(is_lively, 0.5 * (1 - evidence.most), -1.0)


def _rivals(picks: Sequence[tuple[Target, int]], evidence: Evidence) -> dict[int, set[int]]:
    """Return for each picked region the regions that might as well have its name."""
    owners = {region: target for target, region in picks}
    rivals: dict[int, set[int]] = {}
    for target, region in picks:
        others = (at for at in range(len(evidence.lives)) if at != region)
        rivals[region] = {
            other
            for other in others
            if _could_exchange(target, region, owners.get(other), other, evidence)
        }
    return rivals


def _could_exchange(
    target: Target, region: int, owner: Target | None, other: int, evidence: Evidence
) -> bool:
    """Say whether another region might be the target, and what the target has its owner's."""
    if owner is not None and owner.object_id == target.object_id:
        return False
    sounders = [each for each in (target, owner) if each is not None and each.sounding]
    if not sounders and owner is not None:
        return True
    if not sounders:
        low, high = sorted((evidence.lives[region], evidence.lives[other]))
        return bool(evidence.most[other] < MIN_SYNCHRONY and high <= ALIKE_LIFE * low)
    loss = 0.0
    for each in sounders:
        now, then = (region, other) if each is target else (other, region)
        values = evidence.follows[each.object_id]
        loss += float(values[now] - values[then])
    return loss < ALIKE_SYNCHRONY


def _might_be(without: Sequence[Target], target: Target, region: int, evidence: Evidence) -> bool:
    """Say whether a picked region might be one of the things that got none.

    A silent thing's might: nothing tells it from another silent one, nor from a sounder that
    follows its own sound too little to be found.
    """
    if not target.sounding:
        return bool(without)
    own = evidence.follows[target.object_id][region]
    theirs = [evidence.follows[each.object_id][region] for each in without if each.sounding]
    return any(own - value < ALIKE_SYNCHRONY for value in theirs)


def _why_not(target: Target, evidence: Evidence) -> str:
    if not len(evidence.lives):
        return f"no {target.name} found: nothing moves"
    if target.sounding and not evidence.is_heard:
        return f"no {target.name} found: it should sound, and the video has no sound to follow"
    if target.sounding:
        best = evidence.follows[target.object_id].max()
        return (
            f"no {target.name} found: what follows its sound best has synchrony {best:.2f}, "
            f"expected at least {MIN_SYNCHRONY}"
        )
    return f"no {target.name} found: nothing that moves is left for it"
