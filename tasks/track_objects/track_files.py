"""Tracks that others made: MOT text, DAVIS masks and our own tables, as arrays.

Takes files of one video, gives tracks in parts of the frame with the names that the file has for
them. Which of our objects a track is, is not decided here.

A row of MOT text, and what the challenge says of it (MOT16, arXiv 1603.00831, section 3.2: frame
numbers, ids and boxes count from 1; a confidence of 0 marks what evaluation ignores):

    1,1,1363,569,103,241,1,1,0.86014     frame, id, left, top, width, height, confidence, class, ...

A DAVIS mask is a PNG a frame, named by the frame's number from 0; a pixel's palette index says
whose it is, 0 is background and 255 "void" in palette images, but the object in grey ones (2016).
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from earshot.errors import InputError, ItemError
from earshot.geometry.tubes import ABSENT, VISIBLE
from earshot.media.frames import SourceInfo
from earshot.schemas.tube import Tube, TubeFlag
from earshot.store.tube_files import TubeSet

Floats = npt.NDArray[np.float64]
VOID = 255


@dataclass(frozen=True, eq=False)
class Track:
    """One track of a file.

    Attributes:
        label: what the file calls it, for messages.
        keys: everything that it may be named by, such as "3" and "class 1".
        object_id: our object where the file knows it.
        times_s, boxes, states, scores: as in `Found`, boxes xyxy in parts of the frame.
        flags: doubts that came with it.
    """

    label: str
    keys: frozenset[str]
    object_id: str | None
    times_s: Floats
    boxes: Floats
    states: npt.NDArray[np.int8]
    scores: Floats
    flags: tuple[TubeFlag, ...] = ()


def read_mot(path: Path, info: SourceInfo) -> list[Track]:
    """Return the tracks of a MOT text file; frames between its first and last count as looked at.

    Raises:
        ItemError: `bad_tracks` where a row is none of the format.
    """
    rows: dict[str, dict[int, tuple[float, ...]]] = defaultdict(dict)
    classes: dict[str, str] = {}
    frames: set[int] = set()
    # What is no text is then no number either, and its line is told.
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        for line, row in enumerate(csv.reader(stream), start=1):
            if row:
                frame, box, score, kind = _mot_row(row, f"{path.name}, line {line}")
                frames.add(frame)
                track = row[1].strip()
                if score != 0:
                    rows[track][frame] = (*box, score)
                    classes[track] = kind
    first, last = min(frames, default=1), max(frames, default=0)
    shape = np.array([info.width, info.height] * 2)
    tracks = []
    for track, boxes in rows.items():
        table = np.full((last - first + 1, 5), np.nan)
        for frame, values in boxes.items():
            table[frame - first] = values
        places = np.clip(table[:, :4] / shape, 0.0, 1.0)
        keys = {track} | ({f"class {classes[track]}"} if classes[track] else set())
        tracks.append(
            _track(track, keys, (np.arange(first, last + 1) - 1) / info.fps, places, table[:, 4])
        )
    return tracks


def _mot_row(row: list[str], where: str) -> tuple[int, tuple[float, ...], float, str]:
    """Return frame, half-open box in pixels from 0, confidence and class ("" where not given)."""
    try:
        frame, left, top, width, height = int(row[0]), *(float(part) for part in row[2:6])
        score = float(row[6]) if len(row) > 6 else 1.0
    except (ValueError, IndexError) as error:
        raise ItemError(
            "bad_tracks",
            f"{where}: {','.join(row)!r} is no row of MOT text; expected frame, id, left, top, "
            "width, height, confidence",
            ",".join(row),
        ) from error
    finite = all(math.isfinite(value) for value in (left, top, width, height, score))
    if not finite or frame < 1 or width <= 0 or height <= 0:
        raise ItemError(
            "bad_tracks",
            f"{where}: {','.join(row)!r}; expected a frame from 1 on, and a width and a height "
            "above 0",
            ",".join(row),
        )
    kind = row[7].strip() if len(row) > 7 else ""
    box = (left - 1, top - 1, left - 1 + width, top - 1 + height)
    return frame, box, score, "" if kind.startswith("-") else kind


def read_davis(folder: Path, info: SourceInfo) -> list[Track]:
    """Return a track for each object of a folder of masks: the extent of its pixels.

    Raises:
        ItemError: `bad_tracks` where a file is no mask of one channel named by a frame number.
    """
    files = sorted(folder.glob("*.png"))
    masks = [(_frame_of(file), _extents(file)) for file in files]
    times_s = np.array([frame / info.fps for frame, _ in masks])
    tracks = []
    for index in sorted({index for _, extents in masks for index in extents}):
        boxes = np.full((len(masks), 4), np.nan)
        for at, (_, extents) in enumerate(masks):
            if index in extents:
                boxes[at] = extents[index]
        scores = np.where(np.isnan(boxes[:, 0]), np.nan, 1.0)
        tracks.append(_track(str(index), {str(index)}, times_s, boxes, scores))
    return tracks


def _frame_of(file: Path) -> int:
    if not file.stem.isdigit():
        raise ItemError(
            "bad_tracks", f"{file.name}: expected a frame number, as in 00012.png", file.name
        )
    return int(file.stem)


def _extents(file: Path) -> dict[int, tuple[float, ...]]:
    """Return by palette index the half-open extent of its pixels, in parts of the mask."""
    try:
        with Image.open(file) as image:
            mode, mask = image.mode, np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise ItemError("bad_tracks", f"{file.name} is no picture ({error})", file.name) from error
    if mask.ndim != 2:
        raise ItemError(
            "bad_tracks", f"{file.name} has mode {mode}; expected a palette or grey mask", mode
        )
    mask = mask.astype(np.uint8)
    height, width = mask.shape
    found: dict[int, tuple[float, ...]] = {}
    for index in np.unique(mask).tolist():
        if index == 0 or (index == VOID and mode == "P"):
            continue
        rows = np.flatnonzero((mask == index).any(axis=1))
        columns = np.flatnonzero((mask == index).any(axis=0))
        found[index] = (
            columns[0] / width,
            rows[0] / height,
            (columns[-1] + 1) / width,
            (rows[-1] + 1) / height,
        )
    return found


def from_tubes(tubes: TubeSet, video_id: str) -> list[Track]:
    """Return the tubes of a video as tracks, named as the objects beside them are.

    Raises:
        ItemError: `bad_tracks` for boxes in pixels of a video whose size is not known.
    """
    return [_of_tube(tube, tubes) for tube in tubes.tubes if tube.video_id == video_id]


def _of_tube(tube: Tube, tubes: TubeSet) -> Track:
    times_s, _, states = tube.arrays()
    try:
        boxes = tubes.boxes_norm(tube)
    except InputError as error:
        raise ItemError("bad_tracks", str(error), tube.box_space) from error
    return Track(
        label=tube.tube_id,
        keys=tubes.names.get(tube.object_id, frozenset()),
        object_id=tube.object_id,
        times_s=times_s,
        boxes=boxes,
        states=states,
        scores=np.array([math.nan if score is None else score for score in tube.score]),
        flags=tube.flags,
    )


def _track(label: str, keys: set[str], times_s: Floats, boxes: Floats, scores: Floats) -> Track:
    """Return a track that is absent where it has no box, or one with no area in the frame."""
    with np.errstate(invalid="ignore"):
        there = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Track(
        label=label,
        keys=frozenset(keys),
        object_id=None,
        times_s=np.asarray(times_s, dtype=np.float64),
        boxes=np.where(there[:, None], boxes, np.nan),
        states=np.where(there, VISIBLE, ABSENT).astype(np.int8),
        scores=np.where(there, np.clip(scores, 0.0, 1.0), np.nan),
    )
