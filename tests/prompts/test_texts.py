"""Prompts have a version line, and a prompt that changes has to change it.

`tests/fixtures/prompt_versions.json` holds version and digest of each. After a change: raise the
version line, then `python -m tests.prompts.test_texts` and commit the file.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import pytest

from earshot.errors import ConfigError
from earshot.prompts import texts
from earshot.prompts.texts import read_prompt

FIXTURE = Path(__file__).parents[1] / "fixtures" / "prompt_versions.json"


def current() -> dict[str, list[str]]:
    """Version and digest of every prompt."""
    files = resources.files("earshot.prompts").iterdir()
    names = sorted(file.name.removesuffix(".md") for file in files if file.name.endswith(".md"))
    return {name: [read_prompt(name).version, read_prompt(name).digest] for name in names}


def test_a_changed_prompt_has_a_new_version() -> None:
    """What rows were made with can be told by a number, not by a digest alone."""
    recorded = json.loads(FIXTURE.read_text())
    for name, (version, digest) in current().items():
        before = recorded.get(name)
        assert before is not None, f"prompts/{name}.md is new: python -m tests.prompts.test_texts"
        if before[1] != digest:
            assert before[0] != version, f"prompts/{name}.md changed: raise its version line"
            pytest.fail(f"{FIXTURE.name} has an older {name}: python -m tests.prompts.test_texts")
    assert set(recorded) == set(current())


def test_a_prompt_without_a_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names file and first line."""
    (tmp_path / "broken.md").write_text("Be nice.\n")
    monkeypatch.setattr(texts.resources, "files", lambda _: tmp_path)
    with pytest.raises(ConfigError, match=r"broken\.md begins with 'Be nice\.'"):
        read_prompt("broken")


def test_the_text_comes_without_its_version_line() -> None:
    """A model is not told a number that means nothing to it."""
    prompt = read_prompt("analyse_captions")
    assert prompt.text.startswith("You read one caption")
    assert "version:" not in prompt.text


if __name__ == "__main__":
    FIXTURE.write_text(json.dumps(current(), indent=1) + "\n")
    sys.exit(0)
