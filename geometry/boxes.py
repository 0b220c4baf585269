"""Takes half-open xyxy boxes in any one space and gives areas and IoU.

A box without area, a reversed box and a NaN row (not visible) have area 0 and IoU 0 with
everything; nothing is clipped and nothing is ever raised for them.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntegerBox: TypeAlias = tuple[int, int, int, int]


def as_boxes(boxes: npt.ArrayLike) -> FloatArray:
    """Return `boxes` as float64 of shape (..., 4).

    Raises:
        ValueError: the last axis has not four entries.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 4:
        raise ValueError(
            f"boxes have shape {array.shape}; expected (..., 4) as x1, y1, x2, y2. "
            "Reshape them; no boxes at all are np.empty((0, 4))."
        )
    return array


def area(boxes: npt.ArrayLike) -> FloatArray:
    """Return the area of each box of shape (..., 4), in the square unit of its space."""
    return _area(as_boxes(boxes))


def box_iou(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Return the IoU in [0, 1] of boxes (..., 4) with boxes (..., 4), elementwise.

    Leading axes broadcast. A pair of identical boxes with area has exactly 1.

    Raises:
        ValueError: a last axis has not four entries, or the shapes do not broadcast.
    """
    left, right = as_boxes(a), as_boxes(b)
    with np.errstate(invalid="ignore", over="ignore"):
        low = np.maximum(left[..., :2], right[..., :2])
        high = np.minimum(left[..., 2:], right[..., 2:])
        # fmax, not maximum: a NaN row must count as no overlap.
        side = np.fmax(high - low, 0.0)
        shared = side[..., 0] * side[..., 1]
        whole = _area(left) + _area(right) - shared
    iou: FloatArray = np.zeros_like(shared)
    np.divide(shared, whole, out=iou, where=(shared > 0) & (whole < np.inf))
    return iou


def pairwise_iou(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Return the IoU of every box of `a` (n, 4) with every box of `b` (m, 4), shape (n, m).

    Raises:
        ValueError: an input is not two-dimensional with four columns.
    """
    left, right = as_boxes(a), as_boxes(b)
    if left.ndim != 2 or right.ndim != 2:
        raise ValueError(
            f"boxes have shapes {left.shape} and {right.shape}; expected (n, 4) and (m, 4). "
            "Use box_iou for other shapes."
        )
    return box_iou(left[:, None, :], right[None, :, :])


def integer_iou(a: IntegerBox, b: IntegerBox) -> float:
    """Return the IoU of two boxes of Python integers: exact sums and products, one division.

    For boxes in units of a rendered decimal, where floats put an IoU of exactly 0.3 below 0.3
    (CONTRACTS 6). Plain integers, since an area in units of 1e-6 overflows 64 bits.
    """
    ax1, ay1, ax2, ay2 = a
    bx1, by1, bx2, by2 = b
    # Calls of min and max would take most of the time of a score.
    width = (ax2 if ax2 < bx2 else bx2) - (ax1 if ax1 > bx1 else bx1)  # noqa: FURB136
    height = (ay2 if ay2 < by2 else by2) - (ay1 if ay1 > by1 else by1)  # noqa: FURB136
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)


def _area(boxes: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", over="ignore"):
        side = np.fmax(boxes[..., 2:] - boxes[..., :2], 0.0)
        return np.asarray(side[..., 0] * side[..., 1])
