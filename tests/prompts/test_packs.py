"""Question template packs: the published wording, and packs that are refused with their line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from earshot.errors import ConfigError
from earshot.prompts.packs import Template, load_pack, parse_pack

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

TWO = "question:\n      - When is {{object}}?\n      - When is {}?"


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
    with pytest.raises(ConfigError, match="expected one of earshot, r-avst"):
        load_pack("other")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("answers: earshot", "answers: free", 3, "answers: Input should be 'earshot' or 'r-avst'"),
        ('version: "1"\n', "", 1, "version: Field required"),
        ("    task: temporal", "    task: when", 7, "templates.0.task"),
        ("branch: silent", "branch: silent\n    options: 4", 13, "'options'"),
        ("branch: silent", "branch: silent\n    about: object", 13, "'object'"),
        ("branch: silent", "branch: sounding\n    options: 2", 12, "greater than or equal to 3"),
        ("    branch: silent\n", "", 9, "has task 'spatial' and branch None"),
        ("{start}", "{s}", 12, "needs ['end', 'start']"),
        ("{object}", "it", 8, "needs ['object']"),
        ("{object}", "{object!r}", 8, "write it bare"),
        ("{object}", "{object", 8, "expected '}'"),
        ("question: When", "question:\n      - Is {object} on?\n      - When", 0, ""),
        ("question: When does {object} sound?", TWO.format("it"), 10, "needs ['object']"),
        ("question: When does {object} sound?", TWO.format("{object}"), 9, "stands here twice"),
        ("question: When does {object} sound?", "question: []", 8, "at least 1 item"),
        ("question: When does {object} sound?", "question: {a: b}", 8, "question"),
        ("- id: b", "- id: a", 9, "two templates with the id 'a'"),
        ("task: temporal", "task: temporal\n    which: left", 6, "only a spatio_temporal question"),
        ("task: temporal", "task: temporal\n    which: top", 8, "'left' or 'right'"),
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
    if not reason:  # an anchor that nothing refers to is harmless, a list of wordings is meant
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


def test_a_paraphrase_is_chosen_by_the_key_alone() -> None:
    """One key, one wording; all are used; a new one takes over some keys and moves no others."""
    few = load_pack("earshot").templates[0]
    more = few.model_copy(update={"question": (*few.question, "Is {object} on?")})
    keys = [f"v/q-{number}" for number in range(2000)]
    before = [few.fill(name="dog", key=key) for key in keys]
    shares = [before.count(each.format(object="dog")) for each in few.question]
    assert all(400 < share < 600 for share in shares), shares
    assert sum(shares) == len(keys)
    after = [more.fill(name="dog", key=key) for key in keys]
    moved = {new for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {"Is dog on?"}
    assert before[:3] == [few.fill(name="dog", key=key) for key in keys[:3]]


def test_the_earshot_pack_asks_every_task_in_several_wordings() -> None:
    """Three wordings or more a task, each on one line, and "none" wherever it may be true."""
    pack = load_pack("earshot")
    assert (pack.answers, pack.times) == ("earshot", "every_stretch")
    asked = {
        (each.task, each.branch, each.about, each.options is not None): each.question
        for each in pack.templates
    }
    assert len(asked) == 6  # of two instances there are templates beside the plain one
    assert all(len(wordings) >= 3 for wordings in asked.values())
    assert not [text for wordings in asked.values() for text in wordings if "\n" in text]
    for about in (None, "object"):
        assert all("none" in text for text in asked["spatial", "sounding", about, False])


def test_the_page_about_packs_says_what_happens() -> None:
    """The pack of docs/questions.md is whole, and the error there is the one that a slip gives."""
    page = (Path(__file__).parents[2] / "docs" / "questions.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(parse_pack(text, "mine.yaml").templates) == 2
    (error,) = re.findall(r"^error: (.*)$", page, re.MULTILINE)
    with pytest.raises(ConfigError) as caught:
        parse_pack(text.replace("stretch with the {object}", "stretch with it"), "mine.yaml")
    assert str(caught.value) == error


def test_a_file_that_no_pack_can_be_is_refused_by_name(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and brackets without end."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(GOOD.replace("sound", "t\u00f6nen").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin.yaml' can't be read .*give a YAML file in UTF-8"):
        load_pack(str(latin))
    with pytest.raises(ConfigError, match=r"deep.yaml:1: too deeply nested"):
        parse_pack("[" * 5000 + "]" * 5000, "deep.yaml")


@pytest.mark.parametrize("template", load_pack("earshot").templates, ids=lambda each: each.id)
def test_wordings_fit_a_name_in_the_plural(template: Template) -> None:
    """No "is the people", "the scissors makes" or "its": a name may be a plural."""
    for wording in template.question:
        if template.which is None and "{object}" in wording:
            assert not re.search(
                r"\bis the \{|\{object\}\S* (is|makes|has|does)\b|\bits?\b", wording
            )
