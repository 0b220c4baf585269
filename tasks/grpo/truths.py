"""A question's truth in the boxes and on the grid that a model is asked for.

Takes the published truth, gives another one with its answer; never invents a box, and rounds to
the target's units alone. Published `norm` boxes have three decimals, so pixels of a frame up to
1,000 wide are exact to one.
"""

from __future__ import annotations

from itertools import pairwise

from earshot.errors import ItemError
from earshot.geometry.rounding import half_up
from earshot.geometry.spaces import NORM, BoxSpace, convert
from earshot.rewards import grammar
from earshot.schemas.question import GridRecord
from earshot.schemas.truth import Truth, TruthObject, TruthTube


class UntellableError(ItemError):
    """A truth that can't be told in this space or on this grid; `code` says why."""


def read_truth(truth_json: str) -> Truth:
    """Return the published truth; raises pydantic.ValidationError where it is none."""
    return Truth.model_validate_json(truth_json)


def in_space(truth: Truth, space: BoxSpace, native_px: tuple[int, int]) -> Truth:
    """Return the truth with its boxes in another space, rounded as they are rendered.

    Args:
        truth: any space but `resized_px`.
        space: the target; its frame size goes into the truth where it is in pixels.
        native_px: width and height of the displayed frame, for truths in `native_px`.

    Raises:
        UntellableError: `empty_box`, where rounding leaves nothing of a box.
    """
    source = NORM if truth.box_space == "norm" else BoxSpace(truth.box_space, *native_px)
    decimals = grammar.box_decimals(space.kind)
    things = []
    for thing in truth.objects:
        tubes = tuple(_tube(tube, source, space, decimals, thing.name) for tube in thing.tubes)
        things.append(thing.model_copy(update={"tubes": tubes}))
    is_px = space.kind in ("native_px", "resized_px")
    return truth.model_copy(
        update={
            "objects": tuple(things),
            "box_space": space.kind,
            "width": space.width if is_px else None,
            "height": space.height if is_px else None,
        }
    )


def _tube(
    tube: TruthTube, source: BoxSpace, target: BoxSpace, decimals: int, name: str
) -> TruthTube:
    rows: list[tuple[float, float, float, float, float] | tuple[float, None]] = []
    for row in tube.boxes:
        if len(row) == 2:
            rows.append(row)
            continue
        edges = convert(row[1:], source, target)
        x1, y1, x2, y2 = (half_up(float(edge), decimals) for edge in edges)
        if x1 >= x2 or y1 >= y2:
            raise UntellableError(
                "empty_box",
                f"box {row[1:]} of {name!r} at {row[0]} s is {[x1, y1, x2, y2]} in {target.kind}; "
                "expected an area",
            )
        rows.append((row[0], x1, y1, x2, y2))
    return TruthTube(boxes=tuple(rows))


def coarser(truth: Truth, times: int) -> Truth:
    """Return the truth on a grid with `times` the step: every so manieth time of each stretch.

    Raises:
        UntellableError: `empty_answer`, where a tube is visible at none of the times that are left.
    """
    if times == 1:
        return truth
    grid = truth.grid
    kept = frozenset(t for run in _runs(truth) for t in run[::times])
    things: list[TruthObject] = []
    for thing in truth.objects:
        tubes = tuple(
            TruthTube(boxes=tuple(row for row in tube.boxes if row[0] in kept))
            for tube in thing.tubes
        )
        if any(all(row[1] is None for row in tube.boxes) for tube in tubes):
            raise UntellableError(
                "empty_answer",
                f"{thing.name!r} is not seen at any time of a grid of {grid.step_s * times:g} s",
            )
        things.append(thing.model_copy(update={"tubes": tubes}))
    left = tuple(t for t in grid.times_s if t in kept)
    wider = GridRecord(anchor_s=grid.anchor_s, step_s=grid.step_s * times, times_s=left)
    return truth.model_copy(update={"objects": tuple(things), "grid": wider})


def _runs(truth: Truth) -> list[list[float]]:
    """Return the grid's times, a list a stretch: each stretch has an anchor of its own."""
    grid = truth.grid
    if truth.intervals:
        return [[t for t in grid.times_s if start <= t < end] for start, end in truth.intervals]
    runs = [[grid.times_s[0]]] if grid.times_s else []
    for before, after in pairwise(grid.times_s):
        if after - before > 1.5 * grid.step_s:
            runs.append([])
        runs[-1].append(after)
    return runs


def render(truth: Truth) -> str:
    """Return the answer that scores 1 against a truth.

    Raises:
        UntellableError: `over_cap`, where it exceeds a cap of the grammar.
    """
    blocks = [
        grammar.Block(
            thing.name,
            tuple(
                grammar.make_line(row[0], None if len(row) == 2 else row[1:], truth.box_space)
                for row in tube.boxes
            ),
        )
        for thing in truth.objects
        for tube in (thing.tubes if truth.task != "temporal" else (TruthTube(boxes=()),))
    ]
    spans = tuple(grammar.make_interval(start, end) for start, end in truth.intervals)
    answer = grammar.Answer(tuple(blocks), spans) if blocks else grammar.NONE_ANSWER
    text = grammar.render(answer, truth.task, truth.box_space)
    parsed = grammar.parse(text, truth.task)
    if parsed.status != "ok" or parsed.has_too_many_lines or parsed.has_too_many_blocks:
        raise UntellableError("over_cap", f"an answer of {len(text)} characters exceeds a cap")
    return text
