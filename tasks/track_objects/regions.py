"""Moving regions of a clip, linked over time.

Takes motion energy, gives for each thing that ever moves its box at every frame: measured while it
moves, held while it rests and still looks the same, absent where it no longer does. Names nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from earshot.geometry.boxes import area, pairwise_iou
from earshot.tasks.track_objects.motion import Motion

Floats = npt.NDArray[np.float64]

# Energy of this many frames before and behind makes the region of a frame: parts of a thing move
# in turn.
SPREAD = 2
# Grey levels of energy, holes in pixels that are closed, and the smallest and largest part of the
# frame: where all of it moves, the camera does.
MIN_ENERGY = 3
CLOSE_PX = 4
MIN_AREA = 0.003
MAX_AREA = 0.8
# A region continues another with this IoU, or with this gap between them in parts of the frame.
LINK_IOU = 0.05
LINK_GAP = 0.03
# Tracks are of one thing from this kinship on; fewer common frames than this are none.
KIN = 0.5
ALONE_FRAMES = 2
# A thing has gone if its box is below this part of its usual area where it stopped moving, and it
# travelled this part of its own size within so many frames.
GONE_PART = 0.6
TRAVEL_PART = 0.4
TRAVEL_FRAMES = 10
# Edges are medians over this many frames to either side.
SMOOTH = 3
# SPREAD and half of LAG widen the box of what travels; it is narrowed by as many frames, but never
# to less than this part.
ERODE = 3
LEAST = 0.3
# Where motion ends in a small box, colours that agree less than this are not the thing at rest.
ALIKE = 0.4
# A track that moves less than this part of what the liveliest one does is noise.
MIN_LIFE = 0.02
# Mean difference in grey levels of two 8 x 8 thumbnails of one thing at rest, at most.
LOOK_CHANGE = 22.0
LOOK_SIDE = 8


@dataclass(frozen=True, eq=False)
class Region:
    """One thing that moves at some time.

    Attributes:
        boxes: (n, 4) xyxy in parts of the frame, NaN where it is not there.
        moving: (n,) whether the box was measured from motion at this frame.
        signal: (n,) motion energy inside the box, per pixel of its usual area.
    """

    boxes: Floats
    moving: npt.NDArray[np.bool_]
    signal: Floats

    @property
    def life(self) -> float:
        """How much it moves in all: energy times area."""
        return float(self.signal.sum() * np.nanmedian(_sizes(self.boxes)))


def find_regions(motion: Motion) -> list[Region]:
    """Return the regions of a clip, liveliest first."""
    tracks = _joined(_linked(_detections(motion.energy)), motion)
    regions = [_region(track, motion) for track in tracks]
    regions = [r for r in regions if np.nanmedian(_sizes(r.boxes)) <= MAX_AREA]
    most = max((region.life for region in regions), default=0.0)
    kept = [region for region in regions if region.life >= MIN_LIFE * most and most > 0]
    return sorted(kept, key=lambda region: -region.life)


def _detections(energy: npt.NDArray[np.uint8]) -> list[Floats]:
    """Return for each frame the boxes (k, 4) of what moves, in parts of the frame."""
    spread = ndimage.maximum_filter1d(energy, 2 * SPREAD + 1, axis=0)
    return [_boxes(frame > MIN_ENERGY) for frame in spread]


def _boxes(mask: npt.NDArray[np.bool_]) -> Floats:
    height, width = mask.shape
    # Padding keeps closing from wearing off what touches the frame's edge.
    padded = np.pad(mask, CLOSE_PX)
    closed = ndimage.binary_closing(padded, iterations=CLOSE_PX)
    labels, _ = ndimage.label(closed[CLOSE_PX:-CLOSE_PX, CLOSE_PX:-CLOSE_PX])
    sizes = np.bincount(labels.ravel())[1:]
    boxes = [
        (x.start / width, y.start / height, x.stop / width, y.stop / height)
        for (y, x), size in zip(ndimage.find_objects(labels), sizes, strict=True)
        if size >= MIN_AREA * mask.size
    ]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _gaps(a: Floats, b: Floats) -> Floats:
    """Return the distances (n, m) between boxes in parts of the frame; 0 where they touch."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.maximum(low - high, 0.0).max(axis=-1), dtype=np.float64)


def _linked(detections: list[Floats]) -> list[Floats]:
    """Return tracks (n, 4), NaN where a track has no box, by Hungarian matching frame to frame."""
    tracks: list[Floats] = []
    held: list[Floats] = []
    for at, boxes in enumerate(detections):
        owners = _owners(held, boxes)
        for box, owner in zip(boxes, owners, strict=True):
            if owner is None:
                tracks.append(np.full((len(detections), 4), np.nan))
                held.append(box)
                tracks[-1][at] = box
            else:
                tracks[owner][at] = _united(tracks[owner][at], box)
        for track, path in enumerate(tracks):
            if not np.isnan(path[at, 0]):
                held[track] = path[at]
    return tracks


