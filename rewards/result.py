"""What a score is: four dimensions, their weighted total and a status (CONTRACTS 7).

Takes the dimensions that apply and gives the total; never looks at a completion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

from earshot.rewards.grammar import Task

Mode = Literal["strict", "avst_zero"]
Dimension = Literal["format", "object", "temporal", "spatial"]
Status = Literal["ok", "no_answer", "too_long", "bad_truth", "original_raised", "original_nan"]
"""The last two are of mode `avst_zero`: the released code raised, or gave NaN, there."""

WEIGHTS: Mapping[Task, Mapping[str, float]] = MappingProxyType(
    {
        "temporal": MappingProxyType({"temporal": 1.0}),
        "spatial": MappingProxyType({"object": 0.5, "spatial": 0.5}),
        "spatio_temporal": MappingProxyType({"temporal": 0.5, "spatial": 0.5}),
    }
)
"""The released weights of the task dimensions; format has weight 1 (`research/seeds.md` 1.4)."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good a completion is: dimensions in [0, 1] or None = does not apply; total in [0, 2]."""

    format: float | None
    object: float | None
    temporal: float | None
    spatial: float | None
    total: float
    status: Status

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the fields by name, as a trainer's log wants them."""
        return asdict(self)

    def task_total(self, task: Task) -> float | None:
        """Return the weighted mean of a task's dimensions that apply; None where none does."""
        values = {"object": self.object, "temporal": self.temporal, "spatial": self.spatial}
        return _task_total(task, values)


def make_score(
    task: Task, format_score: float, dimensions: Mapping[str, float | None], status: Status
) -> Score:
    """Return a score with its total: format + the weighted mean of the dimensions that apply."""
    return Score(
        format=format_score,
        object=dimensions.get("object"),
        temporal=dimensions.get("temporal"),
        spatial=dimensions.get("spatial"),
        total=format_score + (_task_total(task, dimensions) or 0.0),
        status=status,
    )


def _task_total(task: Task, dimensions: Mapping[str, float | None]) -> float | None:
    parts = [
        (weight, value)
        for name, weight in WEIGHTS[task].items()
        if (value := dimensions.get(name)) is not None
    ]
    if not parts:
        return None
    weighted = math.fsum(weight * value for weight, value in parts)
    return weighted / math.fsum(weight for weight, _ in parts)


BAD_TRUTH = Score(None, None, None, None, 0.0, "bad_truth")
"""Nothing applies where there is no truth to score against."""
