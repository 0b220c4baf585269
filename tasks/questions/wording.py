"""Puts a draft into words and numbers: question text, truth JSON and answer, rounded once.

Takes a candidate and its draft and gives a question's texts, or a refusal where the grammar can't
hold them. Never changes what is answered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from earshot.errors import ItemError
from earshot.geometry.rounding import format_half_up, half_up, half_up_units
from earshot.geometry.tubes import UNKNOWN, VISIBLE
from earshot.names import norm
from earshot.prompts.packs import Pack
from earshot.prompts.tokens import count_tokens
from earshot.rewards import grammar
from earshot.rewards.grammar import Answer, Block, Line
from earshot.schemas.object import Object
from earshot.schemas.question import GridRecord
from earshot.schemas.truth import Truth, TruthObject, TruthTube
from earshot.tasks.questions.candidates import Candidate
from earshot.tasks.questions.choices import Refusal
from earshot.tasks.questions.draft import Draft, box_space
from earshot.tasks.questions.instances import Instance
from earshot.tasks.questions.scene import Scene

_NONE = grammar.NONE_ANSWER.blocks[0].name

Row = tuple[float, float, float, float, float] | tuple[float, None]


@dataclass(frozen=True)
class Wording:
    """The texts of a question."""

    question: str
    answer: str
    truth: Truth
    truth_json: str


def word(
    candidate: Candidate, drafted: Draft, scene: Scene, pack: Pack, max_tokens: int
) -> Wording | Refusal:
    """Return question, answer and truth, or why grammar or model can't hold them.

    Raises:
        ItemError: `wrong_results`, if the answer does not parse back to the truth's numbers.
    """
    objects = _named(candidate, drafted, scene)
    for each in objects:
        if not grammar.is_answerable(each.name):
            return Refusal("bad_name", f"{each.name!r} can't stand in an answer")
    truth = _truth(candidate, drafted, objects, scene, pack)
    if isinstance(truth, Refusal):
        return truth
    said = _answer(truth)
    if pack.answers == "r-avst":
        text = grammar.render_r_avst(_as_r_avst(said), truth.task)
    else:
        text = grammar.render(said, truth.task, truth.box_space)
    if refusal := _refuse_long(said, text):
        return refusal
    tokens = count_tokens(text)
    if tokens > max_tokens:
        return Refusal("over_budget", f"about {tokens:,} tokens, at most {max_tokens:,}")
    truth_json = truth.canonical()
    if pack.answers == "earshot":
        check_answer(text, truth, truth_json)
    return Wording(_question(candidate, drafted, pack), text, truth, truth_json)


def check_answer(text: str, truth: Truth, truth_json: str) -> None:
    """Raise ItemError unless an answer keeps the grammar and says the truth's numbers, no others.

    Args:
        text: the answer.
        truth: what it is the answer to.
        truth_json: its canonical JSON, which is read back as the rewards will read it.
    """
    parsed = grammar.parse(text, truth.task)
    said = [
        (block.name, [(line.time_micro, line.box_xyxy_micro) for line in block.lines])
        for block in parsed.answer.blocks
    ]
    expected, intervals = _numbers_of(truth_json)
    says_when = truth.task == "spatial" or list(parsed.answer.intervals_micro) == intervals
    says_where = expected == [] if parsed.is_none else said == expected
    if not (parsed.format_ok and says_when and says_where):
        raise ItemError(
            "wrong_results",
            f"a {truth.task} answer says {said[:2]}, the truth {expected[:2]} with {intervals}; "
            "expected equal numbers in a well-formed answer: report it as a bug",
            value=text[:200],
        )


def _numbers_of(
    truth_json: str,
) -> tuple[list[tuple[str, list[tuple[int, tuple[int, ...]]]]], list[tuple[int, int]]]:
    """Return blocks and intervals that a truth's JSON says, in 1e-6."""
    data = json.loads(truth_json)
    blocks = []
    for each in data["objects"]:
        rows = [tube["boxes"] for tube in each["tubes"]] or [[]]
        for boxes in rows:
            lines = [
                (half_up_units(row[0], 6), tuple(half_up_units(edge, 6) for edge in row[1:]))
                for row in boxes
                if row[1] is not None
            ]
            blocks.append((each["name"], lines))
    pairs = [(half_up_units(start, 6), half_up_units(end, 6)) for start, end in data["intervals"]]
    return blocks, pairs


def _named(candidate: Candidate, drafted: Draft, scene: Scene) -> list[Object]:
    """Return the objects of the answer, in its order; none of a spatial "none"."""
    if candidate.asked is not None and candidate.template.task != "spatial":
        return [candidate.asked]
    ids = dict.fromkeys(each.object_id for each in drafted.instances)
    return [scene.objects[object_id] for object_id in ids]


