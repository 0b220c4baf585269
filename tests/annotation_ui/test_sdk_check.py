"""Label Studio's own rules, of label-studio-sdk, take what we send and refuse what they should."""

from __future__ import annotations

import json
import sys

import pytest

from earshot.annotation_ui.labeling import labeling_config, question_config
from earshot.annotation_ui.questions import question_task
from earshot.annotation_ui.sdk_check import task_check
from earshot.annotation_ui.show import task_of
from earshot.errors import ConfigError, ItemError
from tests.annotation_ui.events import CLOCK, shown_of, walking
from tests.factories import make_question, make_video


def test_what_we_send_is_taken() -> None:
    """Tasks about events and about questions; a name that the config lacks is refused."""
    pytest.importorskip("label_studio_sdk", reason="pip install 'earshot[inspect]'")
    check = task_check(labeling_config())
    for seed in range(5):
        check(task_of(shown_of(walking(seed=seed), walking(seed=seed, ordinal=1))))
    question = make_question(task="spatio_temporal")
    task_check(question_config())(question_task(question, make_video(), "clips/a.mp4", CLOCK))
    bad = json.loads(json.dumps(task_of(shown_of(walking()))))
    bad["predictions"][0]["result"][0]["from_name"] = "rectangle"
    with pytest.raises(ItemError, match="'rectangle' not found"):
        check(bad)


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the check without the extra is told what to install."""
    monkeypatch.setitem(sys.modules, "label_studio_sdk", None)
    monkeypatch.setitem(sys.modules, "label_studio_sdk.label_interface", None)
    with pytest.raises(ConfigError, match=r"earshot\[inspect\]"):
        task_check(labeling_config())
