"""Compares whose ids hold: our association and schedule, and the rule of the public demo.

Run as `python benchmarks/id_quality.py`; the table goes to benchmarks/results/id_quality.md. Boxes
alone, no model: both are given the same stored detections and the same imperfect propagator, which
drifts, loses things at occlusions and jumps to neighbours; each draws its mistakes by thing and
frame, not by who asks. 20 s at 30 fps; scored at 5 fps with motmetrics at IoU 0.5.

The demo's rule is that of Grounded-SAM-2 `grounded_sam2_tracking_demo_with_continuous_id.py` at its
published settings, written from its description: every 20 frames detect, take the first propagated
mask with IoU above 0.8 whatever its name, else a new id; forget everything else; propagate.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import motmetrics
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from earshot.geometry.boxes import box_iou, pairwise_iou
from earshot.geometry.tubes import ABSENT, VISIBLE, tube_iou
from earshot.tasks.track_objects.association import Detections
from earshot.tasks.track_objects.follow import WindowFollower
from earshot.tasks.track_objects.pieces import pack

Floats = npt.NDArray[np.float64]

FRAMES, FPS = 600, 30
DEMO_STEP, DEMO_IOU = 20, 0.8
# Of the frames that have detections, those next above `TrackConfig.key_every_s`.
OUR_STEP, OUR_KEY = 6, 80
GRID = range(0, FRAMES, OUR_STEP)
SEEDS = range(8)
MAX_SWITCH_SHARE = 0.2


@dataclass(frozen=True)
class Noise:
    """How imperfect detector and propagator are.

    Attributes:
        jitter: deviation of a detected edge, in parts of the thing's side.
        missed, invented: share of detections missed, and mean of those invented a frame.
        drift: deviation of a propagated box a second after its prompt, in parts of the side.
        lost, jumped: share of occlusions, and of meetings with a neighbour, that end a track.
    """

    jitter: float
    missed: float
    invented: float
    drift: float
    lost: float
    jumped: float


LEVELS = {
    "low": Noise(0.02, 0.05, 0.02, 0.04, 0.2, 0.1),
    "middle": Noise(0.04, 0.15, 0.05, 0.08, 0.5, 0.3),
    "high": Noise(0.06, 0.30, 0.10, 0.12, 0.8, 0.5),
}
SITUATIONS = ("occlusion", "missed detections", "crossing", "leave and return", "two alike")


def make_paths(situation: str, rng: np.random.Generator) -> Floats:
    """Return the true boxes (things, FRAMES, 4), NaN where a thing is not seen."""
    at = np.linspace(0, 1, FRAMES)
    sway = 0.03 * np.sin(2 * np.pi * (at * rng.uniform(1, 3) + rng.uniform()))
    size = rng.uniform(0.09, 0.13)
    if situation == "crossing":
        x = [0.15 + 0.6 * at, 0.75 - 0.6 * at]
        y = [0.45 + sway, 0.50 - sway]
    elif situation == "two alike":
        x = [0.3 + 0.3 * at, 0.3 + 1.15 * size + 0.3 * at]
        y = [0.5 + sway, 0.5 + np.roll(sway, 40)]
    else:
        x = [0.1 + 0.25 * at, 0.75 - 0.2 * at]
        y = [0.3 + sway, 0.6 - sway]
    boxes = np.stack(
        [np.stack([a, b, a + size, b + 1.5 * size], 1) for a, b in zip(x, y, strict=True)]
    )
    if situation == "occlusion":
        for first in (150, 400):
            begin = first + int(rng.integers(-40, 40))
            boxes[0, begin : begin + 45] = np.nan
    if situation == "leave and return":
        begin = 200 + int(rng.integers(-40, 40))
        boxes[0, begin : begin + 120] = np.nan
        boxes[0, begin + 120 :, [0, 2]] += 0.3
    return boxes


@dataclass(frozen=True, eq=False)
class World:
    """What both sides are given.

    Attributes:
        paths: (things, FRAMES, 4) true boxes.
        detections: by frame, at every DEMO_STEP.
        drifts: (things, FRAMES, 4) what a propagated box slips by from the frame before.
        losses: (thing, frame) at which every propagator loses it.
        jumps: (thing, frame) to the thing that a propagator jumps to.
    """

    paths: Floats
    detections: Mapping[int, Floats]
    drifts: Floats
    losses: frozenset[tuple[int, int]]
    jumps: Mapping[tuple[int, int], int]


def make_world(situation: str, noise: Noise, seed: int) -> World:
    """Return a world of a situation, with the mistakes that are made in it."""
    rng = np.random.default_rng([seed, SITUATIONS.index(situation)])
    paths = make_paths(situation, rng)
    missed = noise.missed * (2 if situation == "missed detections" else 1)
    sides = np.nanmedian(paths[:, :, [2, 3, 2, 3]] - paths[:, :, [0, 1, 0, 1]], axis=1)
    detections = {}
    for frame in range(0, FRAMES, DEMO_STEP):
        there = [
            paths[row, frame] + rng.normal(0, noise.jitter, 4) * sides[row]
            for row in range(len(paths))
            if rng.uniform() >= missed and not np.isnan(paths[row, frame, 0])
        ]
        corners = rng.uniform(0, 0.85, (rng.poisson(noise.invented), 2))
        there += [np.concatenate([corner, corner + 0.1]) for corner in corners]
        detections[frame] = rng.permutation(np.array(there).reshape(-1, 4))
    moves = rng.normal(0, noise.drift / np.sqrt(FPS), (len(paths), FRAMES, 2))
    drifts = np.concatenate([moves, moves], axis=2) * sides[:, None]
    losses = frozenset(
        (row, frame)
        for row in range(len(paths))
        for frame in range(1, FRAMES)
        if np.isnan(paths[row, frame, 0]) and not np.isnan(paths[row, frame - 1, 0])
        and rng.uniform() < noise.lost
    )  # fmt: skip
    meetings = [
        frame for frame in range(1, FRAMES) if _meet(paths, frame) and not _meet(paths, frame - 1)
    ]
    jumps = {
        (row, frame + 5): 1 - row
        for frame in meetings
        for row in (0, 1)
        if rng.uniform() < noise.jumped
    }
    return World(paths, detections, drifts, losses, jumps)


def _meet(paths: Floats, frame: int) -> bool:
    wide = paths[:, frame] + np.array([-0.01, -0.01, 0.01, 0.01])
    return bool(box_iou(wide[0], wide[1]) > 0)


class ImperfectPropagator:
    """Follows the thing that its prompt lies on best, with the world's mistakes.

    Args:
        world: where it moves.
        step: frames of the world a frame of the caller.
    """

    def __init__(self, world: World, step: int) -> None:
        self._world, self._step = world, step
        # By track and direction: the thing (None: lost, -1: background), the drift, the last frame.
        self._on: dict[tuple[int, bool], tuple[int | None, Floats, int]] = {}

    def prompt(self, frame: int, tracks: Sequence[int], boxes: Floats) -> tuple[Floats, Floats]:
        """Begin tracks; a mask snaps to the thing under its box, or to the background."""
        at = frame * self._step
        for track, box in zip(tracks, boxes, strict=True):
            overlap = box_iou(self._world.paths[:, at], box)
            thing = int(overlap.argmax()) if overlap.max() >= 0.3 else -1
            drift = np.zeros(4) if thing >= 0 else np.array(box)
            for backward in (False, True):
                self._on[track, backward] = (thing, drift, at)
        return self._where(tracks, False)

    def step(self, frame: int, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        """Move tracks on."""
        for track in tracks:
            thing, drift, last = self._on[track, backward]
            now = frame * self._step
            between = range(last + 1, now + 1) if now > last else range(last - 1, now - 1, -1)
            for at in between:
                if thing is not None and thing >= 0:
                    drift = drift + self._world.drifts[thing, at]
                    if (thing, at) in self._world.losses:
                        thing = None
                    elif (thing, at) in self._world.jumps:
                        thing, drift = self._world.jumps[thing, at], np.zeros(4)
            self._on[track, backward] = (thing, drift, now)
        return self._where(tracks, backward)

    def drop(self, tracks: Sequence[int]) -> None:
        """Forget tracks."""
        for track in tracks:
            for backward in (False, True):
                self._on.pop((track, backward), None)

    def _where(self, tracks: Sequence[int], backward: bool) -> tuple[Floats, Floats]:
        boxes = np.full((len(tracks), 4), np.nan)
        for row, track in enumerate(tracks):
            thing, drift, at = self._on[track, backward]
            if thing is not None:
                boxes[row] = drift if thing < 0 else self._world.paths[thing, at] + drift
        return boxes, np.where(np.isnan(boxes[:, 0]), np.nan, 0.9)


def follow_ours(world: World) -> list[Floats]:
    """Return the tracks of our schedule on GRID: 5 fps, a key frame every 2.7 s, pieces of 64."""
    length = len(GRID)
    follower = WindowFollower(length, ImperfectPropagator(world, OUR_STEP), 0.4, 0.3)
    for (piece,) in pack([length], 64, OUR_KEY // OUR_STEP):
        found = {
            frame // OUR_STEP: Detections(boxes, np.full((len(boxes), 1), 0.9))
            for frame, boxes in world.detections.items()
            if frame % OUR_KEY == 0 and piece.first <= frame // OUR_STEP < piece.stop
        }
        follower.advance(piece.first, piece.stop, piece.reach, found)
    return [track.boxes for track in follower.tracks]


def follow_demo(world: World) -> list[Floats]:
    """Return the tracks of the demo's rule on GRID: 30 fps, a key frame every 20 frames."""
    propagator = ImperfectPropagator(world, 1)
    tracks: list[Floats] = []
    live: dict[int, Floats] = {}
    for first in range(0, FRAMES, DEMO_STEP):
        if live:
            boxes, _ = propagator.step(first, list(live), False)
            live = dict(zip(live, boxes, strict=True))
        found = world.detections[first]
        # The image predictor turns each box into a mask before they are compared.
        masks, _ = propagator.prompt(first, range(-len(found), 0), found)
        ids: dict[int, Floats] = {}
        for mask in masks:
            same = [number for number, box in live.items() if box_iou(box, mask) > DEMO_IOU]
            number = same[0] if same else len(tracks)
            if not same:
                tracks.append(np.full((FRAMES, 4), np.nan))
            ids[number] = mask
        propagator.drop([*live, *range(-len(found), 0)])
        live = ids
        if not live:
            continue
        propagator.prompt(first, list(live), np.stack(list(live.values())))
        for frame in range(first, min(first + DEMO_STEP, FRAMES)):
            boxes, _ = propagator.step(frame, list(live), False)
            live = dict(zip(live, boxes, strict=True))
            for number, box in live.items():
                tracks[number][frame] = box
    return [track[::OUR_STEP] for track in tracks]


