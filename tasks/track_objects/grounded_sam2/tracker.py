"""The backend `grounded_sam2`: text to boxes on key frames, boxes to masks to boxes between them.

Takes clips, gives an instance for each thing that was found; the models are loaded by `open` and
stay loaded. Imports no torch before that, so that planning costs nothing.

Frames are decoded once, in packs: pieces of one or several windows, at most
`TrackConfig.piece_frames` frames. All key frames of a pack are detected together, then each piece
is followed, while the next pack is decoded; what a track remembers goes on from piece to piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earshot.geometry.tubes import ABSENT, VISIBLE
from earshot.media.display import Frame
from earshot.media.frames import TimedFrame
from earshot.schemas.base import digest_of
from earshot.schemas.config import TrackConfig
from earshot.schemas.tube import TubeFlag
from earshot.store.stage import Estimate
from earshot.tasks.track_objects.association import Detections
from earshot.tasks.track_objects.calibration import recorded
from earshot.tasks.track_objects.follow import Track, WindowFollower
from earshot.tasks.track_objects.grounded_sam2 import weights
from earshot.tasks.track_objects.grounded_sam2.decoding import Decoding
from earshot.tasks.track_objects.grounded_sam2.texts import Sought, prompts_of
from earshot.tasks.track_objects.pieces import Piece, key_frames, pack
from earshot.tasks.track_objects.protocol import Clip, Found, Masks, Target, TrackResult

if TYPE_CHECKING:
    from earshot.tasks.track_objects.grounded_sam2.models import Models
    from earshot.tasks.track_objects.grounded_sam2.propagator import Rle, Sam2Propagator


@dataclass(eq=False)
class _Window:
    """A clip being followed: the frames held of it, and what was found so far."""

    clip: Clip
    keys: frozenset[int]
    sought: list[Sought]
    propagator: Sam2Propagator
    follower: WindowFollower
    frames: dict[int, Frame]
    best: npt.NDArray[np.float64]
    masks: dict[tuple[int, int], Rle] | None
    found: dict[int, Detections] = field(default_factory=dict)


class GroundedSam2Tracker:
    """Grounding DINO and SAM 2 video of transformers.

    Settings: `TrackConfig.detector`, `segmenter`, `box_threshold`, `text_threshold`, `key_every_s`,
    `piece_frames`, `device`, `precision`, `compile` and `masks`. A sub-class has other models.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        InputError: from `digest` and `open`: no weights, or not those of such a model.
        DeviceError: from `open` and `track`: no such device, or too little memory on it.
    """

    backend = "grounded_sam2"
    backend_version = "1"
    looks = True

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._models: Models | None = None

    @cached_property
    def weights_digest(self) -> str | None:
        """Digest of the files of both models, wherever they lie."""
        return digest_of([weights.digest(folder) for folder in self._folders])

    def open(self) -> None:
        """Load the models; those of the call before, if it asked for the same."""
        self._check_installed()
        self._models = self._load()

    def loaded(self) -> Models:
        """Return the models, loaded as `open` does."""
        self.open()
        assert self._models is not None
        return self._models

    def close(self) -> None:
        """Do nothing: the models stay for the next batch of videos."""

    def digest(self) -> str:
        """Return the digest of backend, version, settings and weights."""
        self._check_installed()
        config = self._config
        settings: dict[str, Any] = {
            "box_threshold": config.box_threshold,
            "text_threshold": config.text_threshold,
            "key_every_s": config.key_every_s,
            "piece_frames": config.piece_frames,
            "device": config.device,
            "precision": config.precision,
            "compile": config.compile,
        }
        if config.masks:
            settings["masks"] = True
        return digest_of([self.backend, self.backend_version, settings, self.weights_digest])

    def stamp(self, video_id: str) -> str | None:
        """Return None: it takes nothing but clips."""
        del video_id
        return None

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """Return the frames that are followed, and those that the detector looks at.

        A frame on which more is sought than one text has room for counts once for each text. Time
        is estimated after `earshot doctor --calibrate` alone.
        """
        frames = detector_frames = moved = 0
        for clip in clips:
            frames += len(clip.times_s)
            moved += len(clip.times_s) * sum(target.count or 1 for target in clip.targets)
            detector_frames += len(self._keys(clip)) * self._texts(_sought(clip))
        known = recorded(self._config, self.weights_digest)
        gpu_s = 0.0 if known is None else known.seconds(frames, moved, detector_frames)
        return Estimate(frames=frames, detector_frames=detector_frames, gpu_s=gpu_s)

    def track(self, clips: Iterable[Clip]) -> Iterator[TrackResult]:
        """Yield what was found in each clip, in order; raises what its frame source raises."""
        windows = [self._window(clip) for clip in clips]
        lengths = [len(window.clip.times_s) for window in windows]
        every = round(self._config.key_every_s * max(map(_fps, windows), default=1.0))
        overlap = min(max(every, 1), self._config.piece_frames // 2)
        packs = pack(lengths, self._config.piece_frames, overlap)
        with Decoding(packs, [partial(self._open_frames, window) for window in windows]) as decoded:
            for pieces, frames in decoded:
                for piece, held in zip(pieces, frames, strict=True):
                    windows[piece.window].frames.update(held)
                yield from self._follow(windows, pieces, overlap)

    @cached_property
    def _folders(self) -> tuple[Path, Path]:
        config = self._config
        return (
            weights.folder_of(config.detector, "detector"),
            weights.folder_of(config.segmenter, "segmenter"),
        )

    def _check_installed(self) -> None:
        weights.check_extra()

    def _load(self) -> Models:
        from earshot.tasks.track_objects.grounded_sam2.load import load
        from earshot.tasks.track_objects.grounded_sam2.models import place_of

        place = place_of(self._config)
        return load(*self._folders, place)

    def _texts(self, sought: Sequence[Sought]) -> int:
        """Return how many texts the detector is asked."""
        folder = self._folders[0]
        return len(prompts_of(sought, *weights.text_room(folder)))

    def _keys(self, clip: Clip) -> list[int]:
        return key_frames(len(clip.times_s), _rate(clip), self._config.key_every_s)

    def _window(self, clip: Clip) -> _Window:
        assert self._models is not None, "open() comes first"
        config, frames = self._config, dict[int, Frame]()
        masks = dict[tuple[int, int], "Rle"]() if config.masks else None
        propagator = self._propagator(frames, masks)
        return _Window(
            clip=clip,
            keys=frozenset(self._keys(clip)),
            sought=_sought(clip),
            propagator=propagator,
            follower=WindowFollower(
                len(clip.times_s), propagator, config.box_threshold, config.text_threshold
            ),
            frames=frames,
            best=np.zeros(len(clip.targets)),
            masks=masks,
        )

    def _propagator(
        self, frames: dict[int, Frame], masks: dict[tuple[int, int], Rle] | None
    ) -> Sam2Propagator:
        from earshot.tasks.track_objects.grounded_sam2.propagator import Sam2Propagator

        assert self._models is not None
        return Sam2Propagator(self._models.segmenter, frames, self._models.batches, masks)

    def _open_frames(self, window: _Window) -> Iterator[TimedFrame]:
        assert self._models is not None
        side = max(self._models.detector.long_side_px, self._models.segmenter.image_size)
        return window.clip.open_frames(side).frames(window.clip.times_s)

    def _follow(
        self, windows: list[_Window], pieces: list[Piece], overlap: int
    ) -> Iterator[TrackResult]:
        """Detect on the pieces of a pack and follow them; yield the windows that end in it."""
        self._detect(windows, pieces)
        for piece in pieces:
            window = windows[piece.window]
            window.follower.advance(piece.first, piece.stop, piece.reach, window.found)
            window.found.clear()
            for frame in [at for at in window.frames if at < piece.stop - overlap]:
                del window.frames[frame]
            window.propagator.release(piece.stop - overlap)
            if piece.stop == len(window.clip.times_s):
                window.frames.clear()
                window.propagator.release(piece.stop)
                yield _result(window)

    def _detect(self, windows: list[_Window], pieces: list[Piece]) -> None:
        assert self._models is not None
        wanted = [
            (windows[piece.window], at)
            for piece in pieces
            for at in range(piece.first, piece.stop)
            if at in windows[piece.window].keys
        ]
        results = self._models.detector.detect(
            [window.frames[at] for window, at in wanted], [window.sought for window, _ in wanted]
        )
        for (window, at), found in zip(wanted, results, strict=True):
            window.found[at] = found
            window.best = np.maximum(window.best, found.scores.max(axis=0, initial=0.0))


def _sought(clip: Clip) -> list[Sought]:
    return [Sought(target.name, target.phrase) for target in clip.targets]


def _rate(clip: Clip) -> float:
    times_s = clip.times_s
    return 1 / (times_s[1] - times_s[0]) if len(times_s) > 1 else 1.0


def _fps(window: _Window) -> float:
    return _rate(window.clip)


def _result(window: _Window) -> TrackResult:
    found, refused = [], {}
    for index, target in enumerate(window.clip.targets):
        tracks = [track for track in window.follower.tracks if track.name == index]
        tracks = [track for track in tracks if not np.isnan(track.boxes).all()]
        found += _instances(target, tracks, window.masks)
        if not tracks:
            refused[target.object_id] = (
                f"no {target.name} found: the best detection scores {window.best[index]:.2f}"
            )
    return TrackResult(window.clip, tuple(found), refused)


def _instances(
    target: Target, tracks: list[Track], masks: Mapping[tuple[int, int], Rle] | None
) -> list[Found]:
    """Return a target's instances; a group is one, in the hull of its members.

    Where the captions speak of fewer than were found, which of them is meant is not known.
    """
    if not tracks:
        return []
    if target.is_group:
        boxes = np.stack([track.boxes for track in tracks])
        scores = np.stack([track.scores for track in tracks])
        low, high = np.fmin.reduce(boxes[..., :2]), np.fmax.reduce(boxes[..., 2:])
        hull = np.concatenate([low, high], axis=1)
        return [_found(target, tracks, hull, np.fmax.reduce(scores), masks)]
    doubtful = target.count is not None and len(tracks) > target.count
    flags: tuple[TubeFlag, ...] = ("ambiguous_identity",) if doubtful else ()
    return [
        replace(_found(target, [track], track.boxes, track.scores, masks), flags=flags)
        for track in tracks
    ]


def _found(
    target: Target,
    tracks: Sequence[Track],
    boxes: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    masks: Mapping[tuple[int, int], Rle] | None,
) -> Found:
    boxes = np.clip(boxes, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        # Rows are rounded to 6 places: what has no area then is not visible.
        sides = np.round(boxes[:, 2:], 6) - np.round(boxes[:, :2], 6)
        there = np.asarray((sides > 0).all(axis=1))
    return Found(
        object_id=target.object_id,
        boxes=np.where(there[:, None], boxes, np.nan),
        states=np.where(there, VISIBLE, ABSENT).astype(np.int8),
        scores=np.where(there, scores, np.nan),
        source="propagated",
        synchrony=None,
        masks=None if masks is None else _masks(tracks, there, masks),
    )


def _masks(
    tracks: Sequence[Track],
    there: npt.NDArray[np.bool_],
    masks: Mapping[tuple[int, int], Rle],
) -> Masks | None:
    """Return the masks of the tracks, joined, on the frames where they have a box."""
    from pycocotools import mask

    counts: list[bytes | None] = []
    size = (0, 0)
    for frame, is_there in enumerate(there.tolist()):
        seen = [track for track in tracks if is_there and not np.isnan(track.boxes[frame, 0])]
        parts = [masks[frame, int(track.numbers[frame])] for track in seen]
        whole = mask.merge(parts) if parts else None
        size = (whole["size"][0], whole["size"][1]) if whole else size
        counts.append(whole["counts"] if whole else None)
    return Masks(*size, tuple(counts)) if any(counts) else None
