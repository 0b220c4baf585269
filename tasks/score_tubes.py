"""Scores tubes against true ones: mean tube IoU, tube recall, identity switches and IDF1.

Takes tubes with the names of their objects, gives one row a video and one for all. Names are
matched by what each side accepts; overlap decides the rest. Nothing is written.

`num_switches` and `idf1` are motmetrics' (MIT; CLEAR MOT, doi 10.1155/2008/246309, and identity
measures, arXiv 1609.01775). It is fed distances of ours: its own `iou_matrix` fails on NumPy 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import motmetrics
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from earshot.geometry.boxes import pairwise_iou
from earshot.geometry.tubes import UNKNOWN, VISIBLE, at, tube_iou
from earshot.schemas.arrow import from_table
from earshot.schemas.object import Object
from earshot.schemas.tube import RevisedTube, Tube
from earshot.schemas.video import Video
from earshot.store.tube_files import TubeSet, tube_set
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import open_session

Floats = npt.NDArray[np.float64]

RECALL_AT = 0.5
"""A true tube is recalled from this tube IoU on (vIoU@0.5 of HC-STVG)."""
MATCH_IOU = 0.5
"""Boxes that overlap less are no match for switches and IDF1, as in the MOT challenges."""
TOTAL = "total"


@dataclass(frozen=True)
class TubeScore:
    """How well some tubes fit the true ones.

    Attributes:
        video_id: which video, or `total`.
        truths, tubes: how many there are; tubes that lie in no true tube's time are not counted.
        matched: pairs of one name with an overlap above 0.
        mean_tube_iou: mean over true tubes of the tube IoU with its pair; 0 without one.
        tube_recall: share of true tubes with a tube IoU of at least RECALL_AT.
        id_switches: motmetrics' `num_switches` at MATCH_IOU.
        idf1: motmetrics' `idf1` at MATCH_IOU; None where neither side has a box.
    """

    video_id: str
    truths: int
    tubes: int
    matched: int
    mean_tube_iou: float | None
    tube_recall: float | None
    id_switches: int
    idf1: float | None


@dataclass(frozen=True, eq=False)
class _Placed:
    """A tube on the grid of its video."""

    tube: Tube
    names: frozenset[str]
    boxes: Floats
    states: npt.NDArray[np.int8]


def score_tubes(truth: TubeSet, found: TubeSet) -> list[TubeScore]:
    """Return a score for each video that has a true tube, sorted by id, and the total at the end.

    The grid of a video are the sample times of its true tubes inside a window of some found tube
    of the video (a truth of the whole video is not asked for where nobody looked); where no tube
    was found, all of them. There a found tube that is unknown counts as not visible. Pairs are
    assigned one to one so that the sum of tube IoU is largest, among pairs whose names agree; names
    that neither side knows agree by object id alone.
    """
    videos = sorted({tube.video_id for tube in truth.tubes})
    rows, accumulators = [], []
    ious: list[float] = []
    for video_id in videos:
        times_s = _grid(truth, found, video_id)
        true, ours = (_placed(tubes, video_id, times_s) for tubes in (truth, found))
        best = _matched(true, ours)
        accumulator = _accumulated(true, ours)
        rows.append(_row(video_id, [len(true), len(ours)], best, [accumulator]))
        accumulators.append(accumulator)
        ious += best
    counts = [sum(row.truths for row in rows), sum(row.tubes for row in rows)]
    return [*rows, _row(TOTAL, counts, ious, accumulators)]


def workspace_tubes(workspace: Path) -> TubeSet:
    """Return the current tubes of a workspace's latest build, revised ones in their place."""
    snapshot = open_session(Workspace.open(workspace)).snapshot
    return tube_set(
        from_table(Tube, snapshot.table(Tube)),
        from_table(RevisedTube, snapshot.table(RevisedTube)),
        from_table(Object, snapshot.table(Object)),
        from_table(Video, snapshot.table(Video)),
    )


def to_json(score: TubeScore) -> dict[str, object]:
    """Return a score as plain values."""
    return asdict(score)


