"""The configuration file: TOML that mirrors the pydantic model, with its descriptions as comments.

Reads and writes text; every error names the field, the value and what was expected.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from earshot.errors import ConfigError
from earshot.schemas.config import Config, Section


def load_config(path: Path | None) -> Config:
    """Return the configuration of a TOML file; the defaults where `path` is None.

    Raises:
        ConfigError: if it can't be read, is no TOML, or breaks the model.
    """
    if path is None:
        return Config()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"config {path} is not there: `earshot init` writes one") from error
    except OSError as error:
        raise ConfigError(f"config {path} can't be read ({error}): give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is no TOML: {error}") from error
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(one)}" for one in error.errors())
        raise ConfigError(
            f"config {path}:\n{problems}\n`earshot config show` prints all fields"
        ) from error


def render_config(config: Config) -> str:
    """Return a configuration as TOML with the fields' descriptions as comments."""
    document = tomlkit.document()
    for name in Config.model_fields:
        section: Section = getattr(config, name)
        table = tomlkit.table()
        about = (type(section).__doc__ or "").split("\n")[0]
        if about:
            table.comment(about)
        for key, inner in type(section).model_fields.items():
            _add(table, key, getattr(section, key), inner)
        document.add(name, table)
    return tomlkit.dumps(document)


def _add(table: Any, key: str, value: Any, field: FieldInfo) -> None:
    if field.description:
        table.add(tomlkit.comment(field.description))
    if value is None:
        table.add(tomlkit.comment(f"{key} = (not set)"))
        return
    if isinstance(value, tuple) and any(isinstance(each, Section) for each in value):
        rows = tomlkit.aot()
        for each in value:
            rows.append(tomlkit.item(each.model_dump()))
        table.add(key, rows)
        return
    if isinstance(value, dict):  # a table of its own would take in all fields behind it
        inline = tomlkit.inline_table()
        inline.update(value)
        table.add(key, inline)
        return
    table.add(key, list(value) if isinstance(value, tuple) else value)


# What people put there by mistake is the secret itself.
_NEVER_SHOWN = frozenset({"key_env", "endpoint", "token_env"})


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    value = problem.get("input")
    if _NEVER_SHOWN & set(problem["loc"]):
        return f"{where}: {problem['msg']}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such field{_nearest(problem['loc'])}; remove or rename it"
    if isinstance(value, dict):  # a rule of a whole section: its message names the fields
        return f"{where}: {problem['msg']}"
    return f"{where} = {value!r}: {problem['msg']}"


def _nearest(location: tuple[Any, ...]) -> str:
    fields: dict[str, FieldInfo] = Config.model_fields
    for part in location[:-1]:
        kind = fields[part].annotation
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else {}
    near = difflib.get_close_matches(str(location[-1]), fields, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
