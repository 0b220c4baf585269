"""The rows of ordinary questions, made by columns: as `maker.py` makes each, many times as fast.

Takes questions and what is known of their videos; gives rows for those with nothing to decide, and
says which they are. A question whose answer is too long, whose box vanishes, whose frames are
sparse, or whose truth is not as the question stage writes it is left to the way row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from earshot.prompts.tokens import count_tokens
from earshot.rewards.grammar import MAX_BLOCKS, MAX_LINES, MAX_NAME_CHARACTERS, Task
from earshot.schemas.base import opt, req
from earshot.tasks.bulk_text import Blocks, answer_texts, number_texts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_HEAD, _MIDDLE, _TAIL = '{"box_space":"norm",', ',"intervals":', ',"v":1}'
_BOXES = '"boxes":[['
_LINE_TOKENS = 10  # `.`, `:`, ` [`, three of `,`, three spaces before a digit, `]` with its newline
_SPAN_TOKENS = 6  # two of `.`, a comma, a space before a digit, `],` and ` [` to the next one
_NUMBERS = pa.list_(pa.float64())
_TUBE = pa.struct([req("boxes", pa.list_(_NUMBERS))])
_OBJECT = pa.struct([req("name", pa.string()), req("tubes", pa.list_(_TUBE))])
_GRID = pa.struct([req("step_s", pa.float64()), req("times_s", _NUMBERS)])
_TRUTH = pa.schema(
    [
        opt("task", pa.string()), opt("grid", _GRID), opt("intervals", pa.list_(_NUMBERS)),
        opt("objects", pa.list_(_OBJECT)),
    ]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shown:
    """What the model is shown of the video of each row, and how its boxes are written.

    Attributes:
        scale: (n, 2) width and height of a frame in units of the boxes: pixels, or thousandths.
        spacing_s, last_s: (n,) widest gap between two shown frames, and when the last one is.
        box_space: of the boxes; where it is pixels the truth says the frame's size.
    """

    scale: Floats
    spacing_s: Floats
    last_s: Floats
    box_space: str


@dataclass(frozen=True, eq=False)
class Told:
    """What follows from the truths of `n` rows: columns of the training rows, parallel to `rows`.

    Attributes:
        rows: (n,) which of the given questions they are.
    """

    rows: Ints
    columns: dict[str, pa.Array]


def tell(task: Task, truths: pa.Array, shown: Shown, budget: int) -> Told:
    """Return the truths, answers and tokens of the questions of one task that are ordinary.

    Args:
        task: of all.
        truths: (n,) published truths, canonical JSON.
        shown: of their videos.
        budget: tokens of an answer, at most.
    """
    usual = pc.and_(pc.starts_with(truths, _HEAD), pc.ends_with(truths, _TAIL))
    usual = pc.and_(usual, pc.match_substring(truths, _MIDDLE))
    rows = np.flatnonzero(usual.to_numpy(zero_copy_only=False))
    truths = truths.take(pa.array(rows))
    if not len(rows):
        return Told(rows, {})
    try:
        read = _Read(task, truths, shown.scale[rows], shown.box_space)
    except pa.ArrowInvalid:  # one has another shape: the way row by row says which
        return Told(np.empty(0, np.int64), {})
    ordinary = read.is_ordinary(shown.spacing_s[rows], shown.last_s[rows])
    ordinary &= read.tokens <= budget
    if not ordinary.all():
        kept = np.flatnonzero(ordinary)
        truths, rows = truths.take(pa.array(kept)), rows[kept]
        if not len(rows):
            return Told(rows, {})
        read = _Read(task, truths, shown.scale[rows], shown.box_space)
    columns = {
        "answer": answer_texts(task, read.blocks, shown.box_space),
        "truth_json": read.truth_texts(truths),
        "answer_tokens": pa.array(read.tokens, pa.int32()),
        "grid_step_s": pa.array(read.step_s),
        "gt_events": read.gt_events(),
        "gt_objects": read.gt_objects(),
    }
    return Told(rows, columns)


class _Read:
    """Truths of one task, parsed by Arrow into leaf arrays, their boxes in the target space."""

    def __init__(self, task: Task, truths: pa.Array, scale: Floats, box_space: str) -> None:
        self.task, self.scale, self.box_space = task, scale, box_space
        self.n = len(truths)
        read = _parse(truths)
        self.is_task = pc.fill_null(pc.equal(read["task"].chunk(0), task), False)
        grid = read["grid"].chunk(0)
        self.step_s = _values(grid.field("step_s"))
        times = grid.field("times_s")
        self.grid_at, self.grid_s = times.offsets.to_numpy(), _values(times.values)
        spans, objects = read["intervals"].chunk(0), read["objects"].chunk(0)
        self.spans_at, self.spans_s = _at(spans), _values(spans.values.flatten()).reshape(-1, 2)
        self.objects_at = _at(objects)
        self.names = objects.values.field("name")
        tubes = objects.values.field("tubes")
        self.tubes_at = _at(tubes)
        boxes = tubes.values.field("boxes")
        self.lines_at, lines = _at(boxes), boxes.values
        lengths = pc.list_value_length(lines).to_numpy(zero_copy_only=False)
        self.is_seen: Mask = lengths == 5
        numbers = _values(lines.flatten())
        begins = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
        self.times_s = numbers[begins]
        seen = begins[self.is_seen, None] + np.arange(1, 5)
        self.norm = numbers[seen].reshape(-1, 4)
        self.is_whole = bool(np.isin(lengths, (2, 5)).all())

    @cached_property
    def row_of_object(self) -> Ints:
        """The row of each object."""
        return np.repeat(np.arange(self.n), np.diff(self.objects_at))

    @cached_property
    def row_of_tube(self) -> Ints:
        """The row of each tube."""
        return np.repeat(self.row_of_object, np.diff(self.tubes_at))

    @cached_property
    def row_of_seen(self) -> Ints:
        """The row of each visible line."""
        return np.repeat(self.row_of_tube, np.diff(self.lines_at))[self.is_seen]

    @cached_property
    def boxes(self) -> Ints:
        """Boxes in whole units, half-up: a product is a tie only where it is one exactly."""
        scaled = self.norm * np.tile(self.scale, 2)[self.row_of_seen]
        whole = np.floor(scaled)
        units: Ints = (whole + (scaled - whole >= 0.5)).astype(np.int64)
        return units

    @cached_property
    def seen_at(self) -> Ints:
        """Offsets of each tube's visible lines."""
        return np.concatenate([[0], np.cumsum(self.is_seen)])[self.lines_at]

    @cached_property
    def blocks(self) -> Blocks:
        """The content of the answers."""
        spans = _units(self.spans_s, 10)
        if self.task == "temporal":
            nothing = np.empty(0, np.int64)
            lines = np.zeros(len(self.names) + 1, np.int64)
            return Blocks(
                self.names, self.objects_at, spans, self.spans_at, nothing, lines,
                nothing.reshape(0, 4),
            )  # fmt: skip
        of_tube = np.repeat(np.arange(len(self.names)), np.diff(self.tubes_at))
        return Blocks(
            names=self.names.take(pa.array(of_tube)),
            blocks=self.tubes_at[self.objects_at],
            spans=spans,
            intervals=self.spans_at,
            times=_units(self.times_s[self.is_seen], 10),
            lines=self.seen_at,
            boxes=self.boxes,
        )

    @cached_property
    def tokens(self) -> Ints:
        """Tokens of each answer, as `count_tokens` counts them."""
        content = self.blocks
        of_row = np.repeat(np.arange(self.n), np.diff(content.blocks))
        found = _summed(of_row, _name_tokens(content.names, self.task), self.n)
        found += count_tokens("<answer>\n</answer>")
        if self.task == "spatial":
            none = count_tokens("<answer>\n<object>none</object>\n</answer>")
            found[np.diff(content.blocks) == 0] = none
        if len(content.boxes):
            digits = _digits(content.times, 2) + _digits(content.boxes, 1).sum(axis=1)
            found += _summed(self.row_of_seen, digits + _LINE_TOKENS, self.n)
        if self.task != "spatial":
            row = np.repeat(np.arange(self.n), np.diff(self.spans_at))
            found += _summed(row, _digits(content.spans, 2).sum(axis=1) + _SPAN_TOKENS, self.n)
            # The first bracket is one with the tag before it, the last one with that behind.
            found -= np.diff(self.spans_at) > 0
        return found

    def is_ordinary(self, spacing_s: Floats, last_s: Floats) -> Mask:
        """Tell for each row whether there is nothing to decide about it."""
        fine: Mask = self.is_task.to_numpy(zero_copy_only=False).copy()
        if not self.is_whole:
            return np.zeros(self.n, bool)
        rows = np.arange(self.n)

        def spoil(bad: Mask | np.bool_, row: Ints) -> None:
            fine[row[np.asarray(bad)]] = False

        spoil(~_is_tenths(self.spans_s).all(axis=1), np.repeat(rows, np.diff(self.spans_at)))
        names = pc.utf8_length(self.names).to_numpy(zero_copy_only=False)
        odd = pc.match_substring_regex(self.names, r"[<>\r\n]|^\s|\s$").to_numpy(
            zero_copy_only=False
        )
        spoil((names < 1) | (names > MAX_NAME_CHARACTERS) | odd, self.row_of_object)
        tubes = np.diff(self.tubes_at)
        if self.task == "temporal":
            spoil(tubes > 0, self.row_of_object)
            spoil(np.diff(self.objects_at) != 1, rows)
            return fine
        if self.task == "spatio_temporal":
            spoil(np.diff(self.tubes_at[self.objects_at]) != 1, rows)
        spoil(tubes < 1, self.row_of_object)
        spoil(np.diff(self.seen_at) < 1, self.row_of_tube)
        of_line = np.repeat(self.row_of_tube, np.diff(self.lines_at))
        spoil(~_is_tenths(self.times_s), of_line)
        empty = (self.boxes[:, 2:] <= self.boxes[:, :2]).any(axis=1)
        spoil(empty | (self.boxes < 0).any(axis=1), self.row_of_seen)
        spoil(np.diff(self.tubes_at[self.objects_at]) > MAX_BLOCKS, rows)
        spoil(np.bincount(self.row_of_seen, minlength=self.n) > MAX_LINES, rows)
        # Every moment of the film is that near to a frame; behind the last one it may not be.
        reach = self.step_s / 2
        spoil(spacing_s / 2 > reach, rows)
        asked = np.repeat(rows, np.diff(self.grid_at))
        spoil(self.grid_s - last_s[asked] > reach[asked], asked)
        return fine

    def truth_texts(self, truths: pa.Array) -> pa.Array:
        """Return the truths with their boxes in the target space, canonical as before."""
        whole = truths if self.task == "temporal" else self._with_boxes(truths)
        head = f'{{"box_space":"{self.box_space}",'
        if self.box_space == "rel1000":
            return pc.replace_substring(whole, _HEAD, head, max_replacements=1)
        # Sorted keys: the height stands in front of the intervals, the width behind all.
        wide, high = (number_texts(self.scale[:, side].astype(np.int64), 0) for side in (0, 1))
        front, rest = _halves(whole, _MIDDLE)
        front = pc.replace_substring(front, _HEAD, head, max_replacements=1)
        body, _ = _halves(rest, _TAIL, reverse=True)
        return pc.binary_join_element_wise(
            front, ',"height":', high, _MIDDLE, body, ',"v":1,"width":', wide, "}", ""
        )

    def _with_boxes(self, truths: pa.Array) -> pa.Array:
        """Return the truths with the boxes in the target space."""
        # In a name the marks would be escaped.
        pieces = pc.split_pattern(truths, _BOXES)
        is_tube = np.ones(len(pieces.values), bool)
        is_tube[pieces.offsets.to_numpy()[:-1]] = False
        _, behind = _halves(pieces.values.filter(pa.array(is_tube)), "]]")
        tubes = pc.binary_join_element_wise(_BOXES, self._box_texts(), "]]", behind, "")
        glued = pc.replace_with_mask(pieces.values, pa.array(is_tube), tubes)
        return pc.binary_join(pa.ListArray.from_arrays(pieces.offsets, glued), "")

    def gt_events(self) -> pa.Array:
        """Return the intervals as a list column."""
        pairs = pa.StructArray.from_arrays(
            [pa.array(self.spans_s[:, 0]), pa.array(self.spans_s[:, 1])], ["start_s", "end_s"]
        )
        return pa.ListArray.from_arrays(pa.array(self.spans_at, pa.int32()), pairs)

    def gt_objects(self) -> pa.Array:
        """Return the published boxes as a list column, an entry an instance."""
        times = self.times_s[self.is_seen]
        edges = [pa.array(self.norm[:, edge].copy()) for edge in range(4)]
        names = ["t_s", "x1", "y1", "x2", "y2"]
        boxes = pa.StructArray.from_arrays([pa.array(times), *edges], names)
        lists = pa.ListArray.from_arrays(pa.array(self.seen_at, pa.int32()), boxes)
        of_tube = np.repeat(np.arange(len(self.names)), np.diff(self.tubes_at))
        things = pa.StructArray.from_arrays(
            [self.names.take(pa.array(of_tube)), lists], ["name", "boxes"]
        )
        offsets = self.tubes_at[self.objects_at]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), things)

    def _box_texts(self) -> pa.Array:
        """Return the lines of each tube as JSON, without the brackets around them."""
        times = _canonical_tenths(_units(self.times_s, 10))
        edges = [number_texts(self.boxes[:, edge], 0) for edge in range(4)]
        seen = pc.binary_join_element_wise(*edges, ",") if len(self.boxes) else edges[0]
        # Line i has the k-th box where k visible lines lie before it, an absent one `null`.
        at = np.where(self.is_seen, np.cumsum(self.is_seen) - 1, len(seen))
        what = pa.concat_arrays([seen, pa.array(["null"])]).take(pa.array(at))
        lines = pc.binary_join_element_wise(times, what, ",")
        return pc.binary_join(
            pa.ListArray.from_arrays(pa.array(self.lines_at, pa.int32()), lines), "],["
        )