def _grid(truth: TubeSet, found: TubeSet, video_id: str) -> Floats:
    times = [tube.times_s for tube in truth.tubes if tube.video_id == video_id]
    grid = np.unique(np.round(np.concatenate([np.array(each) for each in times]), 6))
    windows = [tube.window.pair for tube in found.tubes if tube.video_id == video_id]
    if not windows:
        return grid
    inside = np.any([(grid >= start) & (grid < end) for start, end in windows], axis=0)
    return np.asarray(grid[inside] if inside.any() else grid, dtype=np.float64)


def _placed(tubes: TubeSet, video_id: str, times_s: Floats) -> list[_Placed]:
    """Return the tubes of a video on a grid, without those that nobody looked for there."""
    placed = []
    for tube in tubes.tubes:
        if tube.video_id == video_id:
            own_s, _, seen = tube.arrays()
            boxes, states = at(own_s, tubes.boxes_norm(tube), seen, times_s)
            if np.any(states != UNKNOWN):
                names = tubes.names.get(tube.object_id, frozenset())
                placed.append(_Placed(tube, names, boxes, states))
    return placed


def _agree(true: _Placed, ours: _Placed) -> bool:
    same = true.tube.object_id == ours.tube.object_id
    return same or bool(true.names & ours.names)


def _matched(true: Sequence[_Placed], ours: Sequence[_Placed]) -> list[float]:
    """Return for each true tube the tube IoU with the tube that is assigned to it; 0 for none."""
    best = [0.0] * len(true)
    if not true or not ours:
        return best
    overlap = np.array(
        [
            [tube_iou(a.boxes, a.states, b.boxes, b.states) if _agree(a, b) else 0.0 for b in ours]
            for a in true
        ]
    )
    for row, column in np.stack(linear_sum_assignment(-overlap), axis=1).tolist():
        best[row] = float(overlap[row, column])
    return best


def _accumulated(true: Sequence[_Placed], ours: Sequence[_Placed]) -> motmetrics.MOTAccumulator:
    """Return motmetrics' tally of a video: identities are places in the lists, from 1."""
    tally = motmetrics.MOTAccumulator(auto_id=False)
    size = len(true[0].states) if true else 0
    for frame in range(size):
        there = [i for i, each in enumerate(true) if each.states[frame] == VISIBLE]
        seen = [i for i, each in enumerate(ours) if each.states[frame] == VISIBLE]
        distances = _distances(
            [true[i].boxes[frame] for i in there], [ours[i].boxes[frame] for i in seen]
        )
        tally.update([i + 1 for i in there], [i + 1 for i in seen], distances, frameid=frame)
    return tally


def _distances(true: Sequence[Floats], ours: Sequence[Floats]) -> Floats:
    """Return 1 - IoU (n, m); NaN, no match, where the IoU is below MATCH_IOU."""
    if not true or not ours:
        return np.empty((len(true), len(ours)))
    iou = pairwise_iou(np.stack(true), np.stack(ours))
    return np.where(iou >= MATCH_IOU, 1 - iou, np.nan)


def _row(
    name: str,
    counts: Sequence[int],
    best: Sequence[float],
    tallies: Sequence[motmetrics.MOTAccumulator],
) -> TubeScore:
    switches, idf1 = _identity(tallies)
    return TubeScore(
        video_id=name,
        truths=counts[0],
        tubes=counts[1],
        matched=sum(value > 0 for value in best),
        mean_tube_iou=float(np.mean(best)) if best else None,
        tube_recall=float(np.mean([value >= RECALL_AT for value in best])) if best else None,
        id_switches=switches,
        idf1=idf1,
    )


def _identity(tallies: Sequence[motmetrics.MOTAccumulator]) -> tuple[int, float | None]:
    """Return identity switches and IDF1 over some videos."""
    boxed = [tally for tally in tallies if len(tally.events)]
    if not boxed:
        return 0, None
    metrics = motmetrics.metrics.create()
    table = metrics.compute_many(
        boxed,
        metrics=["num_switches", "idtp", "idfp", "idfn"],
        names=list(range(len(boxed))),
        generate_overall=False,
    )
    sums = table.sum()
    boxes = 2 * sums["idtp"] + sums["idfp"] + sums["idfn"]
    return int(sums["num_switches"]), float(2 * sums["idtp"] / boxes) if boxes else None
