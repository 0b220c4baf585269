"""Reads the prompts of this folder: Markdown whose first line is `version: N`.

Gives text, version and digest; fills nothing in.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from earshot.errors import ConfigError


@dataclass(frozen=True)
class PromptText:
    """One prompt: its version, its text without the version line, the sha256 of the file."""

    version: str
    text: str
    digest: str


@cache
def read_prompt(name: str) -> PromptText:
    """Return the prompt `prompts/{name}.md`.

    Raises:
        ConfigError: if it has no version line.
    """
    raw = resources.files("earshot.prompts").joinpath(f"{name}.md").read_bytes()
    head, _, body = raw.decode("utf-8").partition("\n")
    if not (found := re.fullmatch(r"version: (\S+)", head.strip())):
        raise ConfigError(f"prompts/{name}.md begins with {head[:60]!r}: expected `version: N`")
    return PromptText(found[1], body.strip(), hashlib.sha256(raw).hexdigest())
