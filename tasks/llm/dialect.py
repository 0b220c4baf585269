"""What an endpoint takes: how it is told the form, the limit and the temperature, and if it hears.

Found out once for an endpoint and model, by asking for the strictest first and giving way where it
says no, and remembered beside the request cache.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from earshot.schemas.base import digest_of
from earshot.schemas.config import LlmConfig
from earshot.store.workspace import write_atomic

ResponseFormat = Literal["json_schema", "json_object", "text"]
_WEAKER: dict[ResponseFormat, ResponseFormat] = {
    "json_schema": "json_object",
    "json_object": "text",
}


@dataclass(frozen=True)
class Dialect:
    """How one endpoint wants to be asked."""

    response_format: ResponseFormat = "json_schema"
    limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    takes_temperature: bool = True
    takes_sound: bool = True

    def weaker(self, said: str, *, is_fixed: bool, has_sound: bool) -> Dialect | None:
        """Return the dialect to try after a refusal; None where there is none left.

        Args:
            said: the endpoint's words; what they name goes first.
            is_fixed: the response format is known.
            has_sound: the request had sound.
        """
        words = said.lower()
        if "content_filter" in words:
            return None
        if has_sound and self.takes_sound and "audio" in words:
            return replace(self, takes_sound=False)
        if self.takes_temperature and "temperature" in words:
            return replace(self, takes_temperature=False)
        if self.limit_field == "max_completion_tokens" and self.limit_field in words:
            return replace(self, limit_field="max_tokens")
        if not is_fixed and self.response_format in _WEAKER:
            return replace(self, response_format=_WEAKER[self.response_format])
        return None


def first_dialect(llm: LlmConfig) -> Dialect:
    """Return what is tried first."""
    return Dialect() if llm.response_format == "auto" else Dialect(llm.response_format)


def known_dialect(folder: Path, llm: LlmConfig) -> Dialect | None:
    """Return what was found out before, or None; what can't be read is found out again."""
    with suppress(OSError, ValueError, TypeError):
        return Dialect(**json.loads(_file(folder, llm).read_text()))
    return None


def remember_dialect(folder: Path, llm: LlmConfig, dialect: Dialect) -> None:
    """Keep what was found out.

    Raises:
        WorkspaceError: when the disk is full, read-only or forbidden.
    """
    write_atomic(_file(folder, llm), json.dumps(asdict(dialect)).encode())


def _file(folder: Path, llm: LlmConfig) -> Path:
    name = digest_of([llm.endpoint, llm.model, llm.response_format])[:16]
    return folder / "dialects" / f"{name}.json"