def _question(candidate: Candidate, drafted: Draft, pack: Pack) -> str:
    name = "" if candidate.asked is None else candidate.asked.name
    start, end = (format_half_up(each, 1) for each in drafted.intervals_s[0])
    if pack.seconds == "as_given" and drafted.span_s is not None:
        start, end = (str(float(each)) for each in drafted.span_s)
    return candidate.template.fill(
        name=name,
        start=start,
        end=end,
        options=", ".join(drafted.options),
        key=candidate.question_id,
    )


def _truth(
    candidate: Candidate, drafted: Draft, objects: Sequence[Object], scene: Scene, pack: Pack
) -> Truth | Refusal:
    space = box_space(pack, scene)
    in_px = space.kind != "norm"
    named = []
    for each in objects:
        tubes = _tubes(each, candidate, drafted, space.kind)
        if isinstance(tubes, Refusal):
            return tubes
        accept = {norm(name) for name in (each.name, *each.accept)} - {"", _NONE}
        named.append(TruthObject(name=each.name, accept=tuple(sorted(accept)), tubes=tubes))
    grid = drafted.grid
    return Truth(
        task=candidate.template.task,
        branch=candidate.template.branch,
        duration_s=scene.video.duration_s,
        intervals=drafted.intervals_s,
        objects=tuple(named),
        grid=GridRecord(anchor_s=grid.anchor_s, step_s=grid.step_s, times_s=grid.times_s),
        box_space=space.kind,
        width=space.width if in_px else None,
        height=space.height if in_px else None,
    )


def _tubes(
    each: Object, candidate: Candidate, drafted: Draft, space: str
) -> tuple[TruthTube, ...] | Refusal:
    if candidate.template.task == "temporal":
        return ()
    tubes = []
    for instance in drafted.instances:
        if instance.object_id != each.object_id:
            continue
        rows = _rows(instance, drafted.grid.times_s, space)
        if any(_is_empty(row) for row in rows):
            return Refusal("empty_box", f"a box of {each.name!r} has no area when rounded")
        tubes.append(TruthTube(boxes=tuple(rows)))
    return tuple(tubes)


def _rows(instance: Instance, times_s: Sequence[float], space: str) -> list[Row]:
    """Return an instance's rows; a time at which nobody looked is left out (CONTRACTS 7)."""
    decimals = grammar.box_decimals(space)
    rows: list[Row] = []
    states = instance.states.tolist()
    for time_s, state, box in zip(times_s, states, instance.boxes_xyxy.tolist(), strict=True):
        if state == VISIBLE:
            x1, y1, x2, y2 = (half_up(edge, decimals) for edge in box)
            rows.append((time_s, x1, y1, x2, y2))
        elif state != UNKNOWN:
            rows.append((time_s, None))
    return rows


def _is_empty(row: Row) -> bool:
    return len(row) == 5 and not (row[1] < row[3] and row[2] < row[4])


def _answer(truth: Truth) -> Answer:
    """Return what the truth says as an answer, one block a tube."""
    if not truth.objects:
        return grammar.NONE_ANSWER
    blocks = [
        Block(each.name, tuple(_line(row, truth.box_space) for row in tube.boxes))
        for each in truth.objects
        for tube in each.tubes or (TruthTube(boxes=()),)
    ]
    is_timed = truth.task != "spatial"
    intervals = [grammar.make_interval(*pair) for pair in truth.intervals] if is_timed else []
    return Answer(tuple(blocks), tuple(intervals))


def _line(row: Row, space: str) -> Line:
    return grammar.make_line(row[0], None if row[1] is None else row[1:], space)


def _as_r_avst(said: Answer) -> Answer:
    """Return the answer as R-AVST has it: all instances of a name in one block, times repeated."""
    blocks = [
        Block(name, tuple(sorted((line for b in same for line in b.lines), key=_line_time)))
        for name, same in groupby(said.blocks, key=lambda block: block.name)
    ]
    return Answer(tuple(blocks), said.intervals_micro)


def _line_time(line: Line) -> int:
    return line.time_micro


def _refuse_long(said: Answer, text: str) -> Refusal | None:
    """Return a refusal where an answer exceeds a cap of the grammar (CONTRACTS 6)."""
    sizes = (
        ("bytes", len(text.encode()), grammar.MAX_BYTES),
        ("blocks", len(said.blocks), grammar.MAX_BLOCKS),
        ("intervals", len(said.intervals_micro), grammar.MAX_INTERVALS),
        ("lines", sum(len(block.lines) for block in said.blocks), grammar.MAX_LINES),
    )
    for what, size, limit in sizes:
        if size > limit:
            return Refusal("over_cap", f"the answer has {size} {what}, at most {limit}")
    return None
