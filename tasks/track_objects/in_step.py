"""Finds, among the moving regions of a clip, those whose motion is in step with the sound.

Takes the frames and the sound of a clip, gives the instances of its targets; see `synchrony`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from earshot.geometry.intervals import Normalised, contains
from earshot.geometry.tubes import ABSENT, VISIBLE
from earshot.media.audio import Envelope
from earshot.media.frames import TimedFrame
from earshot.tasks.track_objects.assign import Evidence, Pick, assign
from earshot.tasks.track_objects.motion import Motion, measure_motion
from earshot.tasks.track_objects.protocol import Clip, Found, TrackResult
from earshot.tasks.track_objects.regions import Region, find_regions

Floats = npt.NDArray[np.float64]

# A movement may begin this many frames before or behind its sound.
LAGS = (-1, 0, 1)
# Seconds around an object's own sound that say whether it also moves in silence.
AROUND_S = 1.0
# Weights of onsets against onsets, of loudness frame by frame, and of loudness over about 0.6 s:
# the last alone is high for anything that happens to move while something unseen rumbles.
WEIGHTS = (0.45, 0.45, 0.1)
SMOOTH_FRAMES = 3.0
# A held box is less sure than one that is measured while the thing moves.
HELD_PART = 0.7
# Without any sound nothing but motion speaks for a region.
SOUNDLESS_SCORE = 0.25


def follow(clip: Clip, frames: Iterable[TimedFrame], sampled: npt.NDArray[np.intp]) -> TrackResult:
    """Return the targets' instances, each with the region that fits it best in sum.

    Args:
        clip: what is looked for, and its sound.
        frames: over the clip's context, in the order of their times.
        sampled: where the clip's own times are among them.
    """
    motion = measure_motion(frames)
    regions = find_regions(motion)
    heard = None if clip.envelope is None or clip.envelope.is_silent else clip.envelope
    follows = {
        target.object_id: np.array(
            [synchrony(region, motion, target.sounding, heard) for region in regions]
        )
        for target in clip.targets
        if target.sounding
    }
    lives = np.array([region.life for region in regions])
    evidence = Evidence(follows, lives, is_heard=heard is not None)
    picks, refused = assign(clip.targets, evidence)
    found = [_found(pick, regions[pick.region], sampled, evidence) for pick in picks]
    return TrackResult(clip, tuple(each for each in found if each is not None), refused)


def synchrony(
    region: Region, motion: Motion, sounding: Normalised, heard: Envelope | None
) -> float:
    """Return in [0, 1] how well a region's motion follows the sound of one object.

    Correlations over the object's sounding intervals and AROUND_S beside them, where other sound
    is muted: motion onsets with sound onsets, and motion with log loudness, plain and smoothed.
    Without sound (None) there is nothing to follow: 0.
    """
    around = [(start_s - AROUND_S, end_s + AROUND_S) for start_s, end_s in sounding]
    use = contains(around, motion.times_s)
    inside = contains(sounding, motion.times_s).astype(np.float64)
    moves = np.log1p(region.signal)
    if heard is None or use.sum() < 3:
        return 0.0
    onsets = inside * _at_frames(heard, heard.onsets, motion.times_s)
    quiet = np.log(np.quantile(heard.rms, 0.1) + 1e-3)
    loud = inside * (_at_frames(heard, np.log(heard.rms + 1e-3), motion.times_s) - quiet)
    starts = np.maximum(np.diff(moves, prepend=moves[:1]), 0.0)
    values = (
        max(_correlation(np.roll(starts, -lag)[use], onsets[use]) for lag in LAGS),
        _correlation(moves[use], loud[use]),
        _correlation(_smooth(moves)[use], _smooth(loud)[use]),
    )
    return float(np.clip(np.dot(WEIGHTS, values), 0.0, 1.0))


def _smooth(values: Floats) -> Floats:
    return np.asarray(ndimage.gaussian_filter1d(values, SMOOTH_FRAMES), dtype=np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation; 0 where one of the two does not vary."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 1e-9 else 0.0


def _at_frames(heard: Envelope, values: Floats, times_s: Floats) -> Floats:
    """Return the largest value of the hops around each frame, half way to its neighbours."""
    half_s = float(np.median(np.diff(times_s))) / 2
    first = np.searchsorted(heard.times_s, times_s - half_s)
    last = np.searchsorted(heard.times_s, times_s + half_s)
    lowest = float(values.min(initial=0.0))
    return np.array(
        [values[a:b].max(initial=lowest) for a, b in zip(first, last, strict=True)],
        dtype=np.float64,
    )


def _found(
    pick: Pick, region: Region, sampled: npt.NDArray[np.intp], evidence: Evidence
) -> Found | None:
    """Return the region as an instance at the clip's times; None where it is never there."""
    boxes = np.clip(region.boxes[sampled], 0.0, 1.0)
    there = ~np.isnan(boxes[:, 0])
    if not there.any():
        return None
    target = pick.target
    value = float(evidence.follows.get(target.object_id, evidence.most)[pick.region])
    compared = evidence.is_heard and bool(evidence.follows)
    trust = (value if target.sounding else 0.5 * (1 - value)) if compared else SOUNDLESS_SCORE
    sure = np.where(region.moving[sampled], trust, HELD_PART * trust)
    return Found(
        object_id=target.object_id,
        boxes=boxes,
        states=np.where(there, VISIBLE, ABSENT).astype(np.int8),
        scores=np.where(there, sure, np.nan),
        source="detected",
        synchrony=value if compared else None,
        flags=pick.flags,
    )