@dataclass(frozen=True)
class Score:
    """Sums over worlds: identity switches, IDF1 parts and tube IoU of the true things."""

    switches: int
    idf1: float
    tube_iou: float
    tracks: int


def score(worlds: Sequence[World], found: Sequence[Sequence[Floats]]) -> Score:
    """Return switches and tracks in sum, IDF1 and tube IoU in the mean."""
    switches, tracks, f1s, ious = 0, 0, [], []
    metrics = motmetrics.metrics.create()
    for world, ours in zip(worlds, found, strict=True):
        true = world.paths[:, ::OUR_STEP]
        tally = motmetrics.MOTAccumulator(auto_id=True)
        for at in range(true.shape[1]):
            here = [row for row in range(len(true)) if not np.isnan(true[row, at, 0])]
            there = [row for row, track in enumerate(ours) if not np.isnan(track[at, 0])]
            boxes = np.array([ours[row][at] for row in there]).reshape(-1, 4)
            distance = 1 - pairwise_iou(true[here, at], boxes)
            tally.update(here, there, np.where(distance > 0.5, np.nan, distance))
        summary = metrics.compute(tally, metrics=["num_switches", "idf1"], name="all")
        switches += int(summary["num_switches"].iloc[0])
        f1s.append(float(summary["idf1"].iloc[0]))
        tracks += len(ours)
        seen = [np.where(np.isnan(track[:, 0]), ABSENT, VISIBLE) for track in (*true, *ours)]
        overlap = np.array(
            [
                [tube_iou(a, seen[at], b, seen[len(true) + of]) for of, b in enumerate(ours)]
                for at, a in enumerate(true)
            ]
        ).reshape(len(true), -1)
        rows, columns = linear_sum_assignment(-overlap)
        ious.append(float(overlap[rows, columns].sum()) / len(true))
    return Score(switches, float(np.mean(f1s)), float(np.mean(ious)), tracks)


