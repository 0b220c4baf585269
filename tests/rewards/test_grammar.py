"""The answer grammar: the worked vectors, the rendered form, the reading of broken answers, and
that no text makes reading slow or raises.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.rewards import grammar
from earshot.rewards.grammar import (
    MAX_BYTES,
    NONE_ANSWER,
    Answer,
    Block,
    Line,
    Task,
    make_interval,
    make_line,
    parse,
    render,
    render_r_avst,
)

VECTORS_FILE = Path(__file__).with_name("reward_vectors.jsonl")
ADVERSARIAL_FILE = Path(__file__).with_name("adversarial_texts.jsonl")
TASKS: tuple[Task, ...] = ("temporal", "spatial", "spatio_temporal")
moderate = settings(deadline=None, max_examples=60)


# --- the worked vectors -------------------------------------------------------------------------


def read_vectors() -> list[dict[str, Any]]:
    """The vectors behind the file's first row, which says what they are."""
    rows = [json.loads(row) for row in VECTORS_FILE.read_text("utf-8").splitlines()]
    return rows[1:]


VECTORS = [row for row in read_vectors() if row["expected"]["status"] != "bad_truth"]


def completion_of(vector: dict[str, Any]) -> str:
    """The text of a vector, put together where the file holds only its recipe."""
    if "completion" in vector:
        return str(vector["completion"])
    build = vector["completion_build"]
    piece, times = build["repeat"]
    return str(build["prefix"] + piece * times + build["suffix"])


def test_vectors_are_complete() -> None:
    """The file holds all 238 vectors, 6 or fewer of which are about the truth alone."""
    everything = read_vectors()
    assert len(everything) == len({row["id"] for row in everything}) == 238
    assert len(everything) - len(VECTORS) <= 6


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector_format_and_status(vector: dict[str, Any]) -> None:
    """A worked vector's format and status are what the grammar alone says."""
    parsed = parse(completion_of(vector), vector["task"])
    expected = vector["expected"]
    assert (parsed.status, float(parsed.format_ok)) == (expected["status"], expected["format"])


@pytest.mark.parametrize(
    "vector",
    [
        row
        for row in VECTORS
        if row["task"] == "spatial" and json.loads(row["truth_json"])["objects"] == []
    ],
    ids=lambda vector: vector["id"],
)
def test_vector_none_answer(vector: dict[str, Any]) -> None:
    """Where the truth is none, object is 1 exactly for what parses as the none-answer."""
    parsed = parse(completion_of(vector), "spatial")
    assert float(parsed.is_none) == vector["expected"]["object"]


@pytest.mark.parametrize(
    ("vector_id", "blocks", "intervals", "lines"),
    [
        ("t-64-intervals", False, False, False),
        ("t-65-intervals", False, True, False),
        ("x-65-intervals", False, True, False),
        ("s-64-objects", False, False, False),
        ("s-70-objects", True, False, False),
        ("s-2000-lines", False, False, False),
        ("s-2000-lines-two-blocks", False, False, True),
        ("s-3000-lines", False, False, True),
        ("x-2001-lines", False, False, True),
    ],
)
def test_caps_are_flags(vector_id: str, blocks: bool, intervals: bool, lines: bool) -> None:
    """A cap that is passed raises its own flag, one that is just reached raises none."""
    vector = next(row for row in VECTORS if row["id"] == vector_id)
    parsed = parse(completion_of(vector), vector["task"])
    flags = (parsed.has_too_many_blocks, parsed.has_too_many_intervals, parsed.has_too_many_lines)
    assert flags == (blocks, intervals, lines)


# --- rendering ----------------------------------------------------------------------------------


def test_rendered_temporal() -> None:
    """A temporal answer has a row for the object and a row for all intervals, one decimal each."""
    answer = Answer((Block("dog"),), (make_interval(1, 3), make_interval(7.25, 9)))
    assert render(answer, "temporal", "norm") == (
        "<answer>\n<object>dog</object>\n<when>[1.0, 3.0], [7.3, 9.0]</when>\n</answer>"
    )


