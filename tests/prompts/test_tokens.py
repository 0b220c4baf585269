"""The estimate of tokens against counts that Qwen2's pattern and vocabulary gave, taken once."""

from __future__ import annotations

import pytest

from earshot.prompts.tokens import count_tokens

DOG = "<object>dog</object>\n<when>[1.4, 4.3], [8.0, 9.5]</when>"
PLAYER = (
    "<object>ukulele player</object>\n<where>\n1.4: [158, 3, 561, 335]\n2.4: [158, 69, 561, 335]"
)
WOMAN = (
    "<object>woman in a red coat</object>\n<when>[0.0, 12.5]</when>\n<where>\n"
    "0.0: [0.120, 0.300, 0.455, 0.980]\n10.0: [0.120, 0.300, 0.455, 0.980]"
)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (DOG, 36),
        ("<object>none</object>", 12),
        (f"{PLAYER}\n</where>", 66),
        (f"{WOMAN}\n</where>", 102),
        ("<object>B</object>\n<where>\n3.0: [120, 300, 455, 980]\n</where>", 41),
    ],
)
def test_the_estimate_is_never_below(body, tokens):
    """And at most three tokens above on these."""
    assert tokens <= count_tokens(f"<answer>\n{body}\n</answer>") <= tokens + 3


def test_every_digit_is_a_token():
    """And a space before one: what a box line costs."""
    pieces = ["1", ".", "4", ":", " [", "1", "5", "8", ",", " ", "3", "]\n"]
    assert count_tokens("".join(pieces)) == len(pieces)
