"""Writes the texts of many questions at once: columns in, columns out, no Python object a row.

The same bytes as `rewards.grammar.render`, a pack's wording and `schemas.ids.question_id`, for
hundreds of thousands of rows: numbers become text once each, the rest is joined by Arrow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earshot.rewards.grammar import TIME_DECIMALS, Task, box_decimals

Ints = npt.NDArray[np.integer]

_KNOWN = 4096
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, eq=False)
class Blocks:
    """The content of the answers to `n` questions of one task, as leaf arrays.

    Numbers are units of the last written place: times and intervals 0.1 s, boxes 0.001 in `norm`
    and 1 in the other spaces. Offsets are as Arrow's: item i has [offsets[i], offsets[i + 1]).

    Attributes:
        names: (m,) of all blocks, row after row.
        blocks: (n + 1,) offsets of each row's blocks; a spatial row without one is answered none.
        spans: (k, 2) start and end of all intervals; `intervals`: (n + 1,) offsets of each row's.
        times: (l,) of all visible lines; `lines`: (m + 1,) offsets of each block's lines.
        boxes: (l, 4) xyxy.
    """

    names: pa.Array
    blocks: Ints
    spans: Ints
    intervals: Ints
    times: Ints
    lines: Ints
    boxes: Ints


def answer_texts(task: Task, content: Blocks, box_space: str) -> pa.Array:
    """Return the (n,) answers, as `rewards.grammar.render` writes each; nothing is checked."""
    rows = len(content.blocks) - 1
    parts: list[str | pa.Array] = ["<object>", content.names, "</object>"]
    if task != "spatial":
        of_row = np.repeat(np.arange(rows), np.diff(content.blocks))
        parts += ["\n<when>", _when(content).take(pa.array(of_row)), "</when>"]
    if task != "temporal":
        parts += ["\n<where>\n", _where(content, box_decimals(box_space)), "\n</where>"]
    said = _joined(content.blocks, _glued(*parts), "\n")
    if task == "spatial":
        is_none = pa.array(np.diff(content.blocks) == 0)
        said = pc.if_else(is_none, "<object>none</object>", said)
    return _glued("<answer>\n", said, "\n</answer>")


def question_texts(
    templates: Sequence[str], which: Ints, fields: Mapping[str, pa.Array]
) -> pa.Array:
    """Return the (n,) questions: row i has wording `templates[which[i]]`, with `{name}` filled in.

    Args:
        templates: wordings, as in a pack.
        which: (n,) number of each row's wording.
        fields: (n,) texts of each name that a wording has.

    Raises:
        KeyError: a wording has a name that is not among the fields.
    """
    pieces, order = [], []
    for number, template in enumerate(templates):
        rows = np.flatnonzero(which == number)
        if len(rows):
            literals = _FIELD.split(template)
            at = pa.array(rows)
            parts = [fields[p].take(at) if i % 2 else p for i, p in enumerate(literals)]
            # A literal alone is a scalar to Arrow: the empty column makes it a row each.
            pieces.append(_glued(pa.array([""]).take(pa.array(np.zeros(len(rows), int))), *parts))
            order.append(rows)
    if not pieces:
        return pa.array([], pa.string())
    back = np.argsort(np.concatenate(order), kind="stable")
    return pa.concat_arrays(pieces).take(pa.array(back))


def question_ids(
    videos: pa.Array,
    asked: Sequence[tuple[str, str | None, str, str]],
    which: Ints,
    events: pa.ListArray,
    objects: pa.ListArray,
) -> pa.Array:
    """Return the (n,) ids, as `schemas.ids.question_id` makes each.

    Args:
        videos: (n,) video ids.
        asked: kinds of questions: task, branch, pack, template id.
        which: (n,) number of each row's kind.
        events: (n,) lists of event ids, each sorted; ids have no character that JSON escapes.
        objects: (n,) lists of object ids, likewise.
    """
    heads = [",".join("null" if p is None else f'"{p}"' for p in kind) for kind in asked]
    head = pa.array(heads).take(pa.array(which))
    lists = (_json_lists(events), _json_lists(objects))
    texts = _glued("[", head, ",", lists[0], ",", lists[1], "]")
    sha256 = hashlib.sha256
    hashes = [sha256(text).hexdigest()[:8] for text in pc.cast(texts, pa.binary()).to_pylist()]
    return _glued(videos, "/q-", pa.array(hashes, pa.string()))


def number_texts(units: Ints, decimals: int) -> pa.Array:
    """Return non-negative integers of the last written place as decimals: 25 is `2.5` with one."""
    if not len(units):
        return pa.array([], pa.string())
    low = int(units.min())
    table = range(low, int(units.max()) + 1)
    if len(table) > max(4 * len(units), 100_000):
        values, index = np.unique(units, return_inverse=True)
        return pa.array([_decimal(int(v), decimals) for v in values]).take(pa.array(index))
    if low >= 0 and table.stop <= _KNOWN:
        return _known(decimals).take(pa.array(units))
    return pa.array([_decimal(v, decimals) for v in table]).take(pa.array(units - low))


@cache
def _known(decimals: int) -> pa.Array:
    """Return the texts of the first numbers, which most of those in answers are."""
    return pa.array([_decimal(value, decimals) for value in range(_KNOWN)])


def _decimal(units: int, decimals: int) -> str:
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def _when(content: Blocks) -> pa.Array:
    start, end = (number_texts(content.spans[:, side], TIME_DECIMALS) for side in (0, 1))
    return _joined(content.intervals, _glued("[", start, ", ", end, "]"), ", ")


def _where(content: Blocks, decimals: int) -> pa.Array:
    time = number_texts(content.times, TIME_DECIMALS)
    x1, y1, x2, y2 = (number_texts(content.boxes[:, edge], decimals) for edge in range(4))
    lines = _glued(time, ": [", x1, ", ", y1, ", ", x2, ", ", y2, "]")
    return _joined(content.lines, lines, "\n")


def _glued(*parts: str | pa.Array) -> pa.Array:
    glued: pa.Array = pc.binary_join_element_wise(*parts, "")
    return glued


def _joined(offsets: Ints, texts: pa.Array, between: str) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
    joined: pa.Array = pc.binary_join(lists, between)
    return joined


def _json_lists(lists: pa.ListArray) -> pa.Array:
    quoted = _glued('"', lists.values, '"')
    joined = pc.binary_join(pa.ListArray.from_arrays(lists.offsets, quoted), ",")
    return _glued("[", joined, "]")
