"""The clock of a review clip: which frame of it shows which time of the video, and back.

Label Studio counts frames from 1 and knows no offset; every conversion between its frames and our
seconds is here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clock:
    """How a clip with a constant rate lies in its video.

    Attributes:
        offset_s: the video's time at which the clip starts.
        fps: frames a second.
        n_frames: how many it has.
    """

    offset_s: float
    fps: float
    n_frames: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.fps

    @property
    def end_s(self) -> float:
        """The video's time at which the clip ends."""
        return self.offset_s + self.duration_s

    def frames(self, times_s: npt.ArrayLike) -> Frames:
        """Return the 1-based frame nearest to each of the video's times, also outside the clip."""
        at = (np.asarray(times_s, dtype=np.float64) - self.offset_s) * self.fps
        # 1e-6: a time in the middle between two frames must not depend on the last bit.
        return np.floor(at + 0.5 + 1e-6).astype(np.int64) + 1

    def holds(self, frames: Frames) -> npt.NDArray[np.bool_]:
        """Tell which frames the clip has."""
        inside: npt.NDArray[np.bool_] = (frames >= 1) & (frames <= self.n_frames)
        return inside

    def clip_s(self, time_s: float) -> float:
        """Return a time of the video in the clip's own seconds, not beyond its ends."""
        return min(max(time_s - self.offset_s, 0.0), self.duration_s)

    def video_s(self, clip_s: float) -> float:
        """Return a time of the clip in the video's seconds."""
        return clip_s + self.offset_s
