"""tube: one instance of an object followed through a window: times, boxes or null, states, scores.

A tube is arrays, not one object per box; an absent box is null, never zeros.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import INTERVAL, STRINGS, Frozen, Interval, Record, list_of, opt, req

State = Literal["visible", "absent", "unknown"]
TubeSource = Literal["detected", "propagated", "imported", "human"]
BoxSpaceName = Literal["norm", "native_px", "rel1000", "resized_px"]
TubeFlag = Literal["ambiguous_identity"]

_CODE = {"unknown": -1, "absent": 0, "visible": 1}


class Box(Frozen):
    """A half-open xyxy box with an area, in the space that its owner names."""

    x1: float
    y1: float
    x2: float
    y2: float

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError(
                f"box [{self.x1}, {self.y1}, {self.x2}, {self.y2}]: expected x1 < x2 and y1 < y2; "
                "an object that is not there has no box (null)"
            )
        return self

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""
        return (self.x1, self.y1, self.x2, self.y2)


BOX = pa.struct([req(name, pa.float64()) for name in ("x1", "y1", "x2", "y2")])


class Tube(Record):
    """One instance of an object in a window (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "tubes"
    KEY: ClassVar[tuple[str, ...]] = ("tube_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("tube_id", pa.string()),
            req("video_id", pa.string()),
            req("object_id", pa.string()),
            req("window", INTERVAL),
            req("times_s", list_of(pa.float64())),
            req("boxes", list_of(BOX, nullable=True)),
            req("state", list_of(pa.string())),
            req("score", list_of(pa.float64(), nullable=True)),
            req("source", pa.string()),
            opt("synchrony", pa.float64()),
            req("box_space", pa.string()),
            opt("parent_digest", pa.string()),
            req("backend", pa.string()),
            req("backend_version", pa.string()),
            opt("weights_digest", pa.string()),
            req("settings_digest", pa.string()),
            req("flags", STRINGS),
        ]
    )

    tube_id: str
    video_id: str
    object_id: str
    window: Interval
    times_s: tuple[float, ...] = Field(min_length=1, description="native sampling, ascending")
    boxes: tuple[Box | None, ...]
    state: tuple[State, ...]
    score: tuple[float | None, ...]
    source: TubeSource
    synchrony: float | None = Field(description="how well the motion follows the sound")
    box_space: Literal["norm", "native_px"]
    parent_digest: str | None = Field(description="digest of the tube that a person corrected")
    backend: str
    backend_version: str
    weights_digest: str | None
    settings_digest: str
    flags: tuple[TubeFlag, ...] = Field(
        (),
        description="what the backend doubts; ambiguous_identity: the tube is one of a set of "
        "things that sound or move alike, and which of them has the name is not known",
    )

    @model_validator(mode="after")
    def _parallel(self) -> Self:
        lengths = {len(self.times_s), len(self.boxes), len(self.state), len(self.score)}
        if len(lengths) != 1:
            raise ValueError(
                f"tube {self.tube_id}: times_s, boxes, state and score have the lengths "
                f"{sorted(lengths)}; expected one length"
            )
        if any(b <= a for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError(f"tube {self.tube_id}: times_s must be strictly ascending")
        for time_s, box, state in zip(self.times_s, self.boxes, self.state, strict=True):
            if (box is not None) != (state == "visible"):
                raise ValueError(
                    f"tube {self.tube_id} at {time_s} s: state {state!r} with box {box}; "
                    "a box stands exactly where the state is visible"
                )
        return self

    def arrays(
        self,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int8]]:
        """Return times (n,), boxes (n, 4) with NaN rows where not visible, states (n,) int8.

        The form that `earshot.geometry.tubes` takes: -1 unknown, 0 absent, 1 visible.
        """
        boxes = np.full((len(self.boxes), 4), np.nan)
        for row, box in enumerate(self.boxes):
            if box is not None:
                boxes[row] = box.xyxy
        states = np.array([_CODE[state] for state in self.state], dtype=np.int8)
        return np.array(self.times_s), boxes, states


class TubeMasks(Record):
    """The masks of a tube's boxes, where they were asked for (`track.masks`).

    `pycocotools.mask.decode({"size": [height, width], "counts": counts[i]})` gives the pixels.
    """

    TABLE: ClassVar[str] = "tube_masks"
    KEY: ClassVar[tuple[str, ...]] = ("tube_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("tube_id", pa.string()),
            req("video_id", pa.string()),
            req("height", pa.int64()),
            req("width", pa.int64()),
            req("counts", list_of(pa.string(), nullable=True)),
        ]
    )

    tube_id: str
    video_id: str
    height: int = Field(ge=1, description="rows of a mask, which spans the whole frame")
    width: int = Field(ge=1, description="columns of a mask; not those of the video")
    counts: tuple[str | None, ...] = Field(
        description="COCO's compressed run lengths at each of the tube's times_s; null: no box"
    )


class RevisedTube(Tube):
    """A tube as a person left it; `parent_digest` names the tube that it replaces, if any."""

    TABLE: ClassVar[str] = "revised_tubes"
    ACCUMULATES: ClassVar[bool] = True


class ShownTube(Tube):
    """A tube that a person's inspection names, as it was then: shown to them or left by them.

    What a verdict rests on when tubes are computed again, whatever became of the tube table.
    """

    TABLE: ClassVar[str] = "shown_tubes"
    # One tube has many contents over time, and each belongs to an inspection of its own.
    KEY: ClassVar[tuple[str, ...]] = ("tube_id", "shown_digest")
    ARROW: ClassVar[pa.Schema] = Tube.ARROW.append(req("shown_digest", pa.string()))
    ACCUMULATES: ClassVar[bool] = True

    shown_digest: str = Field(description="digest of the tube without this field")

    @classmethod
    def of(cls, tube: Tube) -> Self:
        """Return the row that keeps a tube."""
        return cls(**tube.model_dump(), shown_digest=tube.digest)

    def tube(self) -> Tube:
        """Return the tube that is kept."""
        return Tube(**self.model_dump(exclude={"shown_digest"}))


class OpinionTube(ShownTube):
    """A tube that a second opinion or an answer about a known truth names, as it was then."""

    TABLE: ClassVar[str] = "opinion_tubes"


def boxes_from_array(boxes: npt.NDArray[np.float64]) -> tuple[Box | None, ...]:
    """Turn (n, 4) boxes with NaN rows into records, NaN rows to null."""
    return tuple(
        None if np.isnan(row[0]) else Box(x1=row[0], y1=row[1], x2=row[2], y2=row[3])
        for row in boxes.tolist()
    )


def states_from_array(states: npt.NDArray[np.int8]) -> tuple[State, ...]:
    """Turn -1, 0, 1 into unknown, absent, visible."""
    names: dict[int, State] = {-1: "unknown", 0: "absent", 1: "visible"}
    return tuple(names[code] for code in states.tolist())
