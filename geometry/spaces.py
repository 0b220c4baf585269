"""Takes boxes in one named space and gives them in another: unit, frame size and layout.

Never rounds and never clips; NaN stays NaN. Rounding belongs to whoever renders the numbers.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from earshot.geometry.boxes import FloatArray, as_boxes

SpaceKind: TypeAlias = Literal["norm", "native_px", "rel1000", "resized_px"]
Layout: TypeAlias = Literal["xyxy", "xywh", "xyxy_inclusive"]


_KINDS, _LAYOUTS = get_args(SpaceKind), get_args(Layout)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(allowed)}.")


@dataclass(frozen=True)
class BoxSpace:
    """What the four numbers of a box mean (CONTRACTS 4).

    kind: `norm` 0..1 of the displayed frame; `rel1000` 0..1000 of it; `native_px` pixels of the
        displayed frame (after rotation); `resized_px` pixels of a model profile's resized frame.
    width, height: that frame in pixels, for the pixel kinds; None = unknown. `norm` and `rel1000`
        do not need them.
    layout: `xyxy` half-open (earshot's own); `xywh` left, top, width, height (COCO, HC-STVG);
        `xyxy_inclusive` first and last pixel of the box, maxima W-1 and H-1 (R-AVST).
    """

    kind: SpaceKind
    width: int | None = None
    height: int | None = None
    layout: Layout = "xyxy"

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, _KINDS)
        _one_of("layout", self.layout, _LAYOUTS)
        for name, size in (("width", self.width), ("height", self.height)):
            if size is not None and not size > 0:
                raise ValueError(
                    f"{name} is {size}; expected a positive number of pixels, or None if unknown."
                )
        if self.layout == "xyxy_inclusive" and self.kind in ("norm", "rel1000"):
            raise ValueError(
                f"layout xyxy_inclusive in {self.kind}; expected native_px or resized_px, since "
                "only whole pixels have a last one. Use xyxy or xywh."
            )


NORM = BoxSpace("norm")
REL1000 = BoxSpace("rel1000")


def convert(boxes: npt.ArrayLike, source: BoxSpace, target: BoxSpace) -> FloatArray:
    """Return boxes of shape (..., 4), float64, moved from `source` to `target`; a new array.

    Equal units are not rescaled (and need no frame size), so such a conversion is exact on
    integers. An in-band marker such as `[0, 0, 0, 0]` is a box like any other here: turn it into
    NaN first.

    Raises:
        ValueError: the last axis has not four entries, or a pixel space without frame size would
            have to be rescaled.
    """
    array = _to_xyxy(as_boxes(boxes), source.layout)
    if not _same_unit(source, target):
        # Multiply first, divide once: frame corners land exactly.
        array = array * _extent(target) / _extent(source)
    return _from_xyxy(array, target.layout)


def _same_unit(source: BoxSpace, target: BoxSpace) -> bool:
    if source.kind != target.kind:
        return False
    if source.kind in ("norm", "rel1000"):
        return True
    return (source.width, source.height) == (target.width, target.height)


def _extent(space: BoxSpace) -> FloatArray:
    """Return the right and lower end of the frame in the units of `space`, for x1, y1, x2, y2."""
    if space.kind == "norm":
        return np.ones(4)
    if space.kind == "rel1000":
        return np.full(4, 1000.0)
    if space.width is None or space.height is None:
        raise ValueError(
            f"frame size of {space.kind} is {space.width} x {space.height}; expected width and "
            "height in pixels. Probe the video, or keep the boxes in native_px."
        )
    return np.array([space.width, space.height, space.width, space.height], dtype=np.float64)


def _to_xyxy(boxes: FloatArray, layout: Layout) -> FloatArray:
    array = boxes.copy()
    if layout == "xywh":
        array[..., 2:] += array[..., :2]
    elif layout == "xyxy_inclusive":
        array[..., 2:] += 1.0
    return array


def _from_xyxy(boxes: FloatArray, layout: Layout) -> FloatArray:
    array = boxes.copy()
    if layout == "xywh":
        array[..., 2:] -= array[..., :2]
    elif layout == "xyxy_inclusive":
        array[..., 2:] -= 1.0
    return array
