"""The configuration file: what is rendered is read back, and every error names its remedy."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import ConfigError
from earshot.schemas.config import Config
from earshot.store.config_file import load_config, render_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its configuration."""
    return tmp_path / "earshot.toml"


def refused(file: Path, text: str) -> str:
    """Return the message with which a configuration is refused."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return str(caught.value)


def test_without_a_file_there_are_the_defaults() -> None:
    """No file is needed."""
    assert load_config(None) == Config()


def test_an_empty_file_is_the_defaults(file: Path) -> None:
    """What a file does not say keeps its default."""
    file.write_text("")
    assert load_config(file) == Config()


def test_the_rendered_defaults_are_the_defaults(file: Path) -> None:
    """`earshot init` writes a file that changes nothing."""
    file.write_text(render_config(Config()), encoding="utf-8")
    assert load_config(file) == Config()


@settings(max_examples=40, deadline=None)
@given(
    timeout_s=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    share=st.floats(0, 1),
    seed=st.integers(-(2**62), 2**62),
    flag=st.booleans(),
    lists=st.lists(st.text(max_size=20), max_size=3),
    text=st.text(max_size=20).filter(str.strip),
)
def test_any_configuration_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    timeout_s: float,
    share: float,
    seed: int,
    flag: bool,
    lists: list[str],
    text: str,
) -> None:
    """Numbers of any size, quotes, line breaks and every script survive the TOML."""
    config = Config.model_validate(
        {
            "run": {"limit_s": timeout_s},
            "filter": {"min_event_share": share, "require_sound": flag},
            "analyse": {"categories": lists},
            "questions": {"split_seed": seed},
            "release": {"licence": text, "exclusion_lists": lists},
        }
    )
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(render_config(config).encode())
    assert load_config(file) == config


def test_the_file_explains_every_field() -> None:
    """Each field stands below its description, each section beside its sentence."""
    text = render_config(Config())
    assert list(tomllib.loads(text)) == list(Config.model_fields)
    lines = [line for line in text.splitlines() if line]
    for name in Config.model_fields:
        section = getattr(Config(), name)
        assert f"[{name}] # {type(section).__doc__}" in lines
        for key, field in type(section).model_fields.items():
            begins = (f"{key} = ", f"# {key} = (not set)", f"[[{name}.{key}]]")
            assert any(
                above == f"# {field.description}" and line.startswith(begins)
                for above, line in pairwise(lines)
            )


def test_a_secret_in_the_wrong_field_is_not_repeated(file: Path) -> None:
    """Whoever writes the key where its name belongs is told so, without the key in the message."""
    said = refused(file, "[llm]\nkey_env = 'sk-proj-123'\nendpoint = 'https://u:pass@h/v1'")
    assert "llm.key_env: Value error, expected the NAME of an environment variable" in said
    assert "llm.endpoint" in said
    assert "sk-proj-123" not in said
    assert "pass@" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[probe]\nmax_byte = 3", "probe.max_byte: no such field (did you mean 'max_bytes'?)"),
        ("[trak]\nfps = 3", "trak: no such field (did you mean 'track'?)"),
        ("[run]\nxyzzy = 3", "run.xyzzy: no such field; remove or rename it"),
        ("[track]\nfps = 'fast'", "track.fps = 'fast': Input should be a valid number"),
        ("[track]\nfps = true", "track.fps = True: Value error, expected a number, found true"),
        ("[run]\nbatch_size = true", "expected a number, found true"),
        ("[llm]\nmax_budget_usd = false", "expected a number, found false"),
        ("[track]\nfps = 0", "track.fps = 0: Input should be greater than 0"),
        ("probe = 3", "probe = 3: Input should be a valid dictionary"),
        ("[analyse]\ncategories = [1]", "analyse.categories.0 = 1: Input should be a valid string"),
    ],
)
def test_an_error_names_field_value_and_expectation(file: Path, text: str, message: str) -> None:
    """A wrong field names its nearest neighbour; a wrong value what was expected of it."""
    said = refused(file, text)
    assert message in said
    assert str(file) in said
    assert "earshot config show" in said


def test_all_errors_are_told_at_once(file: Path) -> None:
    """A file with two mistakes is mended in one go."""
    said = refused(file, "[track]\nfps = 0\n[probe]\nmax_byte = 3")
    assert "track.fps" in said
    assert "probe.max_byte" in said


def test_a_file_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    """The error says how to get a file."""
    with pytest.raises(ConfigError, match="`earshot init` writes one"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("content", [b"[probe", b"a = 1\na = 2", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(file: Path, content: bytes) -> None:
    """A broken file, a key given twice and bytes that are no UTF-8 are told as such."""
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is no TOML"):
        load_config(file)
