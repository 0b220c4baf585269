"""Puts videos that show the same into one split, and takes out those that would bridge two.

Takes questions with their inherited splits, gives the split of each video that is near another.
A published video never moves: what comes later joins it or is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from earshot.schemas.question import Split

Pair = tuple[str, str]


@dataclass(frozen=True)
class Joined:
    """What near duplicates come to.

    Attributes:
        splits: of every video that is near another one.
        bridges: videos that are left out, with a message.
    """

    splits: Mapping[str, Split]
    bridges: Mapping[str, str]


def join_near(
    near: Iterable[Pair],
    alike: Iterable[Sequence[str]],
    drawn: Mapping[str, Split],
    published: Mapping[str, Split],
) -> Joined:
    """Return one split for each cluster of near duplicates.

    A cluster takes the split of its published videos; without any, what was drawn for its first
    video. Where a new video is near to published ones of two splits, it is left out: no split could
    hold it. Two published ones in two splits are not touched; a gate refuses them.

    Args:
        near: pairs of videos that show the same.
        alike: videos that stand together for another reason: one split group, one file.
        drawn: split of each video that has questions.
        published: split of each video that an earlier version published.
    """
    pairs = sorted(near)
    parent: dict[str, str] = {}
    split: dict[str, Split] = {}
    for video_id in {*drawn, *published, *(one for pair in pairs for one in pair)}:
        parent[video_id] = video_id
        if video_id in published:
            split[video_id] = published[video_id]

    def find(video_id: str) -> str:
        while parent[video_id] != video_id:
            parent[video_id] = parent[parent[video_id]]
            video_id = parent[video_id]
        return video_id

    def join(one: str, other: str) -> bool:
        """Make one cluster of two; say no where they stand in two splits."""
        low, high = sorted((find(one), find(other)))
        if low == high:
            return True
        if low in split and high in split and split[low] != split[high]:
            return False
        parent[high] = low
        if high in split:
            split[low] = split[high]
        return True

    for together in alike:
        known = [each for each in together if each in parent]
        for each in known[1:]:
            join(known[0], each)
    bridges: dict[str, str] = {}
    for one, other in pairs:
        if one in bridges or other in bridges or join(one, other):
            continue
        new = [each for each in (other, one) if each not in published]
        if new:
            there = other if new[0] == one else one
            bridges[new[0]] = (
                f"it shows what {there!r} in {split[find(there)]} shows, and stands with videos in "
                f"{split[find(new[0])]}"
            )
    clusters: dict[str, list[str]] = defaultdict(list)
    for video_id in sorted({one for pair in pairs for one in pair} | drawn.keys()):
        clusters[find(video_id)].append(video_id)
    touched = {find(one) for pair in pairs for one in pair}
    found: dict[str, Split] = {}
    for root in sorted(touched):
        asked = [each for each in clusters[root] if each in drawn and each not in bridges]
        if asked:
            chosen = split.get(root) or drawn[asked[0]]
            found.update(dict.fromkeys(asked, chosen))
    return Joined(found, bridges)
