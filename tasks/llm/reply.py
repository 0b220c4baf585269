"""What a raw body says: the text of the answer, or why there is none; and what it used.

Takes the body of a chat completion as it was kept; never raises for what a model or server wrote
but `NoTextError`, which has the ledger's reason code.
"""

from __future__ import annotations

import json
import re
from typing import Any

from earshot.store.requests import Kept, Usage

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_SHOWN = 300


class NoTextError(Exception):
    """An answer without a text that could be read; `code` is a reason code of the ledger."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def text_of(kept: Kept) -> str:
    """Return what the model wrote.

    Raises:
        NoTextError: `refused`, `cut_off`, `content_filter`, `no_answer`, `bad_request`, or
            `bad_answer` where the body is no chat completion.
    """
    try:
        body = json.loads(kept.body)
    except ValueError:
        body = None
    if kept.status != 200:
        said = error_text(body, kept.body)
        if "content_filter" in said or "content_policy" in said:
            raise NoTextError("content_filter", said)
        raise NoTextError("bad_request", f"HTTP {kept.status}: {said}")
    try:
        choice = body["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (TypeError, KeyError, IndexError, AttributeError):
        raise NoTextError("bad_answer", f"no chat completion: {shorten(kept.body)}") from None
    text = _joined(content)
    if refusal:
        raise NoTextError("refused", f"the model refused: {shorten(str(refusal))}")
    if reason == "content_filter":
        raise NoTextError("content_filter", f"stopped after {len(text)} characters")
    if reason == "length":
        raise NoTextError(
            "cut_off", f"cut off after {len(text)} characters; raise llm.max_output_tokens"
        )
    if not text.strip():
        raise NoTextError("no_answer", f"an empty answer, finish_reason {reason!r}")
    return text


def _joined(content: object) -> str:
    if isinstance(content, list):  # some servers answer in parts
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def json_in(text: str) -> str:
    """Return the JSON object of a text: without thoughts before it, or a fence around it.

    Raises:
        ValueError: if there is none, saying where it breaks.
    """
    if text.startswith("{") and text.endswith("}"):
        return text
    rest = _THOUGHT.sub("", text)
    start = rest.find("{")
    if start < 0:
        raise ValueError(f"no JSON object in {shorten(text)!r}")
    _, end = json.JSONDecoder().raw_decode(rest, start)
    return rest[start:end]


def usage_of(body: str) -> Usage | None:
    """Return the tokens that a body says were used; None where it does not say."""
    try:
        said = json.loads(body)["usage"]
        cached = (said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Usage(int(said["prompt_tokens"]), int(said["completion_tokens"]), int(cached))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def error_text(body: Any, raw: str) -> str:
    """Return what an endpoint says is wrong, in one line."""
    if isinstance(body, dict):
        error = body.get("error", body)
        if isinstance(error, dict):
            parts = (error.get("message"), error.get("code"), error.get("param"))
            return shorten(" ".join(str(part) for part in parts if part))
        return shorten(str(error))
    return shorten(raw)


def shorten(text: str) -> str:
    """Return a text in one line of at most 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