def test_rendered_spatial_in_norm_and_pixels() -> None:
    """Boxes have three decimals in norm and none elsewhere; an absent time has no line."""
    norm_lines = (make_line(0, (0.1, 0.0005, 0.3, 1), "norm"), make_line(1, None, "norm"))
    assert render(Answer((Block("a dog", norm_lines),)), "spatial", "norm") == (
        "<answer>\n<object>a dog</object>\n<where>\n"
        "0.0: [0.100, 0.001, 0.300, 1.000]\n</where>\n</answer>"
    )
    pixel_lines = (make_line(1.35, (-0.4, 2.5, 30, 40), "native_px"),)
    assert render(Answer((Block("dog", pixel_lines),) * 2), "spatial", "native_px") == (
        "<answer>"
        + "\n<object>dog</object>\n<where>\n1.4: [0, 3, 30, 40]\n</where>" * 2
        + "\n</answer>"
    )


def test_rendered_spatio_temporal() -> None:
    """A spatio-temporal answer says object, when, where in this order."""
    lines = (make_line(2, (0.1, 0.1, 0.3, 0.3), "norm"),)
    answer = Answer((Block("dog", lines),), (make_interval(2, 3),))
    assert render(answer, "spatio_temporal", "norm") == (
        "<answer>\n<object>dog</object>\n<when>[2.0, 3.0]</when>\n<where>\n"
        "2.0: [0.100, 0.100, 0.300, 0.300]\n</where>\n</answer>"
    )


def test_rendered_none() -> None:
    """The none-answer is one object row, and parses as itself."""
    text = render(NONE_ANSWER, "spatial", "norm")
    assert text == "<answer>\n<object>none</object>\n</answer>"
    parsed = parse(text, "spatial")
    assert (parsed.is_none, parsed.format_ok, parsed.answer) == (True, True, NONE_ANSWER)


def line_at(time_s: float, *edges: float) -> Line:
    """A line in norm."""
    return make_line(time_s, edges or (0.1, 0.1, 0.3, 0.3), "norm")


@pytest.mark.parametrize(
    ("answer", "task", "message"),
    [
        (Answer(), "spatial", "0 blocks"),
        (Answer((Block("dog"),) * 2, ((0, 100_000),)), "temporal", "2 blocks"),
        (Answer((Block("dog"),)), "temporal", "no interval"),
        (Answer((Block("dog"),), ((2, 1),)), "temporal", "start must be below end"),
        (Answer((Block("dog"),), ((0, 150_000),)), "temporal", "make_interval"),
        (Answer((Block("dog"),), ((0, 10**13),)), "temporal", "below"),
        (Answer((Block("dog"),), make_interval(0, 1)), "a task", "expected one of"),
        (Answer((Block("x" * 81, (line_at(0),)),)), "spatial", "1-80 characters"),
        (Answer((Block(" dog", (line_at(0),)),)), "spatial", "white space at the ends"),
        (Answer((Block("a<b", (line_at(0),)),)), "spatial", "without < and >"),
        (Answer((Block("dog"),)), "spatial", "0 visible lines"),
        (Answer((Block("dog", (make_line(0, None, "norm"),)),)), "spatial", "0 visible lines"),
        (Answer((Block("dog", (line_at(1), line_at(1))),)), "spatial", "strictly ascending"),
        (Answer((Block("dog", (line_at(1, 0.3, 0, 0.3, 1),)),)), "spatial", "x1 < x2"),
    ],
)
def test_render_refuses_what_is_not_in_the_grammar(
    answer: Answer, task: Task, message: str
) -> None:
    """An answer that would cost the format is refused with the reason, never written."""
    with pytest.raises(ValueError, match=re.escape(message)):
        render(answer, task, "norm")


def test_rendered_r_avst() -> None:
    """The r-avst pack repeats times, writes zero boxes for absent and keeps an empty where."""
    lines = (
        make_line(1.4, (158, 3, 561, 719), "native_px"),
        make_line(1.4, (1, 2, 3, 4), "native_px"),
        make_line(2.4, None, "native_px"),
    )
    answer = Answer((Block("person", lines), Block("dog")))
    assert render_r_avst(answer, "spatial") == (
        "<answer>\n<object>person</object>\n<where>\n1.4: [158.0, 3.0, 561.0, 719.0]\n"
        "1.4: [1.0, 2.0, 3.0, 4.0]\n2.4: [0.0, 0.0, 0.0, 0.0]\n</where>\n"
        "<object>dog</object>\n<where>\n</where>\n</answer>"
    )