def _parse(truths: pa.Array) -> pa.Table:
    """Parse canonical truths, a line each, by Arrow."""
    lists = pa.ListArray.from_arrays(pa.array([0, len(truths)], pa.int32()), truths)
    text = pc.binary_join(lists, "\n")[0].as_buffer()
    options = pj.ParseOptions(explicit_schema=_TRUTH, unexpected_field_behavior="ignore")
    whole = pj.ReadOptions(block_size=text.size + 1, use_threads=False)
    found = pj.read_json(pa.BufferReader(text), read_options=whole, parse_options=options)
    return found.combine_chunks()


def _summed(rows: Ints, values: Ints, count: int) -> Ints:
    """Return the sum of the values of each row."""
    found: Ints = np.bincount(rows, values, count).astype(np.int64)
    return found


def _name_tokens(names: pa.Array, task: str) -> Ints:
    """Return the tokens of each block without its numbers."""
    coded = names.dictionary_encode()
    inner = "<when></when>\n" if task != "spatial" else ""
    inner += "<where>\n</where>\n" if task != "temporal" else ""
    counts = [
        count_tokens(f"<object>{name}</object>\n{inner}") for name in coded.dictionary.to_pylist()
    ]
    found: Ints = np.array(counts, np.int64)[coded.indices.to_numpy()]
    return found


