"""The embedded tracker: the moving regions whose motion follows the sound. No weights, no GPU.

Takes clips, gives each sounding object the region that moves most in step with the sound while the
object sounds, and each silent one a region that does so least. It never looks at what a thing is:
it is weak, and every tube says `synchrony`. What never moves is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from earshot.geometry.intervals import Normalised, contains
from earshot.geometry.tubes import ABSENT, VISIBLE
from earshot.media.audio import Envelope
from earshot.schemas.base import digest_of
from earshot.schemas.config import TrackConfig
from earshot.store.stage import Estimate
from earshot.tasks.track_objects.assign import Evidence, Pick, assign
from earshot.tasks.track_objects.motion import Motion, measure_motion
from earshot.tasks.track_objects.protocol import Clip, Found, TrackResult
from earshot.tasks.track_objects.regions import Region, find_regions

Floats = npt.NDArray[np.float64]

# Movements last about 0.2 s: 10 frames a second show when they begin.
MIN_MOTION_FPS = 10.0
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


class SynchronyTracker:
    """The backend `synchrony`; needs no loading. Settings: `TrackConfig.long_side_px`."""

    backend = "synchrony"
    backend_version = "4"
    weights_digest: str | None = None
    looks = True

    def __init__(self, config: TrackConfig) -> None:
        self._long_side_px = config.long_side_px

    def open(self) -> None:
        """Do nothing: there are no weights."""

    def close(self) -> None:
        """Do nothing."""

    def digest(self) -> str:
        """Return the digest of backend, version and settings."""
        settings = {"long_side_px": self._long_side_px}
        return digest_of([self.backend, self.backend_version, settings])

    def stamp(self, video_id: str) -> str | None:
        """Return None: it takes nothing but clips."""
        del video_id
        return None

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """Return the frames that will be looked at; nothing costs calls or GPU time."""
        return Estimate(frames=sum(len(_motion_times(clip)[0]) for clip in clips))

    def track(self, clips: Iterable[Clip]) -> Iterator[TrackResult]:
        """Yield what was found in each clip, in order; raises what its frame source raises."""
        for clip in clips:
            times_s, sampled = _motion_times(clip)
            frames = clip.open_frames(self._long_side_px).frames(times_s)
            motion = measure_motion(frames)
            yield _matched(clip, motion, find_regions(motion), sampled)


def _motion_times(clip: Clip) -> tuple[tuple[float, ...], npt.NDArray[np.intp]]:
    """Return the times to look at, over the context, and where the clip's own are among them."""
    own = clip.times_s
    step_s = own[1] - own[0] if len(own) > 1 else 1 / MIN_MOTION_FPS
    parts = max(round(np.ceil(MIN_MOTION_FPS * step_s - 1e-6)), 1)
    step_s /= parts
    before = int(max(own[0] - clip.context_s[0], 0.0) / step_s + 1e-6)
    behind = int(max(clip.context_s[1] - own[-1], 0.0) / step_s + 1e-6)
    count = before + (len(own) - 1) * parts + 1 + behind
    times_s = tuple(round(own[0] + (at - before) * step_s, 6) for at in range(count))
    return times_s, before + parts * np.arange(len(own))


def _matched(
    clip: Clip, motion: Motion, regions: list[Region], sampled: npt.NDArray[np.intp]
) -> TrackResult:
    """Return the targets' instances, each with the region that fits it best in sum."""
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