@pytest.mark.parametrize(
    ("answer", "task", "message"),
    [
        (Answer((Block("dog"),), ((0, 100_000), (200_000, 300_000))), "temporal", "2 intervals"),
        (Answer((Block("dog"),)), "spatio_temporal", "0 intervals"),
        (Answer(), "spatial", "0 blocks"),
        (Answer((Block("dog", (line_at(0),)),)), "spatial", "expected a multiple of 1000000"),
    ],
)
def test_r_avst_refuses_what_the_release_cannot_hold(
    answer: Answer, task: Task, message: str
) -> None:
    """Several intervals, none-answers and broken pixels have no released form."""
    with pytest.raises(ValueError, match=message):
        render_r_avst(answer, task)


RAVST_TASKS: dict[str, Task] = {
    "AV Temporal Reasoning": "temporal",
    "AV Spatial Reasoning": "spatial",
    "AV ST Reasoning": "spatio_temporal",
}


def test_released_answers_come_back_byte_for_byte(shared_data: Path) -> None:
    """Every answer of R-AVST's released test videos survives parsing and rendering unchanged."""
    videos = json.loads((shared_data / "annotations" / "ravst_test_qa.json").read_text("utf-8"))
    answers = [
        (RAVST_TASKS[key], question["A"])
        for video in videos
        for event in video["annotation"]
        for key in RAVST_TASKS
        for question in event.get(key, [])
    ]
    assert (len(videos), len(answers)) == (691, 1052)
    missed = [
        text for task, text in answers if render_r_avst(parse(text, task).answer, task) != text
    ]
    assert missed == []


# --- parsing: what is read, and what costs the format -------------------------------------------


def answer_of(body: str, task: Task = "temporal") -> Answer:
    """What is read from the body of an answer."""
    return parse(f"<answer>{body}</answer>", task).answer


@pytest.mark.parametrize("value", [None, 3, 2.5, b"<answer></answer>", ["<answer></answer>"], {}])
def test_completion_that_is_no_text(value: object) -> None:
    """A completion that is not a str has no answer."""
    assert parse(value, "temporal").status == "no_answer"


def test_unknown_task_is_the_callers_mistake() -> None:
    """A task that does not exist is refused with those that do."""
    with pytest.raises(ValueError, match="spatio_temporal"):
        parse("", cast("Task", "AVTR"))


