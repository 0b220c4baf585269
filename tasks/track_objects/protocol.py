"""The tracker protocol: clips in, tubes as arrays out (CONTRACTS 9).

A backend sees frames, sound and what to look for; it never sees tables, ids of tubes or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from earshot.geometry.intervals import Normalised
from earshot.media.audio import Envelope
from earshot.media.frames import FrameSource, SourceInfo
from earshot.schemas.tube import TubeFlag, TubeSource
from earshot.store.stage import Estimate


@dataclass(frozen=True)
class Target:
    """A thing to follow in a clip.

    Attributes:
        object_id, name, phrase: which object it is, and what a detector is asked for.
        count: instances that the captions speak of; None where they don't say.
        is_group: one box for all of it.
        sounding: when it sounds in the clip, in seconds of the video; empty for `visible_only`.
    """

    object_id: str
    name: str
    phrase: str
    count: int | None
    is_group: bool
    sounding: Normalised


@dataclass(frozen=True, eq=False)
class Clip:
    """A window of a video in which some objects are to be followed.

    Attributes:
        video_id: which video.
        info: its length, rate and displayed size.
        window_s: (start, end) as the events have it.
        context_s: (start, end) around it that the tracker may look at.
        times_s: the sample times of the tubes, ascending.
        targets: what to follow, sorted by object id.
        open_frames: gives a frame source whose longer side has at most so many pixels.
        envelope: the sound of the whole video, or None where it has none.
    """

    video_id: str
    info: SourceInfo
    window_s: tuple[float, float]
    context_s: tuple[float, float]
    times_s: tuple[float, ...]
    targets: tuple[Target, ...]
    open_frames: Callable[[int | None], FrameSource]
    envelope: Envelope | None


@dataclass(frozen=True)
class Masks:
    """Masks of an instance: `counts` are COCO's compressed run lengths, None where not visible.

    A mask has `height` x `width` cells and spans the displayed frame, whatever its aspect.
    """

    height: int
    width: int
    counts: tuple[bytes | None, ...]


@dataclass(frozen=True, eq=False)
class Found:
    """One instance of a target through the clip's `times_s`.

    Attributes:
        object_id: the target.
        boxes: (n, 4) xyxy in parts of the displayed frame, NaN rows where not visible.
        states: (n,) int8 of `earshot.geometry.tubes`: UNKNOWN, ABSENT or VISIBLE.
        scores: (n,) confidence in [0, 1], NaN where not visible.
        source: where the boxes come from.
        synchrony: how well the motion follows the sound, in [0, 1]; None without sound.
        flags: what the backend doubts about it.
        times_s: its own sample times, ascending; None where it has the clip's.
        masks: of the boxes, where the backend was asked for them.
    """

    object_id: str
    boxes: npt.NDArray[np.float64]
    states: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    source: TubeSource
    synchrony: float | None
    flags: tuple[TubeFlag, ...] = ()
    times_s: tuple[float, ...] | None = None
    masks: Masks | None = None


@dataclass(frozen=True, eq=False)
class TrackResult:
    """What a tracker found in a clip; a target without a `Found` was not detected.

    `refused` may say why, by object id; `nameless` are tracks of a file that are none of them.
    """

    clip: Clip
    found: tuple[Found, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    nameless: frozenset[str] = frozenset()


class Tracker(Protocol):
    """A backend that follows objects.

    `backend` and `backend_version` go into every tube; `weights_digest` is None without weights.
    """

    @property
    def backend(self) -> str:
        """Name in configuration and tubes."""
        ...

    @property
    def backend_version(self) -> str:
        """Changes whenever the same clip may give other tubes."""
        ...

    @property
    def weights_digest(self) -> str | None:
        """Digest of the weights' files."""
        ...

    @property
    def looks(self) -> bool:
        """Whether it takes frames and sound; if not, the media need not be there."""
        ...

    def stamp(self, video_id: str) -> str | None:
        """Return a digest of what it takes from elsewhere for a video; None where nothing."""
        ...

    def open(self) -> None:
        """Load what is needed; called once before the first clip."""
        ...

    def close(self) -> None:
        """Let go of what `open` loaded."""
        ...

    def digest(self) -> str:
        """Return a digest of settings, version and weights: equal digests give equal tubes."""
        ...

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """Return what the clips will cost; opens no frame source."""
        ...

    def track(self, clips: Iterable[Clip]) -> Iterator[TrackResult]:
        """Yield one result a clip, in order.

        Raises:
            ItemError: what a frame source raises; later clips can be asked for by a new call.
        """
        ...
