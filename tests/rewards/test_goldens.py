"""Mode strict and the metrics against the numbers of published evaluators.

`goldens/*.json` hold made-up inputs and what the functions of the named repository, path and commit
gave for them; none of their code is here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from earshot.rewards import score
from earshot.rewards.metrics import (
    Measured,
    arithmetic_mean,
    log_geometric_mean,
    mean_values,
    measure,
)
from tests.rewards.truths import SECOND, Pairs, truth_of, write

Rows = Iterable[Sequence[float]]


def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of a file of goldens; a summary comes first where there is one."""
    data = json.loads((Path(__file__).parent / "goldens" / f"{name}.json").read_text("utf-8"))
    assert len(data["commit"]) == 40
    return list(data["cases"])


def micros(pairs: Iterable[Sequence[float]]) -> Pairs:
    """Intervals in 1e-6 s."""
    return [(round(start * SECOND), round(end * SECOND)) for start, end in pairs]


def scaled(rows: Rows) -> list[tuple[int, Any]]:
    """Rows of (time, x1, y1, x2, y2) in 1e-6."""
    return [(t, tuple(box)) for t, *box in ([round(n * SECOND) for n in row] for row in rows)]


def measured(
    truth_boxes: Rows, boxes: Rows | None, spans: Sequence[Rows] = (((0, 1),), ((0, 1),))
) -> Measured:
    """The metrics of one tube over one-second steps; None = no answer."""
    tube = scaled(truth_boxes)
    truth_spans, said_spans = (micros(each) for each in spans)
    truth = truth_of("spatio_temporal", [("dog", tube)], truth_spans, [t for t, _ in tube])
    text = "" if boxes is None else write("spatio_temporal", [("dog", scaled(boxes))], said_spans)
    return measure("spatio_temporal", text, truth)


@pytest.mark.parametrize("case", cases_of("videochat_r1"))
def test_videochat_r1_interval_iou(case: dict[str, Any]) -> None:
    """temporal is VideoChat-R1's IoU, of one interval (hull) and of interval sets."""
    text = write("temporal", [("dog", [])], micros(case["predicted"]))
    got = score("temporal", text, truth_of("temporal", intervals=micros(case["truth"])))
    assert got.temporal == pytest.approx(case["iou"], abs=1e-9)


def test_v_star() -> None:
    """m_tIoU, m_vIoU, frame_ap, R1, AM and LGM are V-STaR's, one box a second."""
    head, *cases = cases_of("v_star")
    found: list[Measured] = []
    for case in cases:
        boxes = [[[t, *box] for t, box in case[f"{who}_boxes"]] for who in ("truth", "predicted")]
        spans = [[case["truth_interval"]], [case["predicted_interval"]]]
        got = measured(boxes[0], boxes[1], spans)
        found.append(got)
        assert got.values["m_tIoU"] == pytest.approx(case["tiou"], abs=1e-9)
        assert got.values["m_vIoU"] == pytest.approx(case["viou"], abs=1e-9)
        for theta, share in case["ap"].items():
            assert got.values[f"frame_ap@{theta}"] == pytest.approx(share, abs=1e-9)
    means, summary = mean_values(each.values for each in found), head["summary"]
    for theta, share in summary["R1"].items():
        assert means[f"R1@{theta}"] == pytest.approx(share, abs=5e-5)
    parts = [fmean(case["is_correct"] for case in cases), means["m_tIoU"], means["m_vIoU"]]
    numbers = [part for part in parts if part is not None]
    assert numbers == pytest.approx(
        [summary["accuracy"], summary["m_tIoU"], summary["m_vIoU"]], abs=5e-5
    )
    assert arithmetic_mean(numbers) == pytest.approx(summary["AM"], abs=5e-5)
    assert log_geometric_mean(numbers) == pytest.approx(summary["LGM"], abs=5e-5)


def test_hc_stvg() -> None:
    """m_vIoU, m_tIoU and tube_recall are HC-STVG's, whose frames are closed on both ends."""
    head, *cases = cases_of("hc_stvg")
    found: list[Measured] = []
    for case in cases:
        frames = [case["truth"], case["predicted"] or []]
        spans = [[(rows[0][0], rows[-1][0] + 1)] if rows else [] for rows in frames]
        got = measured(case["truth"], case["predicted"], spans)
        found.append(got)
        assert got.values["m_vIoU"] == pytest.approx(case["viou"], abs=1e-9)
        assert got.values["m_tIoU"] == pytest.approx(case["tiou"], abs=1e-9)
    means, summary = mean_values(each.values for each in found), head["summary"]
    assert means["m_vIoU"] == pytest.approx(summary["m_vIoU"], abs=1e-9)
    assert means["m_tIoU"] == pytest.approx(summary["m_tIoU"], abs=1e-9)
    for theta in ("0.3", "0.5"):
        assert means[f"tube_recall@{theta}"] == pytest.approx(summary[f"vIoU@{theta}"], abs=1e-9)


@pytest.mark.parametrize("case", cases_of("tubedetr"))
def test_tubedetr(case: dict[str, Any]) -> None:
    """tIoU, vIoU, vIoU@ and gt_vIoU are TubeDETR's on VidSTG: half-open spans, sampled frames."""
    place = {frame: position for position, frame in enumerate(case["sampled_frames"])}
    truth = [[place[frame], *box] for frame, *box in case["truth_boxes"]]
    boxes = {frame: box for frame, *box in case["predicted_boxes"]}
    first, last = case["predicted_span"]
    # A sampled frame outside the true span has no box in their predictions: any box misses there.
    said = [
        [position, *boxes.get(frame, (0, 0, 1, 1))]
        for frame, position in place.items()
        if first <= frame < last
    ]
    spans = [[case["truth_span"]], [case["predicted_span"]]]
    got = measured(truth, said, spans).values
    assert got["m_tIoU"] == pytest.approx(case["tiou"], abs=1e-9)
    assert got["m_vIoU"] == pytest.approx(case["viou"], abs=1e-9)
    for theta in ("0.3", "0.5"):
        assert got[f"tube_recall@{theta}"] == case[f"viou@{theta}"]
    everywhere = [[place[frame], *box] for frame, box in boxes.items()]
    assert measured(truth, everywhere).values["m_vIoU"] == pytest.approx(case["gt_viou"], abs=1e-9)
