"""What happens in one sample video: who is there, where, when it moves and when it sounds.

Plain frozen records in seconds and in parts of the frame; painting, sound, captions and truth are
all made from them, and nothing else. Never draws a random number.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from earshot.media.sample.kinds import RGB, Kind

Stretch = tuple[float, float]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How one thing looks and what the captions call it: `adjective colour noun`."""

    adjective: str
    colour: str
    rgb: RGB
    noun: str


@dataclass(frozen=True)
class Actor:
    """One thing of a video.

    `route` holds (time_s, x) way points, x in frame widths; empty for a thing that is never in
    the picture. `foot_y` (lower edge) is in frame heights, `size` (side of its board) in parts of
    the frame's shorter reach. `strikes` are the onsets of its sounds, `hops` of its movements,
    `stretches` the times at which it sounds. Higher `depth` stands further in front.
    """

    name: str
    kind: Kind
    look: Look
    size: float
    foot_y: float
    route: tuple[tuple[float, float], ...]
    sway: tuple[float, float, float]
    flip: bool
    depth: int
    strikes: tuple[float, ...] = ()
    hops: tuple[float, ...] = ()
    stretches: tuple[Stretch, ...] = ()

    @property
    def is_seen(self) -> bool:
        """Whether the thing is ever in the picture."""
        return bool(self.route)

    @property
    def phrase(self) -> str:
        """Noun phrase without article, as captions write it."""
        look = self.look
        return " ".join(part for part in (look.adjective, look.colour, look.noun) if part)

    def x_at(self, times_s: Floats) -> Floats:
        """Horizontal middle in frame widths; way points are joined by ease-in, ease-out."""
        knots = np.array([time_s for time_s, _ in self.route])
        places = np.array([x for _, x in self.route])
        if len(knots) == 1:
            base = np.full(times_s.shape, places[0])
        else:
            left = np.clip(np.searchsorted(knots, times_s, side="right") - 1, 0, len(knots) - 2)
            part = np.clip((times_s - knots[left]) / (knots[left + 1] - knots[left]), 0, 1)
            part = part * part * (3 - 2 * part)
            base = places[left] + part * (places[left + 1] - places[left])
        reach, period_s, phase = self.sway
        return base + reach * np.sin(2 * np.pi * times_s / period_s + phase)

    def drive_at(self, times_s: Floats) -> Floats:
        """Effort in [0, 1]: a quick rise and a slower fall behind each hop."""
        drive = np.zeros(times_s.shape)
        for onset_s in self.hops:
            part = np.clip((times_s - onset_s) / self.kind.hop_s, 0, 1)
            drive = np.maximum(drive, np.sin(np.pi * part**0.65))
        return drive

    def swing_at(self, times_s: Floats) -> Floats:
        """Oscillation in [-1, 1] that each hop kicks anew and that dies away."""
        if not self.hops:
            return np.zeros(times_s.shape)
        onsets = np.array(self.hops)
        last = np.searchsorted(onsets, times_s, side="right") - 1
        since_s = times_s - onsets[np.maximum(last, 0)]
        sign = np.where(last % 2 == 0, 1.0, -1.0)
        wave = np.sin(2 * np.pi * self.kind.shake_hz * since_s) * np.exp(
            -since_s / (0.9 * self.kind.hop_s)
        )
        return np.where(last >= 0, sign * wave, 0.0)


@dataclass(frozen=True)
class Beat:
    """One event: a label, its segments and the actor that it is about."""

    label: str
    segments: tuple[Stretch, ...]
    lead: int


@dataclass(frozen=True)
class Line:
    """One caption to write: its time, the beats it tells of, and the others that it names."""

    start_s: float
    end_s: float
    beats: tuple[int, ...]
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What a scenario makes: the actors, the events and the captions to write."""

    actors: tuple[Actor, ...]
    beats: tuple[Beat, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Script:
    """One video, complete: the scene, and how it is filmed and recorded."""

    video_id: str
    scenario: str
    scene: Scene
    theme: str
    fps: Fraction
    n_frames: int
    width: int
    height: int
    rate_hz: int
    channels: int
    has_audio: bool
    is_silent: bool
    gives_events: bool

    @property
    def duration_s(self) -> float:
        """Length of picture and sound."""
        return float(self.n_frames / self.fps)

    @property
    def times_s(self) -> Floats:
        """Time of every frame from the container's start."""
        return np.array([float(frame / self.fps) for frame in range(self.n_frames)])