def _owners(held: list[Floats], boxes: Floats) -> list[int | None]:
    """Return the track of each box, None for a new one.

    Each track takes one box; a box that none takes, but that touches one, is a part of it.
    """
    owners: list[int | None] = [None] * len(boxes)
    if not held or not len(boxes):
        return owners
    places = np.stack(held)
    near = pairwise_iou(places, boxes) + 0.5 * (_gaps(places, boxes) <= LINK_GAP)
    for track, box in np.stack(linear_sum_assignment(-near), axis=1).tolist():
        if near[track, box] >= LINK_IOU:
            owners[box] = track
    for box, owner in enumerate(owners):
        closest = int(near[:, box].argmax())
        if owner is None and near[closest, box] >= LINK_IOU:
            owners[box] = closest
    return owners


def _united(a: Floats, b: Floats) -> Floats:
    """Return the smallest boxes (..., 4) around both; a NaN box adds nothing."""
    low, high = np.fmin(a[..., :2], b[..., :2]), np.fmax(a[..., 2:], b[..., 2:])
    return np.asarray(np.concatenate([low, high], axis=-1), dtype=np.float64)


def _joined(tracks: list[Floats], motion: Motion) -> list[Floats]:
    """Return fewer tracks: parts of one thing united, and what comes back joined to what left."""
    joined: list[Floats] = []
    for track in tracks:
        host = max(
            range(len(joined)),
            key=lambda at: _kinship(joined[at], track, motion),
            default=None,
        )
        if host is not None and _kinship(joined[host], track, motion) >= KIN:
            joined[host] = _united(joined[host], track)
        else:
            joined.append(track)
    return joined


def _kinship(earlier: Floats, later: Floats, motion: Motion) -> float:
    """Return in [0, 1] how sure two tracks are of one thing.

    Seen at once: how far the smaller lies inside the larger. One behind the other: whether the
    later starts where the earlier ended, else how much their colours agree.
    """
    seen, also = ~np.isnan(earlier[:, 0]), ~np.isnan(later[:, 0])
    both = seen & also
    if both.sum() > ALONE_FRAMES:
        return float(np.mean(_inside(earlier[both], later[both])))
    end, start = int(np.flatnonzero(seen)[-1]), int(np.flatnonzero(also)[0])
    if start < end - ALONE_FRAMES:
        return 0.0
    if _inside(earlier[end], later[start]) >= KIN:
        return 1.0
    if not _has_gone(earlier, end, -1) and _rests(motion, earlier[end], end, start):
        return 0.0
    ours, theirs = (_colours(motion, track) for track in (earlier, later))
    return float(np.minimum(ours, theirs).sum())


def _has_gone(track: Floats, at: int, direction: int) -> bool:
    """Say whether a thing left (direction -1: looking back) or entered (1) where motion ends.

    It did if it travelled there and its box is much smaller than usual: it is cut by the frame's
    edge or by what stands in front.
    """
    sizes = _sizes(track)
    if sizes[at] >= GONE_PART * np.nanmedian(sizes):
        return False
    other = int(np.clip(at + direction * TRAVEL_FRAMES, 0, len(track) - 1))
    near = track[min(at, other) : max(at, other) + 1]
    middles = (near[:, :2] + near[:, 2:]) / 2
    way = np.nanmax(middles, axis=0) - np.nanmin(middles, axis=0)
    usual = np.nanmedian(track[:, 2:] - track[:, :2], axis=0)
    return bool(np.any(way >= TRAVEL_PART * usual))


def _sizes(track: Floats) -> Floats:
    """Return the areas (n,) of a track's boxes, NaN where it has none."""
    return np.where(np.isnan(track[:, 0]), np.nan, area(track))


