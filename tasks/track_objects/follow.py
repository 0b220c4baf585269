"""Follows the things of one window: detections on key frames, propagation between them, both ways.

Takes detections and a propagator (SAM 2, or anything that moves boxes on), gives tracks with a box
or none on every frame. Pure bookkeeping: no pixels, no torch.

A thing is prompted once, when a detection first shows it, and again only where the track drifted,
jumped to a neighbour, or was lost. Every prompt also runs backwards, to the frame where the track
was last known to be right, or to the begin of the piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import box_iou
from earshot.tasks.track_objects.association import DRIFT_IOU, Detections, Live, match

Floats = npt.NDArray[np.float64]

# A new track and an older one that lie on the same thing on so many frames are one.
MIN_COMMON = 2
# A track that runs backwards ends where it was not seen on so many frames.
PATIENCE = 5


class Propagator(Protocol):
    """Moves boxes from frame to frame; a track is any number."""

    def prompt(self, frame: int, tracks: Sequence[int], boxes: Floats) -> tuple[Floats, Floats]:
        """Begin the tracks here, in both directions; return boxes (n, 4) and scores (n,)."""
        ...

    def step(self, frame: int, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        """Move tracks to the frame after their last, or with `backward` to the one before.

        Returns boxes (n, 4) xyxy in parts of the frame and scores (n,), NaN where not seen.
        """
        ...

    def drop(self, tracks: Sequence[int]) -> None:
        """Forget tracks."""
        ...


@dataclass(eq=False)
class Track:
    """One thing through a window.

    Attributes:
        number: what the propagator calls it.
        numbers: (n,) what it called it when each frame's box was made.
        name: which of the names.
        boxes, scores: (n, 4) and (n,) for each frame; NaN where it is not seen.
        born, last_hit: frames of the first and the last detection.
        last_box: (4,) that last detection.
        hits, support: how many detections confirmed it, and the sum of their scores.
        misses, all_misses: key frames at which it was seen and not detected: in a row, and in all.
    """

    number: int
    numbers: npt.NDArray[np.intp]
    name: int
    boxes: Floats
    scores: Floats
    born: int
    last_hit: int
    last_box: Floats
    hits: int = 0
    support: float = 0.0
    misses: int = 0
    all_misses: int = 0

    @property
    def is_confirmed(self) -> bool:
        """Whether more than one passing detection speaks for it."""
        return self.hits >= 2 or self.all_misses <= 1


class WindowFollower:
    """The tracks of one window, fed piece by piece.

    Args:
        length: frames of the window.
        propagator: moves boxes on; lives as long as the window.
        box_threshold, text_threshold: least score of a detection, and of a name for it.
    """

    def __init__(
        self, length: int, propagator: Propagator, box_threshold: float, text_threshold: float
    ) -> None:
        self._length = length
        self._propagator = propagator
        self._box_threshold = box_threshold
        self._text_threshold = text_threshold
        self._tracks: list[Track] = []
        self._numbers = 0

    @property
    def tracks(self) -> list[Track]:
        """The tracks that are no passing mistake of the detector, oldest first."""
        return [track for track in self._tracks if track.is_confirmed]

    def advance(self, first: int, stop: int, reach: int, found: Mapping[int, Detections]) -> None:
        """Follow through frames [first, stop); backwards never before frame `reach`."""
        for frame in range(first, stop):
            if self._tracks:
                self._step(frame, self._tracks, backward=False)
            if frame in found:
                goals = self._meet(frame, found[frame].kept(self._box_threshold))
                self._run_back(frame, {track: max(goal, reach) for track, goal in goals.items()})
                self._join([track for track in goals if track.born == frame], frame)
                self._forget_mistakes()

    def _step(self, frame: int, tracks: Sequence[Track], *, backward: bool) -> None:
        numbers = [track.number for track in tracks]
        boxes, scores = self._propagator.step(frame, numbers, backward)
        for track, box, score in zip(tracks, boxes, scores, strict=True):
            track.boxes[frame], track.scores[frame] = box, score

    def _meet(self, frame: int, found: Detections) -> dict[Track, int]:
        """Match detections; return what was prompted, with how far back it is to be run."""
        tracks = list(self._tracks)
        live = [
            Live(track.name, track.boxes[frame], track.last_box, track.hits, track.misses)
            for track in tracks
        ]
        matches = match(live, found, self._text_threshold)
        for row in matches.jumped:
            _blank(tracks[row], tracks[row].last_hit + 1, frame + 1)
        goals: dict[Track, int] = {}
        for row, _ in matches.moved:
            goals[tracks[row]] = tracks[row].last_hit + 1
            _blank(tracks[row], frame, frame + 1)
        born = [self._new(frame, int(found.scores[column].argmax())) for column in matches.new]
        goals.update(dict.fromkeys(born, 0))
        columns = [column for _, column in matches.moved] + list(matches.new)
        if goals:
            numbers = [track.number for track in goals]
            boxes, scores = self._propagator.prompt(frame, numbers, found.boxes[columns])
            for track, box, score in zip(goals, boxes, scores, strict=True):
                track.boxes[frame], track.scores[frame] = box, score
        hits = [(tracks[row], column) for row, column in (*matches.kept, *matches.moved)]
        hits += list(zip(born, matches.new, strict=True))
        for track in tracks:
            if not np.isnan(track.boxes[frame, 0]) and all(track is not hit for hit, _ in hits):
                track.misses += 1
                track.all_misses += 1
        for track, column in hits:
            track.hits, track.misses = track.hits + 1, 0
            track.support += float(found.scores[column, track.name])
            track.last_hit, track.last_box = frame, found.boxes[column]
        return goals

    def _new(self, frame: int, name: int) -> Track:
        boxes, scores = np.full((self._length, 4), np.nan), np.full(self._length, np.nan)
        numbers = np.full(self._length, self._numbers)
        track = Track(self._numbers, numbers, name, boxes, scores, frame, frame, boxes[frame])
        self._numbers += 1
        self._tracks.append(track)
        return track

    def _run_back(self, frame: int, goals: Mapping[Track, int]) -> None:
        """Run the tracks back from a frame to their goals, or until they are gone for a while."""
        gone = dict.fromkeys(goals, 0)
        for before in range(frame - 1, -1, -1):
            active = [
                track for track, goal in goals.items() if goal <= before and gone[track] < PATIENCE
            ]
            if not active:
                return
            self._step(before, active, backward=True)
            for track in active:
                gone[track] = gone[track] + 1 if np.isnan(track.boxes[before, 0]) else 0

    def _forget_mistakes(self) -> None:
        """Let go of what the detector saw once and then not: it would cost on every frame."""
        mistakes = [track for track in self._tracks if not track.is_confirmed]
        self._propagator.drop([track.number for track in mistakes])
        self._tracks = [track for track in self._tracks if track.is_confirmed]

    def _join(self, born: Sequence[Track], frame: int) -> None:
        """Make a new track and an older one that no detection of it meant now the same.

        So a thing that an older track left without notice keeps that track's id.
        """
        for track in born:
            for older in self._tracks:
                if older is track:
                    break
                if older.name == track.name and older.last_hit < frame and _is_same(older, track):
                    self._propagator.drop([older.number])
                    older.number = track.number
                    since = older.last_hit + 1
                    older.numbers[since:] = track.number
                    older.boxes[since:] = track.boxes[since:]
                    older.scores[since:] = track.scores[since:]
                    older.last_hit, older.last_box = track.last_hit, track.last_box
                    older.hits, older.misses = older.hits + track.hits, 0
                    older.support += track.support
                    self._tracks.remove(track)
                    break


def _blank(track: Track, first: int, stop: int) -> None:
    track.boxes[first:stop] = np.nan
    track.scores[first:stop] = np.nan


def _is_same(older: Track, track: Track) -> bool:
    """Say whether two tracks lie on one thing where the older one was still right."""
    until = older.last_hit + 1
    overlap = box_iou(older.boxes[:until], track.boxes[:until])
    both = ~np.isnan(older.boxes[:until, 0]) & ~np.isnan(track.boxes[:until, 0])
    return bool(both.sum() >= MIN_COMMON and overlap[both].mean() >= DRIFT_IOU)