def test_numbers_are_exact() -> None:
    """Numbers come out as integers of 1e-6, with signs, leading zeros and up to 7 + 6 digits."""
    when = "<when>[-0.5, 0000002], [-0, 9999999.999999], [0.000001, 1.25]</when>"
    assert answer_of(when).intervals_micro == (
        (-500_000, 2_000_000),
        (0, 9_999_999_999_999),
        (1, 1_250_000),
    )


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("[1, 2], [x], [3, 4]", [(1, 2), (3, 4)]),
        ("[1, 2],, [3, 4], [5, 6]", [(1, 2), (5, 6)]),
        (", [1, 2], [3, 4]", [(3, 4)]),
        ("[1, nan\n, [3, 4]", [(3, 4)]),
        ("about [1, 2], [3, 4]", [(3, 4)]),
        ("about\n[1, 2]", [(1, 2)]),
        ("[1, 2] to [3, 4]", [(1, 2)]),
        ("[1, [2, 3]", []),
        ("[1, 2][3, 4]", [(1, 2), (3, 4)]),
    ],
)
def test_broken_intervals_are_skipped(when: str, expected: list[tuple[int, int]]) -> None:
    """A skip ends behind the next newline or bracket, and takes one comma with it."""
    parsed = parse(f"<answer><object>dog</object><when>{when}</when></answer>", "temporal")
    assert [(s // 10**6, e // 10**6) for s, e in parsed.answer.intervals_micro] == expected
    assert not parsed.format_ok


@pytest.mark.parametrize(
    ("where", "times"),
    [
        ("0: [0, 0, 1, 1]1: [0, 0, 1, 1]", [0, 1]),
        ("0: [0, 0, 1, 1] at 1: [0, 0, 1, 1] 2: [0, 0, 1, 1]", [0, 2]),
        ("0: [0, 0\n1: [0, 0, 1, 1]", [1]),
        ("0: 1: [0, 0, 1, 1]\n2: [0, 0, 1, 1]", [2]),
        ("[0, 0, 1, 1]\n\n 2 :\t[0,0,1,1]", [2]),
        ("1: [0, 0, 1,\n1, 7]\n2: [0, 0, 1, 1]", [2]),
    ],
)
def test_broken_lines_are_skipped(where: str, times: list[int]) -> None:
    """Lines need nothing between them; a broken one costs what its skip passes."""
    (block,) = answer_of(f"<object>dog</object><where>{where}</where>", "spatial").blocks
    assert [line.time_micro // 10**6 for line in block.lines] == times


def test_where_belongs_to_the_last_complete_object() -> None:
    """Lines join the last complete object before them; without one they are ignored."""
    where = "<where>1: [0, 0, 1, 1]</where>"
    body = f"{where}<object>cat</object><object>dog</object>{where}<object>x{where}"
    blocks = answer_of(body, "spatial").blocks
    assert [(block.name, len(block.lines)) for block in blocks] == [("cat", 0), ("dog", 2)]


def test_block_without_a_right_name_still_counts() -> None:
    """A name that breaks the rule makes a block that says so."""
    names = ["", "  ", "x" * 81, "<b>dog</b>", "x" * 80, " \tdog\n"]
    body = "".join(f"<object>{name}</object>" for name in names)
    blocks = answer_of(body, "spatial").blocks
    assert [block.is_named for block in blocks] == [False, False, False, False, True, True]
    assert blocks[-1].name == "dog"


@pytest.mark.parametrize("stray", ["\r", "\u00a0", "\u2003", "\x0b", "\x0c", "\ufeff", "\u200b"])
def test_other_white_space_costs_the_format(stray: str) -> None:
    """Only space, tab and newline may stand between tokens and around the completion."""
    right = ["<answer>", "<object>dog</object>", "<when>[1, ", "2]", "</when>", "</answer>"]
    assert parse("".join(right), "temporal").format_ok
    for place in range(len(right) + 1):
        text = "".join([*right[:place], stray, *right[place:]])
        assert not parse(text, "temporal").format_ok


def test_length_is_counted_in_bytes() -> None:
    """64 KiB of UTF-8 pass, one byte more is too long; a lone surrogate counts three."""
    answer = "<answer></answer>"
    room = MAX_BYTES - len(answer)
    assert parse("x" * room + answer, "spatial").status == "ok"
    assert parse("x" * (room + 1) + answer, "spatial").status == "too_long"
    assert parse("\ud800" * (room // 3) + answer, "spatial").status == "ok"
    assert parse("\ud800" * (room // 3 + 1) + answer, "spatial").status == "too_long"


# --- properties ---------------------------------------------------------------------------------

names = (
    st.text(st.characters(exclude_characters="<>", codec=None), min_size=1, max_size=80)
    .map(lambda name: name.strip(" \t\n"))
    .filter(lambda name: name not in ("", "none"))
)
tenths = st.integers(-99_999, 99_999).map(lambda n: n * 100_000)


def extents(unit: int) -> st.SearchStrategy[tuple[int, int]]:
    """Two different multiples of a unit, in order."""
    pairs = st.lists(st.integers(-3_000, 3_000), min_size=2, max_size=2, unique=True)
    return pairs.map(lambda pair: (min(pair) * unit, max(pair) * unit))


@st.composite
def answers(draw: st.DrawFn, unit: int, max_blocks: int = 3) -> Answer:
    """Right answers for every task that asks about as many blocks."""
    blocks = []
    for _ in range(draw(st.integers(1, max_blocks))):
        times = sorted(draw(st.sets(tenths, min_size=1, max_size=5)))
        boxes = [(draw(extents(unit)), draw(extents(unit))) for _ in times]
        lines = [
            Line(at, (x1, y1, x2, y2))
            for at, ((x1, x2), (y1, y2)) in zip(times, boxes, strict=True)
        ]
        blocks.append(Block(draw(names), tuple(lines)))
    intervals = draw(st.lists(extents(100_000), min_size=1, max_size=4))
    return Answer(tuple(blocks), tuple(intervals))


def asked(answer: Answer, task: Task) -> Answer:
    """The part of an answer that its task asks for."""
    if task == "temporal":
        return Answer((Block(answer.blocks[0].name),), answer.intervals_micro)
    return answer if task == "spatio_temporal" else Answer(answer.blocks)


def drawn_answer(data: st.DataObject, task: Task, box_space: str) -> Answer:
    """A right answer of a task in a box space."""
    unit = 1_000 if box_space == "norm" else 1_000_000
    return data.draw(answers(unit, 3 if task == "spatial" else 1))


@moderate
@given(st.data(), st.sampled_from(TASKS), st.sampled_from(["norm", "native_px", "rel1000"]))
def test_render_then_parse_gives_the_numbers_back(
    data: st.DataObject, task: Task, box_space: str
) -> None:
    """What is rendered has the right format and parses to the same answer."""
    answer = drawn_answer(data, task, box_space)
    parsed = parse(render(answer, task, box_space), task)
    assert (parsed.status, parsed.format_ok) == ("ok", True)
    assert parsed.answer == asked(answer, task)


@moderate
@given(answers(1_000_000, 4), st.randoms(use_true_random=False))
def test_block_order_does_not_change_what_is_parsed(answer: Answer, random: Any) -> None:
    """Permuted blocks keep the format and the multiset of blocks."""
    order = list(answer.blocks)
    random.shuffle(order)
    parsed = parse(render(Answer(tuple(order)), "spatial", "native_px"), "spatial")
    assert parsed.format_ok
    assert Counter(parsed.answer.blocks) == Counter(answer.blocks)


@moderate
@given(st.data(), st.sampled_from(TASKS))
def test_white_space_between_tokens_is_free(data: st.DataObject, task: Task) -> None:
    """Any run of space, tab and newline, also none, may stand between two tokens."""
    answer = drawn_answer(data, task, "norm")
    text = render(
        Answer((Block("dog", answer.blocks[0].lines),), answer.intervals_micro), task, "norm"
    )
    tokens = re.findall(r"</?[a-z]+>|[a-z]+|-?[0-9.]+|[][,:]", text)
    assert "".join(tokens) == re.sub(r"\s", "", text)
    gaps = data.draw(
        st.lists(st.text(" \t\n", max_size=3), min_size=len(tokens) + 1, max_size=len(tokens) + 1)
    )
    spaced = gaps[0] + "".join(a + b for a, b in zip(tokens, gaps[1:], strict=True))
    assert parse(spaced, task) == parse(text, task)


TAG_NAMES = ("think", "answer", "object", "when", "where")
PIECES = [
    *(f"<{slash}{name}>" for name in TAG_NAMES for slash in ("", "/")),
    *("[", "]", ",", ":", "-", ".", "<", ">", "\n", "\r", " ", "\u00a0", "\ud800"),
    *("1", "nan", "none", "[1, 2]", "1.0: [0.1, 0.1, 0.3, 0.3]"),
]


@st.composite
def mutated(draw: st.DrawFn, task: Task) -> str:
    """A right answer with a few pieces put in, taken out or written twice."""
    text = render(draw(answers(1_000, 3 if task == "spatial" else 1)), task, "norm")
    if draw(st.booleans()):
        text = f"<think>{draw(st.text(max_size=5))}</think>\n{text}"
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 9)))
        middle = draw(st.sampled_from([*PIECES, "", text[start:end] * 2]))
        text = text[:start] + middle + text[end:]
    return text


GAP = "[ \t\n]*"
NUMBER = r"-?[0-9]{1,7}(?:\.[0-9]{1,6})?"


def spaced(*tokens: str) -> str:
    """The pattern of tokens with white space between them."""
    return GAP.join(tokens)


INTERVAL = spaced(r"\[", NUMBER, ",", NUMBER, r"\]")
LINE = spaced(NUMBER, ":", r"\[", NUMBER, ",", NUMBER, ",", NUMBER, ",", NUMBER, r"\]")
OBJECT = spaced("<object>", "[^<>]*", "</object>")
WHEN = spaced("<when>", INTERVAL, f"(?:,{GAP}{INTERVAL}{GAP})*</when>")
WHERE = spaced("<where>", f"(?:{LINE}{GAP})+</where>")
BODIES = {
    "temporal": spaced(OBJECT, WHEN),
    "spatial": f"(?:{OBJECT}{GAP}{WHERE}{GAP})+|<object>{GAP}none{GAP}</object>",
    "spatio_temporal": spaced(OBJECT, WHEN, WHERE),
}


@cache
def whole(task: Task) -> re.Pattern[str]:
    """The grammar of CONTRACTS 6 as one pattern: slow, and written from the page alone."""
    think = f"(?:<think>(?:(?!</think>).)*</think>{GAP})?"
    body = spaced("<answer>", f"(?P<body>{BODIES[task]})", "</answer>")
    return re.compile(f"{GAP}{think}{body}{GAP}", re.DOTALL)


def format_by_pattern(text: str, task: Task) -> bool:
    """The format as the pattern and the three rules of order say."""
    match = whole(task).fullmatch(text)
    if match is None:
        return False
    body = match["body"]
    names_found = [name.strip(" \t\n") for name in re.findall("<object>([^<]*)<", body)]
    if not all(1 <= len(name) <= 80 for name in names_found):
        return False
    in_order = True
    for when in re.findall("<when>([^<]*)<", body):
        for pair in re.findall(INTERVAL, when):
            start, end = map(float, re.findall(NUMBER, pair))
            in_order &= start < end
    for where in re.findall("<where>([^<]*)<", body):
        rows = [[float(n) for n in re.findall(NUMBER, row)] for row in re.findall(LINE, where)]
        in_order &= all(x1 < x2 and y1 < y2 for _, x1, y1, x2, y2 in rows)
        in_order &= all(a[0] < b[0] for a, b in pairwise(rows))
    return in_order


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from(TASKS))
def test_format_agrees_with_the_grammar_as_a_pattern(data: st.DataObject, task: Task) -> None:
    """On right answers and their mutations the scan's format is that of a whole-text pattern."""
    text = data.draw(mutated(task))
    assert parse(text, task).format_ok == format_by_pattern(text, task)


@moderate
@given(
    st.text() | st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from(TASKS)
)
def test_parse_never_raises(text: str, task: Task) -> None:
    """Any text parses, and what has no complete answer gives nothing."""
    parsed = parse(text, task)
    assert parsed.status == (
        "ok" if re.search("<answer>.*</answer>", text, re.DOTALL) else "no_answer"
    )
    assert parsed.status == "ok" or parsed.answer == Answer()


# --- reading time -------------------------------------------------------------------------------

ADVERSARIAL = [json.loads(row) for row in ADVERSARIAL_FILE.read_text("utf-8").splitlines()]


def reading_seconds(text: str, repeats: int = 1) -> float:
    """The processor time of some readings of a text."""
    start = time.process_time()
    for _ in range(repeats):
        parse(text, "spatial")
    return time.process_time() - start


def doubling_ratio(prefix: str, piece: str, suffix: str) -> float:
    """How many times longer a text of 100,000 characters takes than one of 50,000."""
    short, long = (prefix + piece * (size // len(piece)) + suffix for size in (50_000, 100_000))
    repeats = max(1, int(0.002 / max(reading_seconds(short), 1e-7)))
    # Alternating, so that a change of the processor's clock meets both.
    times = [(reading_seconds(long, repeats), reading_seconds(short, repeats)) for _ in range(4)]
    return min(long_s for long_s, _ in times) / min(short_s for _, short_s in times)


@pytest.mark.parametrize("case", ADVERSARIAL, ids=lambda case: case["name"])
def test_reading_time_is_linear(case: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A text twice as long takes less than three times as long, whatever it repeats."""
    # Below the cap the constant costs hide a square term that C runs through fast.
    monkeypatch.setattr(grammar, "MAX_BYTES", 1_000_000)
    # A quadratic reader gives about 4 at every try; a neighbour's load does not last for three.
    ratios: list[float] = []
    while len(ratios) < 3 and (not ratios or ratios[-1] >= 3):
        ratios.append(doubling_ratio(case["prefix"], case["piece"], case["suffix"]))
    assert min(ratios) < 3, ratios
