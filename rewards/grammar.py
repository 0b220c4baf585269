"""The answer grammar, rendered and parsed in one place (CONTRACTS 6).

Takes the text that a model wrote and gives its blocks, lines and intervals as integers of 1e-6, or
takes those and gives the text. Never raises on any completion, never rounds a number a second time.

A `spatio_temporal` answer in the `earshot` pack::

    <answer>
    <object>dog</object>
    <when>[1.4, 4.3]</when>
    <where>
    1.4: [0.123, 0.004, 0.438, 0.999]
    2.4: [0.123, 0.096, 0.438, 0.999]
    </where>
    </answer>

and its `<where>` in the `r-avst` pack (zero box = absent; `research/seeds.md` 1.2)::

    1.4: [158.0, 3.0, 561.0, 719.0]
    2.4: [0.0, 0.0, 0.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import lt
from typing import Literal, NamedTuple, get_args

from earshot.geometry.rounding import half_up_units
from earshot.names import norm
from earshot.rewards import _scan

Task = Literal["temporal", "spatial", "spatio_temporal"]
ParseStatus = Literal["ok", "no_answer", "too_long"]
BoxMicro = tuple[int, int, int, int]
IntervalMicro = tuple[int, int]

MICRO = 1_000_000
"""Every number is an integer of 1e-6 of what is written: seconds, or the unit of the box space."""

MAX_BYTES = 64 * 1024
MAX_BLOCKS = 64
MAX_INTERVALS = 64
MAX_LINES = 2_000
MAX_NAME_CHARACTERS = 80
TIME_DECIMALS = 1

_TASKS = frozenset(get_args(Task))
_LIMIT_MICRO = 10_000_000 * MICRO
_ZERO_BOX: BoxMicro = (0, 0, 0, 0)


class Line(NamedTuple):
    """A time in 1e-6 s and the xyxy box there in 1e-6 of its unit, or None = absent."""

    time_micro: int
    box_xyxy_micro: BoxMicro | None


@dataclass(frozen=True, slots=True)
class Block:
    """One `<object>`: a name and the lines of one tube, in writing order."""

    name: str
    lines: tuple[Line, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether the name keeps the rule; one that doesn't matches nothing (CONTRACTS 6)."""
        return 1 <= len(self.name) <= MAX_NAME_CHARACTERS and not {"<", ">"} & set(self.name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says: its blocks in writing order and the one set of its intervals."""

    blocks: tuple[Block, ...] = ()
    intervals_micro: tuple[IntervalMicro, ...] = ()


NONE_ANSWER = Answer((Block("none"),))
"""The `spatial` answer that nothing is there, `<object>none</object>`."""


def is_answerable(name: str) -> bool:
    """Tell whether a name can stand in `<object>`, on one line, and is not the none-answer."""
    is_one_line = " ".join(name.split()) == name
    is_none = norm(name) in ("", NONE_ANSWER.blocks[0].name)
    return is_one_line and Block(name).is_named and not is_none


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a completion says, and how well it keeps the grammar.

    `answer` is complete also above the caps and is empty unless `status` is `ok`. `is_none` is true
    iff the content is exactly `<object>none</object>`, which is then also a block of `answer`.
    """

    status: ParseStatus
    format_ok: bool = False
    is_none: bool = False
    answer: Answer = Answer()

    @property
    def has_too_many_blocks(self) -> bool:
        """More than 64 blocks: object and spatial are 0."""
        return len(self.answer.blocks) > MAX_BLOCKS

    @property
    def has_too_many_intervals(self) -> bool:
        """More than 64 intervals: temporal is 0."""
        return len(self.answer.intervals_micro) > MAX_INTERVALS

    @property
    def has_too_many_lines(self) -> bool:
        """More than 2,000 lines in all blocks together: spatial is 0."""
        return sum(len(block.lines) for block in self.answer.blocks) > MAX_LINES


def box_decimals(box_space: str) -> int:
    """Return how many decimals a box of this space is rendered with: 3 in `norm`, else 0."""
    return 3 if box_space == "norm" else 0


def make_line(time_s: float, box_xyxy: Sequence[float] | None, box_space: str) -> Line:
    """Round a time (s) and a box (units of `box_space`) once, half-up, as they are rendered.

    >>> make_line(1.35, None, "norm")
    Line(time_micro=1400000, box_xyxy_micro=None)
    """
    if box_xyxy is None:
        return Line(_rounded(time_s, TIME_DECIMALS), None)
    x1, y1, x2, y2 = (_rounded(edge, box_decimals(box_space)) for edge in box_xyxy)
    return Line(_rounded(time_s, TIME_DECIMALS), (x1, y1, x2, y2))


def make_interval(start_s: float, end_s: float) -> IntervalMicro:
    """Round an interval (s) once, half-up, to the 0.1 s that it is rendered with."""
    return _rounded(start_s, TIME_DECIMALS), _rounded(end_s, TIME_DECIMALS)


def render(answer: Answer, task: Task, box_space: str) -> str:
    """Return the `earshot` pack's text of an answer: `parse` gives its numbers back, format 1.

    Only what the task asks for is written; absent lines are left out. The caps are not looked at.

    Raises:
        ValueError: if the text would break the grammar or a number would have to be rounded.
    """
    _check_task(task)
    _check_blocks(answer.blocks, task)
    if task == "spatial" and answer.blocks == NONE_ANSWER.blocks:
        return _rows(_render_name(answer.blocks[0]))
    decimals = box_decimals(box_space)
    return _render_blocks(answer, task, lambda block: _visible_rows(block, decimals))


def render_r_avst(answer: Answer, task: Task) -> str:
    """Return the text of an answer as R-AVST released it (`research/seeds.md` 1.2).

    Boxes are whole pixels written as `158.0`, an absent time is a zero box, a time may repeat, a
    `<where>` may be empty; there is one interval and no none-answer. For reproduction only.

    Raises:
        ValueError: if the release could not hold the answer, or a number would have to be rounded.
    """
    _check_task(task)
    _check_blocks(answer.blocks, task)
    if task != "spatial" and len(answer.intervals_micro) != 1:
        raise ValueError(
            f"{len(answer.intervals_micro)} intervals in an r-avst answer, expected exactly 1; "
            "render several intervals with the earshot pack"
        )
    return _render_blocks(
        answer, task, lambda block: [_render_line(line, _pixel_text) for line in block.lines]
    )


def parse(completion: object, task: Task) -> Parsed:
    """Read a completion: its content from the last complete answer, its format as a whole.

    The time taken is linear in the length. Status: `too_long` above 64 KiB of UTF-8, `no_answer`
    without a complete answer or where the completion is not a str, else `ok` (CONTRACTS 6, 7).

    Raises:
        ValueError: if the task is unknown; never because of the completion.
    """
    _check_task(task)
    if not isinstance(completion, str):
        return Parsed("no_answer")
    if _is_too_long(completion):
        return Parsed("too_long")
    span = _scan.find_answer(completion)
    if span is None:
        return Parsed("no_answer")
    answer, kinds, is_clean = _read_body(completion, *span)
    is_none = is_clean and kinds == ["object"] and answer.blocks == NONE_ANSWER.blocks
    format_ok = (
        is_clean
        and _scan.envelope_is_clean(completion, *span)
        and (_kinds_fit(kinds, task) or (is_none and task == "spatial"))
        and _numbers_are_in_order(answer)
    )
    return Parsed("ok", format_ok, is_none, answer)


def _read_body(text: str, start: int, end: int) -> tuple[Answer, list[str], bool]:
    """Read the elements of one answer: the answer, their kinds, and whether all are clean."""
    elements, is_clean = _scan.find_elements(text, start, end)
    blocks: list[tuple[str, list[Line]]] = []
    intervals: list[IntervalMicro] = []
    for element in elements:
        if element.kind == "object":
            blocks.append((text[element.start : element.end].strip(_scan.WHITE), []))
        elif element.kind == "when":
            pairs, is_whole = _scan.read_intervals(text, element.start, element.end)
            intervals += [(first, last) for first, last in pairs]
            is_clean = is_clean and is_whole
        elif blocks:
            rows, is_whole = _scan.read_lines(text, element.start, element.end)
            blocks[-1][1].extend([Line(time, (x1, y1, x2, y2)) for time, x1, y1, x2, y2 in rows])
            is_clean = is_clean and is_whole
    answer = Answer(tuple(Block(name, tuple(lines)) for name, lines in blocks), tuple(intervals))
    is_clean = is_clean and all(block.is_named for block in answer.blocks)
    return answer, [element.kind for element in elements], is_clean


def _kinds_fit(kinds: list[str], task: Task) -> bool:
    """Tell whether the elements are those of the task's body, in order."""
    if task == "temporal":
        return kinds == ["object", "when"]
    if task == "spatio_temporal":
        return kinds == ["object", "when", "where"]
    return bool(kinds) and kinds == ["object", "where"] * (len(kinds) // 2)


def _numbers_are_in_order(answer: Answer) -> bool:
    """Tell whether every interval and box has an extent and times ascend in every block."""
    return all(start < end for start, end in answer.intervals_micro) and all(
        _times_ascend(block) and all(_has_area(box) for _, box in block.lines)
        for block in answer.blocks
    )


def _times_ascend(block: Block) -> bool:
    times = [time for time, _ in block.lines]
    return all(map(lt, times, times[1:]))


def _has_area(box: BoxMicro | None) -> bool:
    return box is None or (box[0] < box[2] and box[1] < box[3])


def _is_too_long(text: str) -> bool:
    """Tell whether a text has more than 64 KiB of UTF-8; a lone surrogate counts 3 bytes."""
    if len(text) > MAX_BYTES:
        return True
    return len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES


def _check_task(task: str) -> None:
    if task not in _TASKS:
        raise ValueError(f"task {task!r}: expected one of {sorted(_TASKS)}; see CONTRACTS 5")


def _check_blocks(blocks: Sequence[Block], task: Task) -> None:
    if not blocks or (task != "spatial" and len(blocks) > 1):
        raise ValueError(
            f"{len(blocks)} blocks in a {task} answer, expected "
            f"{'at least' if task == 'spatial' else 'exactly'} 1; where nothing is there, "
            "say NONE_ANSWER; where there are several, ask about one"
        )


def _rounded(value: float, decimals: int) -> int:
    return half_up_units(value, decimals) * _unit_micro(decimals)


def _unit_micro(decimals: int) -> int:
    """Return the last written place in 1e-6: 100,000 for one decimal."""
    return int(10 ** (6 - decimals))


def _render_blocks(answer: Answer, task: Task, line_rows: Callable[[Block], list[str]]) -> str:
    """Join the rows that a task asks for; `line_rows` writes what stands in a `<where>`."""
    rows = []
    for block in answer.blocks:
        rows.append(_render_name(block))
        if task != "spatial":
            rows.append(_render_when(answer.intervals_micro))
        if task != "temporal":
            rows += ["<where>", *line_rows(block), "</where>"]
    return _rows(*rows)


def _rows(*rows: str) -> str:
    return "\n".join(("<answer>", *rows, "</answer>"))


def _render_name(block: Block) -> str:
    if not block.is_named or block.name != block.name.strip(_scan.WHITE):
        raise ValueError(
            f"name {block.name!r}: expected 1-{MAX_NAME_CHARACTERS} characters without < and > "
            "and without white space at the ends; mend the object's name"
        )
    return f"<object>{block.name}</object>"


def _render_when(intervals: Sequence[IntervalMicro]) -> str:
    if not intervals:
        raise ValueError("no interval, expected at least one; drop the question")
    for start, end in intervals:
        if not start < end:
            raise ValueError(
                f"interval ({start}, {end}) in 1e-6 s: start must be below end; "
                "drop what rounding to 0.1 s makes empty"
            )
    spans = (f"[{_time_text(start)}, {_time_text(end)}]" for start, end in intervals)
    return f"<when>{', '.join(spans)}</when>"


def _visible_rows(block: Block, decimals: int) -> list[str]:
    """Return the rows of a block's visible lines; they must keep the format's order."""
    visible = Block(block.name, tuple(line for line in block.lines if line.box_xyxy_micro))
    if not visible.lines or not _times_ascend(visible):
        raise ValueError(
            f"block {block.name!r} with {len(visible.lines)} visible lines: expected at least one, "
            "times strictly ascending; write instances of one name as blocks of their own"
        )
    for line in visible.lines:
        if not _has_area(line.box_xyxy_micro):
            raise ValueError(
                f"box {line.box_xyxy_micro} in 1e-6 of block {block.name!r}: expected x1 < x2 and "
                "y1 < y2; refuse what rounding makes empty"
            )
    return [_render_line(line, lambda edge: _fixed(edge, decimals)) for line in visible.lines]


def _render_line(line: Line, edge_text: Callable[[int], str]) -> str:
    edges = line.box_xyxy_micro or _ZERO_BOX
    return f"{_time_text(line.time_micro)}: [{', '.join(map(edge_text, edges))}]"


def _time_text(time_micro: int) -> str:
    return _fixed(time_micro, TIME_DECIMALS)


def _pixel_text(edge_micro: int) -> str:
    """Write a whole pixel as the release did, `158.0`."""
    return f"{_fixed(edge_micro, 0)}.0"


def _fixed(micro: int, decimals: int) -> str:
    """Write an integer of 1e-6 with so many decimals; zero never has a sign.

    Raises:
        ValueError: if digits would be lost, or the grammar's 7 digits before the point exceeded.
    """
    units, rest = divmod(abs(micro), _unit_micro(decimals))
    if rest or abs(micro) >= _LIMIT_MICRO:
        raise ValueError(
            f"{micro} in 1e-6: expected a multiple of {_unit_micro(decimals)} below "
            f"{_LIMIT_MICRO}; round it once with make_line or make_interval"
        )
    whole, decimal_part = divmod(units, 10**decimals)
    text = f"{whole}.{decimal_part:0{decimals}d}" if decimals else str(whole)
    return f"-{text}" if micro < 0 else text