def _at(lists: pa.ListArray) -> Ints:
    """Return offsets into `lists.values`, which has no slice before it."""
    found: Ints = lists.offsets.to_numpy().astype(np.int64)
    return found


def _values(numbers: pa.Array) -> Floats:
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _units(values: Floats, per_unit: int) -> Ints:
    units: Ints = np.rint(values * per_unit).astype(np.int64)
    return units


def _is_tenths(values: Floats) -> Mask:
    tenths: Mask = np.rint(values * 10) / 10 == values
    return tenths & (values >= 0)


def _digits(units: npt.NDArray[np.integer], least: int) -> Ints:
    """Return how many digits numbers have; `2.5` are 25 units with at least two."""
    powers = 10 ** np.arange(1, 10)
    found: Ints = np.maximum(np.searchsorted(powers, units, side="right") + 1, least)
    return found


def _halves(texts: pa.Array, between: str, *, reverse: bool = False) -> tuple[pa.Array, pa.Array]:
    """Return what stands in front of the first (or last) mark and what behind; each text has it."""
    pieces = pc.split_pattern(texts, between, max_splits=1, reverse=reverse).values
    first, second = (pa.array(np.arange(side, 2 * len(texts), 2)) for side in (0, 1))
    return pieces.take(first), pieces.take(second)


def _canonical_tenths(units: Ints) -> pa.Array:
    """Return tenths as JSON numbers: 20 is `2`, 25 is `2.5`."""
    return pc.if_else(units % 10 == 0, number_texts(units // 10, 0), number_texts(units, 1))


def table_of(told: Sequence[Told]) -> tuple[Ints, dict[str, pa.Array]]:
    """Return the rows of all tasks, ascending, and their columns."""
    some = [one for one in told if len(one.rows)]
    if not some:
        return np.empty(0, np.int64), {}
    rows = np.concatenate([one.rows for one in some])
    order = pa.array(np.argsort(rows, kind="stable"))
    columns = {
        name: pa.concat_arrays([one.columns[name] for one in some]).take(order)
        for name in some[0].columns
    }
    return np.sort(rows), columns