def _inside(a: Floats, b: Floats) -> Floats:
    """Return the part of the smaller box (..., 4) that lies in the other."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    return np.asarray(shared / np.minimum(area(a), area(b)), dtype=np.float64)


def _crop(frame: npt.NDArray[np.uint8], box: Floats) -> npt.NDArray[np.uint8]:
    height, width = frame.shape[:2]
    x1, y1 = int(box[0] * width), int(box[1] * height)
    return frame[y1 : max(int(box[3] * height), y1 + 1), x1 : max(int(box[2] * width), x1 + 1)]


def _colours(motion: Motion, track: Floats) -> Floats:
    """Return the histogram (64,) of a track where its box is largest."""
    at = int(np.nanargmax(_sizes(track)))
    return _histogram(motion.frames[at], track[at])


def _histogram(frame: npt.NDArray[np.uint8], box: Floats) -> Floats:
    """Return the histogram (64,) of the middle of a box, 4 steps a channel, sum 1."""
    middle = np.array([0.15, 0.15, -0.15, -0.15]) * np.tile(box[2:] - box[:2], 2)
    pixels = _crop(frame, box + middle).reshape(-1, 3) // 64
    codes = pixels[:, 0] * 16 + pixels[:, 1] * 4 + pixels[:, 2]
    return np.asarray(np.bincount(codes, minlength=64) / len(codes), dtype=np.float64)


def _look(frame: npt.NDArray[np.uint8], box: Floats) -> Floats:
    """Return a thumbnail of a box, (LOOK_SIDE, LOOK_SIDE, 3)."""
    crop = ndimage.uniform_filter(_crop(frame, box).astype(np.float64), (3, 3, 0))
    rows, columns = (
        np.linspace(0, side - 1, LOOK_SIDE).round().astype(int) for side in crop.shape[:2]
    )
    return np.asarray(crop[rows[:, None], columns], dtype=np.float64)


def _rests(motion: Motion, box: Floats, then: int, now: int) -> bool:
    """Say whether what was in a box at one frame still looks the same there at another."""
    change = np.abs(_look(motion.frames[then], box) - _look(motion.frames[now], box))
    return bool(change.mean() <= LOOK_CHANGE)


def _region(track: Floats, motion: Motion) -> Region:
    moving = ~np.isnan(track[:, 0])
    smooth = _smoothed(_eroded(track))
    boxes, gone = _held(smooth, track, motion)
    for then, way in gone:
        # What moves at the last frame moved SPREAD frames ago; at the first it will.
        there = (
            slice(max(then - SPREAD, 0), then + 1) if way < 0 else slice(then, then + SPREAD + 1)
        )
        boxes[there] = np.nan
    if np.isnan(boxes[:, 0]).all():
        boxes = smooth
    moving = moving & ~np.isnan(boxes[:, 0])
    return Region(boxes=boxes, moving=moving, signal=_signal(boxes, motion))


def _held(smooth: Floats, track: Floats, motion: Motion) -> tuple[Floats, set[tuple[int, int]]]:
    """Return the boxes with those held where a thing rests, and the ends at which it went away.

    An end is a frame and the side of it at which there is motion: -1 before it, 1 behind it.
    """
    boxes, seen = smooth.copy(), np.flatnonzero(~np.isnan(track[:, 0]))
    sizes, colours = _sizes(track), _colours(motion, track)
    ends = [(int(then), way) for then in _ends(~np.isnan(track[:, 0])) for way in (-1, 1)]
    gone = {end for end in ends if _has_gone(track, *end)}
    for at in np.flatnonzero(np.isnan(track[:, 0])).tolist():
        before, after = seen[seen < at][-1:], seen[seen > at][:1]
        for then, way in [(int(t), -1) for t in before] + [(int(t), 1) for t in after]:
            if (then, way) in gone or not _rests(motion, smooth[then], then, at):
                continue
            is_small = sizes[then] < GONE_PART * np.nanmedian(sizes)
            if is_small and _likeness(colours, motion, smooth[then], at) < ALIKE:
                gone.add((then, way))
                continue
            boxes[at] = smooth[then]
            break
    return boxes, gone


def _eroded(track: Floats) -> Floats:
    """Return the boxes without what SPREAD added to things that travel.

    Each edge of the spread box is the farthest of its near past and future; the nearest of those
    is the edge itself, where it moves one way. A side keeps at least LEAST of its length.
    """
    out = np.full_like(track, np.nan)
    for at in np.flatnonzero(~np.isnan(track[:, 0])):
        near = track[max(at - ERODE, 0) : at + ERODE + 1]
        near = near[~np.isnan(near[:, 0])]
        box = np.concatenate([near[:, :2].max(axis=0), near[:, 2:].min(axis=0)])
        enough = box[2:] - box[:2] >= LEAST * (track[at, 2:] - track[at, :2])
        out[at] = np.where(np.tile(enough, 2), box, track[at])
    return out


def _likeness(colours: Floats, motion: Motion, box: Floats, at: int) -> float:
    """Return the part in [0, 1] of a thing's colours that a box has at a frame."""
    ours = _histogram(motion.frames[at], box)
    return float(np.minimum(colours, ours).sum())


def _ends(moving: npt.NDArray[np.bool_]) -> Sequence[int]:
    """Return the frames at which a stretch of motion begins or ends."""
    padded = np.concatenate([[False], moving, [False]])
    edges = np.flatnonzero(np.diff(padded.astype(np.int8)))
    return [int(edge) - at % 2 for at, edge in enumerate(edges)]


def _smoothed(track: Floats) -> Floats:
    """Return the boxes with each edge the median of its near past and future where it moves."""
    smooth = np.full_like(track, np.nan)
    seen = ~np.isnan(track[:, 0])
    for at in np.flatnonzero(seen):
        near = slice(max(at - SMOOTH, 0), at + SMOOTH + 1)
        smooth[at] = np.median(track[near][seen[near]], axis=0)
    return smooth


def _signal(boxes: Floats, motion: Motion) -> Floats:
    signal = np.zeros(len(boxes))
    for at in np.flatnonzero(~np.isnan(boxes[:, 0])):
        signal[at] = _crop_sum(motion.energy[at], boxes[at])
    height, width = motion.energy.shape[1:]
    usual_px = float(np.nanmedian(_sizes(boxes))) * height * width
    return np.asarray(signal / max(usual_px, 1.0), dtype=np.float64)


def _crop_sum(energy: npt.NDArray[np.uint8], box: Floats) -> float:
    height, width = energy.shape
    x1, y1, x2, y2 = np.round(box * [width, height, width, height]).astype(int)
    return float(energy[y1:y2, x1:x2].sum(dtype=np.float64))
