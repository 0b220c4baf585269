"""truth: what a question's answer is scored against, as one canonical JSON string (CONTRACTS 7).

Holds the numbers as rendered, rounded once; the rewards read the string, never this model.
"""

from __future__ import annotations

from typing import Any, Literal

from earshot.schemas.base import Frozen, canonical_json
from earshot.schemas.question import Branch, GridRecord, Task
from earshot.schemas.tube import BoxSpaceName


class TruthTube(Frozen):
    """Rows of (time, x1, y1, x2, y2), or (time, None) where the tube is absent."""

    boxes: tuple[tuple[float, float, float, float, float] | tuple[float, None], ...]


class TruthObject(Frozen):
    """One named object and its instances."""

    name: str
    accept: tuple[str, ...]
    tubes: tuple[TruthTube, ...]


class Truth(Frozen):
    """The truth of one question."""

    v: Literal[1] = 1
    task: Task
    branch: Branch | None = None
    duration_s: float
    intervals: tuple[tuple[float, float], ...]
    objects: tuple[TruthObject, ...]
    grid: GridRecord
    box_space: BoxSpaceName
    width: int | None = None
    height: int | None = None

    def canonical(self) -> str:
        """Return the RFC 8785 JSON; fields that do not apply are left out."""
        value: dict[str, Any] = self.model_dump(mode="json")
        for name in ("branch", "width", "height"):
            if value[name] is None:
                del value[name]
        return canonical_json(value).decode()
