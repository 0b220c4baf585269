"""No text raises, leaves the range or costs more than linear time, in both modes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.rewards import Score, score
from earshot.rewards import grammar as grammar_module
from earshot.rewards.grammar import Task
from earshot.rewards.result import WEIGHTS
from tests.rewards.truths import SECOND, Case, cases, own_blocks, truth_of, write

Mode = Literal["strict", "avst_zero"]
MODES: tuple[Mode, ...] = ("strict", "avst_zero")
TAGS = [
    f"<{s}{name}>" for name in ("think", "answer", "object", "when", "where") for s in ("", "/")
]
PIECES = [
    *TAGS,
    *(
        "[",
        "]",
        ",",
        ":",
        ": ",
        "-",
        ".",
        "<",
        ">",
        "\n",
        "\r",
        " ",
        "\u00a0",
        "\ud800",
        "\\",
        "\x00",
    ),
    *("1", "nan", "inf", "1e9", "none", "dog", "[1, 2]", "<when>[", "1.0: [0.1, 0.1, 0.3, 0.3]"),
    *("'answer': '", "'}", "\\x", "\\d", "\u2028"),
]


def check(got: Score, task: Task) -> None:
    """Every number is in range, what does not apply is None, and the total is the sum."""
    for name in ("object", "temporal", "spatial"):
        value = getattr(got, name)
        assert value is None or (name in WEIGHTS[task] and 0 <= value <= 1)
    assert got.format in (0.0, 1.0)
    assert got.total == got.format + (got.task_total(task) or 0.0)
    assert 0 <= got.total <= 2
    assert got.status in ("ok", "no_answer", "too_long", "original_raised", "original_nan")


@settings(max_examples=150, deadline=None)
@given(cases(), st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_text_has_a_score(case: Case, text: str) -> None:
    """Whatever the completion, both modes give a score in range."""
    for mode in MODES:
        check(score(case.task, text, case.truth, mode), case.task)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Case, str]:
    """A right answer with pieces put in, taken out or written again."""
    case = draw(cases())
    blocks = own_blocks(case.tubes) or ([] if case.task == "spatial" else [("dog", [])])
    text = write(case.task, blocks, case.intervals)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        middle = draw(st.sampled_from([*PIECES, "", text[start:end] * 2]))
        text = text[:start] + middle + text[end:]
    return case, text


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_a_broken_right_answer_has_a_score(pair: tuple[Case, str]) -> None:
    """The neighbourhood of right answers, where most of the code is reached."""
    case, text = pair
    for mode in MODES:
        check(score(case.task, text, case.truth, mode), case.task)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "v",
                        "task",
                        "branch",
                        "intervals",
                        "objects",
                        "name",
                        "accept",
                        "tubes",
                        "boxes",
                        "grid",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
    ),
    st.sampled_from(["objects", "intervals", "grid", "branch", "v"]),
)
def test_any_json_is_a_truth_or_a_bad_one(value: Any, field: str) -> None:
    """No JSON raises in the truth's place, nor in the place of one of its parts."""
    whole = json.loads(truth_of("spatial", [("dog", [(0, (0, 0, 1, 1))])], (), [0], "silent"))
    for truth in (json.dumps(value), json.dumps({**whole, field: value})):
        for mode in MODES:
            assert 0 <= score("spatial", "<answer></answer>", truth, mode).total <= 1


# --- time -----------------------------------------------------------------------------------------

ADVERSARIAL = [
    *map(
        json.loads,
        Path(__file__).with_name("adversarial_texts.jsonl").read_text("utf-8").splitlines(),
    ),
    {
        "name": "right blocks",
        "prefix": "<answer>",
        "suffix": "</answer>",
        "piece": "<object>dog</object><where>1: [0, 0, 1, 1]\n2: [0, 0, 1, 1]</where>",
    },
    {
        "name": "links",
        "prefix": "<answer><when>[1, 2]</when><object>",
        "suffix": "</answer>",
        "piece": "</object><where>",
    },
    {
        "name": "objects before a where",
        "prefix": "<answer><when>[1, 2]</when>",
        "suffix": "<where></answer>",
        "piece": "<object></object>",
    },
    {"name": "whens on a row", "prefix": "", "piece": "<when>[", "suffix": "\n]</when>"},
    {"name": "whens on rows", "prefix": "", "piece": "<when>[\n", "suffix": "]</when>"},
    {"name": "wrapped", "prefix": "", "piece": "'answer': '", "suffix": ""},
    {"name": "wrapped and spaced", "prefix": "'answer':", "piece": " ", "suffix": ""},
    {"name": "backslashes", "prefix": "", "piece": "\\\\", "suffix": ""},
    {
        "name": "long time",
        "prefix": "<object>dog</object><where>",
        "piece": "1",
        "suffix": ": [0, 0, 1, 1]</where>",
    },
    {
        "name": "long line",
        "prefix": "<object>dog</object><where>1: [",
        "piece": "1, ",
        "suffix": "</where>",
    },
]
TRUTH = truth_of("spatial", [("dog", [(SECOND, (0, 0, SECOND, SECOND))])], (), [SECOND], "sounding")


def seconds(text: str, mode: Mode, repeats: int = 1) -> float:
    """The processor time of some scorings of a text."""
    start = time.process_time()
    for _ in range(repeats):
        score("spatial", text, TRUTH, mode)
    return time.process_time() - start


def doubling_ratio(case: dict[str, str], mode: Mode) -> float:
    """How many times longer a text of 120,000 characters takes than one of 60,000."""
    short, long = (
        case["prefix"] + case["piece"] * (size // len(case["piece"])) + case["suffix"]
        for size in (60_000, 120_000)
    )
    repeats = max(1, int(0.002 / max(seconds(short, mode), 1e-7)))
    # Alternating, so that a change of the processor's clock meets both.
    times = [(seconds(long, mode, repeats), seconds(short, mode, repeats)) for _ in range(4)]
    return min(long_s for long_s, _ in times) / min(short_s for _, short_s in times)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ADVERSARIAL, ids=lambda case: case["name"])
def test_time_is_linear(case: dict[str, str], mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text twice as long takes less than three times as long, whatever it repeats."""
    monkeypatch.setattr(grammar_module, "MAX_BYTES", 1_000_000)
    # A quadratic reader gives about 4 at every try; a neighbour's load does not last for three.
    ratios: list[float] = []
    while len(ratios) < 3 and (not ratios or ratios[-1] >= 3):
        ratios.append(doubling_ratio(case, mode))
    assert min(ratios) < 3, ratios
