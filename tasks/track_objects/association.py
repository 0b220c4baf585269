"""Which detection of a key frame is which track: one-to-one, by overlap, name and age.

Takes boxes of live tracks and of detections as arrays, gives who keeps what, who has to be prompted
anew, and what is new. Looks at no pixel and runs no model, so it can be measured without either.

The public Grounded-SAM-2 demo takes the first mask that overlaps by 0.8, whatever its name, and
forgets whoever was not detected; here a Hungarian assignment decides, and lost tracks wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from earshot.geometry.boxes import area, pairwise_iou

Floats = npt.NDArray[np.float64]

# A detection that overlaps a visible track less is another thing.
MIN_IOU = 0.3
# A track that overlaps its own detection less has drifted and is prompted anew.
DRIFT_IOU = 0.5
# Two boxes of one name that overlap by this much are one thing.
SAME_IOU = 0.7
# A visible track that no detection meant at so many key frames in a row may be somewhere else.
STALE_MISSES = 2
# It is looked for within so many of its own diagonals; one that was lost, anywhere.
REACH_DIAGONALS = 3.0
# What comes back has about the area that it had: a factor.
AREA_FACTOR = 4.0
# Weights beside IoU: a long-known track has the first claim, then the surer name.
AGE_WEIGHT, NAME_WEIGHT = 0.2, 0.1


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found on one frame.

    Attributes:
        boxes: (m, 4) xyxy in parts of the frame.
        scores: (m, k) for each box how well each of the k names fits, in [0, 1].
    """

    boxes: Floats
    scores: Floats

    def kept(self, box_threshold: float) -> Detections:
        """Return the boxes with an area whose best name scores at least this, each thing once."""
        best = self.scores.max(axis=1, initial=0.0)
        order = np.argsort(-best, kind="stable")
        order = order[(best[order] >= box_threshold) & (area(self.boxes[order]) > 0)]
        boxes, names = self.boxes[order], self.scores[order].argmax(axis=1) if len(order) else order
        same = (pairwise_iou(boxes, boxes) >= SAME_IOU) & (names[:, None] == names)
        chosen: list[int] = []
        for row in range(len(order)):
            if not same[row, chosen].any():
                chosen.append(row)
        return Detections(boxes[chosen], self.scores[order][chosen])


@dataclass(frozen=True, eq=False)
class Live:
    """A track as it is at a key frame.

    Attributes:
        name: which of the names.
        box: (4,) where it is now; NaN where it is not seen.
        last_box: (4,) where a detection last confirmed it.
        hits, misses: detections that confirmed it, and key frames in a row that did not.
    """

    name: int
    box: Floats
    last_box: Floats
    hits: int
    misses: int


@dataclass(frozen=True)
class Matches:
    """What becomes of tracks and detections at a key frame, by their places in the lists.

    Attributes:
        kept: (track, detection) where the track is right.
        moved: (track, detection) where the track is elsewhere or was lost: prompt it anew.
        jumped: tracks that lie on another's thing: lost from their last confirmation on.
        new: detections that no track has.
    """

    kept: tuple[tuple[int, int], ...]
    moved: tuple[tuple[int, int], ...]
    jumped: tuple[int, ...]
    new: tuple[int, ...]


def match(tracks: Sequence[Live], found: Detections, text_threshold: float) -> Matches:
    """Return who is who; a track takes a detection only if its name scores `text_threshold`."""
    if not tracks:
        return Matches((), (), (), tuple(range(len(found.boxes))))
    boxes = np.stack([track.box for track in tracks])
    overlap = pairwise_iou(boxes, found.boxes)
    naming = found.scores[:, [track.name for track in tracks]].T
    may = naming >= text_threshold
    age = np.array([track.hits / (track.hits + 2) for track in tracks])
    worth = overlap + AGE_WEIGHT * age[:, None] + NAME_WEIGHT * naming
    pairs = _assigned(np.where(may & (overlap >= MIN_IOU), worth, 0.0))
    kept = [pair for pair in pairs if overlap[pair] >= DRIFT_IOU]
    moved = [pair for pair in pairs if overlap[pair] < DRIFT_IOU]
    taken = {track for track, _ in pairs}
    jumped = [
        row
        for row, track in enumerate(tracks)
        if row not in taken
        and any(
            overlap[row, column] >= DRIFT_IOU and tracks[other].name == track.name
            for other, column in pairs
        )
    ]
    left = np.array(sorted(set(range(len(found.boxes))) - {column for _, column in pairs}), int)
    lost = np.array(
        [_likeness(track, found.boxes, row in jumped) for row, track in enumerate(tracks)]
    )
    free = np.array([row not in taken for row in range(len(tracks))])
    again = np.where(may & free[:, None], lost, 0.0)[:, left]
    back = [(row, int(left[at])) for row, at in _assigned(again)]
    known = {column for _, column in (*pairs, *back)}
    names = found.scores.argmax(axis=1) if len(found.scores) else np.empty(0, int)
    owned = [(tracks[row].name, column) for row, column in pairs]
    twice = pairwise_iou(found.boxes, found.boxes) >= DRIFT_IOU
    new = [
        column
        for column in range(len(found.boxes))
        if column not in known
        and not any(name == names[column] and twice[other, column] for name, other in owned)
    ]
    return Matches(tuple(kept), tuple(moved + back), tuple(jumped), tuple(new))


def _likeness(track: Live, boxes: Floats, has_jumped: bool) -> Floats:
    """Return for each box in (0, 1] how likely a track that is not where it was is there; 0: not.

    A track that is seen and that detections confirmed lately is where it is.
    """
    is_gone = bool(np.isnan(track.box[0])) or has_jumped
    if not is_gone and track.misses < STALE_MISSES:
        return np.zeros(len(boxes))
    middle = (track.last_box[:2] + track.last_box[2:]) / 2
    diagonal = max(float(np.hypot(*(track.last_box[2:] - track.last_box[:2]))), 1e-6)
    away = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).T) / diagonal
    ratio = area(boxes) / max(float(area(track.last_box)), 1e-12)
    fits = (ratio <= AREA_FACTOR) & (ratio >= 1 / AREA_FACTOR)
    if not is_gone:
        fits &= away <= REACH_DIAGONALS
    trust = track.hits / (track.hits + 2)
    return np.asarray(np.where(fits, (1 + trust) / (2 + away), 0.0))


def _assigned(worth: Floats) -> list[tuple[int, int]]:
    """Return the pairs of the assignment with the largest sum; worth 0 is no pair."""
    rows, columns = linear_sum_assignment(-worth)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if worth[row, column] > 0]
