"""The configuration: its sections, their limits, and that every field explains itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from earshot.schemas.config import Config, Section

FIELDS = [
    (section, name)
    for section, field in Config.model_fields.items()
    for name in field.annotation.model_fields  # type: ignore[union-attr]
]


def section_class(name: str) -> type[Section]:
    """Return the class of a section by its name in the file."""
    kind = Config.model_fields[name].annotation
    assert kind is not None
    assert issubclass(kind, Section)
    return kind


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_field_says_what_it_is_for(section: str, name: str) -> None:
    """The file's comments and Prefect's form are made of descriptions of one short line."""
    text = section_class(section).model_fields[name].description
    assert text
    assert "\n" not in text


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_section_is_frozen_and_closed(name: str) -> None:
    """A section says in a sentence what it is, refuses unknown fields and can't be changed."""
    kind = section_class(name)
    assert kind.__doc__
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind.model_validate({"colour": "red"})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(kind(), next(iter(kind.model_fields)), None)


def test_defaults_keep_their_own_rules() -> None:
    """Nothing has to be configured, and the defaults are valid and stay equal in JSON."""
    config = Config()
    assert Config.model_validate(config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_defaults_are_those_of_r_avst() -> None:
    """CONTRACTS 3: up to 60 + 0.5 s, a share of at least 0.08, at most 3 labels."""
    chosen = Config().filter
    assert (chosen.max_duration_s, chosen.min_event_share, chosen.max_events) == (60.5, 0.08, 3)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("run", {"limit_s": 0}),
        ("run", {"limit_s": float("inf")}),
        ("captions", {"tolerance_s": -0.1}),
        ("filter", {"min_event_share": 1.1}),
        ("filter", {"max_events": 0}),
        ("analyse", {"backend": "oracle"}),
        ("track", {"fps": 0}),
        ("questions", {"test_share": 1.0}),
        ("release", {"name": "a b"}),
        ("release", {"licence": ""}),
        ("release", {"licence": " "}),
        ("run", {"workers": 0}),
    ],
)
def test_values_outside_the_limits_are_refused(section: str, values: dict[str, Any]) -> None:
    """A configuration that could not work is refused before anything runs."""
    with pytest.raises(ValidationError):
        Config.model_validate({section: values})
