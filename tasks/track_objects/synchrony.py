"""The embedded tracker: the moving regions whose motion follows the sound. No weights, no GPU.

Takes clips, gives each sounding object the region that moves most in step with the sound while the
object sounds, and each silent one a region that does so least. It never looks at what a thing is:
it is weak, and every tube says `synchrony`. What never moves is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from earshot.schemas.base import digest_of
from earshot.schemas.config import TrackConfig
from earshot.store.stage import Estimate
from earshot.tasks.track_objects.protocol import Clip, TrackResult

# Movements last about 0.2 s: 10 frames a second show when they begin.
MIN_MOTION_FPS = 10.0


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
        # SciPy takes long to import, and a plan asks for digest and estimate alone.
        from earshot.tasks.track_objects.in_step import follow

        for clip in clips:
            times_s, sampled = _motion_times(clip)
            yield follow(clip, clip.open_frames(self._long_side_px).frames(times_s), sampled)


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