def compare(situation: str, noise: Noise, seeds: Sequence[int]) -> tuple[Score, Score]:
    """Return the scores of ours and of the demo's rule on the same worlds."""
    worlds = [make_world(situation, noise, seed) for seed in seeds]
    ours, demo = [follow_ours(w) for w in worlds], [follow_demo(w) for w in worlds]
    return score(worlds, ours), score(worlds, demo)


def summed(scores: Sequence[Score]) -> Score:
    """Return sums of switches and tracks, and means of the others."""
    return Score(
        sum(score.switches for score in scores),
        float(np.mean([score.idf1 for score in scores])),
        float(np.mean([score.tube_iou for score in scores])),
        sum(score.tracks for score in scores),
    )


def _line(name: str, ours: Score, demo: Score) -> str:
    return (
        f"| {name} | {ours.switches} / {demo.switches} | {ours.idf1:.3f} / {demo.idf1:.3f} "
        f"| {ours.tube_iou:.3f} / {demo.tube_iou:.3f} | {ours.tracks} / {demo.tracks} |"
    )


def main() -> int:
    """Print the table and write it; 1 if ours has more than a fifth of the baseline's switches."""
    head = "| situation | id switches | IDF1 | tube IoU | tracks |"
    lines = [
        f"{len(SEEDS)} worlds of 20 s a row; ours / the demo's rule. Switches and tracks are sums, "
        "the others means.",
        "",
        head.replace("situation", "noise"),
        "|---|---|---|---|---|",
    ]
    details, worst = [], 0.0
    for level, noise in LEVELS.items():
        pairs = [compare(situation, noise, SEEDS) for situation in SITUATIONS]
        ours, demo = (summed([pair[side] for pair in pairs]) for side in (0, 1))
        lines.append(_line(level, ours, demo))
        worst = max(worst, ours.switches / max(demo.switches, 1))
        details += ["", f"Noise {level}:", "", head, "|---|---|---|---|---|"]
        details += [_line(name, *pair) for name, pair in zip(SITUATIONS, pairs, strict=True)]
    lines += ["", f"Most switches of ours to one of the demo's rule: {worst:.3f}", *details]
    text = "\n".join(lines)
    print(text)
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "id_quality.md").write_text(text + "\n")
    return int(worst > MAX_SWITCH_SHARE)


if __name__ == "__main__":
    sys.exit(main())
