"""The labeling config fits the adapter, and the linter says so where it does not."""

from __future__ import annotations

import pytest

from earshot.annotation_ui.labeling import FIELDS, labeling_config, lint
from earshot.annotation_ui.show import task_of
from tests.annotation_ui.events import shown_of, walking


def test_the_config_fits_the_adapter() -> None:
    """Every name, label, variable and hotkey is as the adapter has it."""
    assert lint(labeling_config()) == []


def test_a_task_has_just_the_fields_that_the_config_may_name() -> None:
    """A variable that no task has would be refused on import, one by one."""
    assert task_of(shown_of(walking()))["data"].keys() == FIELDS


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name="box" toName="video"', 'name="rect" toName="video"', "no tag is named 'box'"),
        ('<Choice value="ok"', '<Choice value="accept"', "offers ['accept'"),
        ('frameRate="$fps"', 'frameRate="25"', "expected '$fps'"),
        ('value="$caption"', 'value="$text"', "no field 'text'"),
        ('height="72"', 'height="72" zoom="1"', "leaves the page empty"),
        ('hotkey="a"', 'hotkey="r"', "hotkey 'r' is taken"),
        ('hotkey="a"', 'hotkey="u"', "hotkey 'u' is taken"),
        ('hotkey="a"', 'hotkey="q"', "hotkey 'q' is taken"),
        (' hotkey="z"', "", "has no hotkey"),
        ('<Text name="caption"', '<HyperText name="caption"', "<HyperText> is forbidden"),
        (
            'toName="audio" showInline',
            'toName="video" showInline',
            "expected <Labels toName='audio",
        ),
        ('name="source"', 'name="caption"', "2 tags are named 'caption'"),
        ("</View>", "", "no XML"),
    ],
)
def test_what_does_not_fit_is_said(old: str, new: str, said: str) -> None:
    """Each slip that the server lets through is found."""
    config = labeling_config()
    assert old in config
    assert said in " ".join(lint(config.replace(old, new, 1)))
