"""Question template packs: the published wording, and packs that are refused with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.errors import ConfigError
from earshot.prompts.packs import load_pack, parse_pack

GOOD = """\
pack: mine
version: "1"
answers: earshot
times: segment
templates:
  - id: a
    task: temporal
    question: When does {object} sound?
  - id: b
    task: spatial
    branch: silent
    question: What is silent between {start} and {end}?
"""


def test_the_r_avst_pack_has_the_published_templates_word_for_word() -> None:
    """The four patterns that cover all 1,638 released questions (seeds.md 1.2)."""
    pack = load_pack("r-avst")
    filled = [each.fill(name="dog", start="1.4", end="4.3") for each in pack.templates]
    assert filled == [
        "When is the moment dog makes sound and is visible?",
        "What visible object(s) make sound between 1.4 and 4.3, and where is/are they?",
        "What silent object(s) can be seen between 1.4 and 4.3, and where is/are they?",
        'When is the moment dog makes sound and is visible, and where is the "dog"?',
    ]


def test_the_digest_follows_the_content_alone() -> None:
    """A comment changes nothing, a word does: the digest is part of the stage's key."""
    plain = parse_pack(GOOD, "a.yaml")
    assert parse_pack("# why\n" + GOOD, "b.yaml").digest == plain.digest
    assert parse_pack(GOOD.replace("sound?", "bark?"), "a.yaml").digest != plain.digest


def test_a_pack_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    """A name that ends in .yaml is a path."""
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert load_pack(str(file)).name == "mine"
    with pytest.raises(ConfigError, match="no such file"):
        load_pack(str(tmp_path / "other.yaml"))
    with pytest.raises(ConfigError, match="expected one of r-avst"):
        load_pack("other")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("answers: earshot", "answers: free", 3, "answers: Input should be 'earshot' or 'r-avst'"),
        ('version: "1"\n', "", 1, "version: Field required"),
        ("    task: temporal", "    task: when", 7, "templates.0.task"),
        ("    branch: silent\n", "", 9, "has task 'spatial' and branch None"),
        ("{start}", "{s}", 9, "placeholders"),
        ("{object}", "it", 6, "placeholders"),
        ("{object}", "{object!r}", 6, "write it bare"),
        ("{object}", "{object", 6, "expected '}'"),
        ("- id: b", "- id: a", 1, "two templates with the id 'a'"),
        ("times: segment", "times: segment\nmore: 1", 5, "more: Extra inputs"),
        ("times: segment", "times: segment\ntimes: segment", 5, "key 'times' stands here twice"),
        ("answers: earshot", "answers: [earshot", 4, "expected"),
        ("- id: a", "- &x\n    id: a", 6, ""),
        ("version: \"1\"", "version: &v x\nabout: *v", 3, "aliases"),
        (GOOD, "", 1, "empty"),
        (GOOD, "- a\n", 1, "expected keys"),
        (GOOD, "a\x00b", 1, "special characters"),
    ],
)  # fmt: skip
def test_a_broken_pack_is_refused_with_file_line_and_reason(
    old: str, new: str, line: int, reason: str
) -> None:
    """The message leads to the place: `mine.yaml:7: ...`."""
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not reason:  # an anchor that nothing refers to is harmless
        assert parse_pack(text, "mine.yaml").name == "mine"
        return
    with pytest.raises(ConfigError) as caught:
        parse_pack(text, "mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml:{line}: "), caught.value
    assert reason in str(caught.value)


def test_r_avst_answers_have_one_interval() -> None:
    """R-AVST's rendering can't say several stretches, so no pack may ask for them with it."""
    text = GOOD.replace("answers: earshot", "answers: r-avst").replace("segment", "every_stretch")
    with pytest.raises(ConfigError, match="one interval"):
        parse_pack(text, "mine.yaml")
