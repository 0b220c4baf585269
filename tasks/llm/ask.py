"""The one builder of requests: what a model is asked, its digest, and the body that is sent.

Takes messages and a JSON schema; gives the body of a chat completion in an endpoint's dialect. The
digest is over what is asked, not over how a dialect writes it: a cached answer stays one when the
endpoint learns to take schemas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from earshot.schemas.base import canonical_json, digest_of, sha256_hex
from earshot.schemas.config import LlmConfig
from earshot.schemas.numbers import PlainNumbers
from earshot.tasks.llm.dialect import Dialect

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SOUND = "input_audio"
Part = Mapping[str, Any]
Message = Mapping[str, "str | tuple[Part, ...]"]
"""A role and its content: text, or parts where pictures or sound are shown.

The field `stands_for` of a part is not sent: it says in the digest what the bytes are of.
"""


class AnswerModel(PlainNumbers):
    """A part of an answer; what is not asked for is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


@dataclass(frozen=True)
class AnswerForm:
    """The JSON schema that an answer has to have, with its digest."""

    name: str
    schema: Mapping[str, Any]
    digest: str

    @cached_property
    def encoded(self) -> bytes:
        """The value of `response_format` that asks for it, as JSON."""
        named = {"name": self.name, "strict": True, "schema": self.schema}
        return _json({"type": "json_schema", "json_schema": named})

    @classmethod
    def of(cls, name: str, model: type[BaseModel]) -> AnswerForm:
        """Return the form of a pydantic model, as strict endpoints want it.

        Every field is required, no other is allowed, nothing is referred to.
        """
        raw = model.model_json_schema()
        schema = _strict(raw, raw.get("$defs", {}))
        return cls(name, schema, digest_of(schema))


def _strict(node: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_strict(each, known) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _strict(known[node["$ref"].rsplit("/", 1)[-1]], known)
    kept = {
        name: _strict(value, known)
        for name, value in node.items()
        if name not in ("$defs", "title", "default", "minLength", "minimum", "maximum")
    }
    if node.get("type") == "object" and "properties" in node:
        kept["properties"] = {n: _strict(v, known) for n, v in node["properties"].items()}
        kept["required"] = list(node["properties"])
        kept["additionalProperties"] = False
    return kept


def _told(part: Part) -> Part:
    """Return what the digest says of a part: of a picture what it stands for, not its bytes."""
    stands_for = part.get("stands_for")
    return part if stands_for is None else {"type": part["type"], "stands_for": stands_for}


def _json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _sent(message: Message, dialect: Dialect) -> bytes:
    content = message["content"]
    if isinstance(content, str):
        return _text_message(str(message["role"]), content)
    parts = [
        {name: part[name] for name in part if name != "stands_for"}
        for part in content
        if dialect.takes_sound or part["type"] != _SOUND
    ]
    return _json({"role": message["role"], "content": parts})


def model_key(llm: LlmConfig) -> str:
    """Return what of the model's settings decides an answer: a part of a stage's key."""
    revision = f"@{llm.revision}" if llm.revision else ""
    return f"{llm.model}{revision} temperature={llm.temperature} max={llm.max_output_tokens}"


@lru_cache(maxsize=64)
def _settings(*settings: str | float | None) -> bytes:
    return canonical_json(settings)


@lru_cache(maxsize=64)
def _text_message(role: str, content: str) -> bytes:
    """Return the canonical JSON of a message; long instructions are the same in every request."""
    return b'{"content":%b,"role":%b}' % (_json(content), _json(role))


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        step: which step asks; estimates learn by it.
        messages: fixed instructions first, what differs last: endpoints cache equal beginnings.
        form: what the answer has to look like.
    """

    step: str
    model: str
    revision: str
    messages: tuple[Message, ...]
    form: AnswerForm
    temperature: float | None
    max_output_tokens: int

    @classmethod
    def make(
        cls, step: str, llm: LlmConfig, messages: tuple[Message, ...], form: AnswerForm
    ) -> Ask:
        """Return a request to the configured model."""
        return cls(
            step, llm.model, llm.revision, messages, form, llm.temperature, llm.max_output_tokens
        )

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical JSON of all that is asked: its key in the request cache."""
        parts = [
            _settings(
                self.model,
                self.revision,
                self.form.digest,
                self.temperature,
                self.max_output_tokens,
            )
        ]
        for message in self.messages:
            content = message["content"]
            parts.append(
                _text_message(str(message["role"]), content)
                if isinstance(content, str)
                else canonical_json([message["role"], *map(_told, content)])
            )
        return sha256_hex(b"\n".join(parts))

    @cached_property
    def text_bytes(self) -> int:
        """UTF-8 bytes of all text that is sent, schema and roles with it."""
        sent = len(self.form.encoded)
        for message in self.messages:
            content = message["content"]
            if isinstance(content, str):
                sent += len(_text_message(str(message["role"]), content))
            else:
                sent += sum(len(_json(part["text"])) + 16 for part in content if "text" in part)
        return sent

    @cached_property
    def pictures(self) -> int:
        """How many pictures and sounds are sent."""
        contents = [message["content"] for message in self.messages]
        parts = [part for content in contents if not isinstance(content, str) for part in content]
        return sum("text" not in part for part in parts)

    @cached_property
    def has_sound(self) -> bool:
        """Whether sound is sent, to endpoints that take it."""
        contents = [message["content"] for message in self.messages]
        parts = [part for content in contents if not isinstance(content, str) for part in content]
        return any(part["type"] == _SOUND for part in parts)

    def repaired(self, answer: str, problem: str) -> Ask:
        """Return the request that shows the model its answer and what is wrong with it."""
        # Half of a surrogate pair, which a model can write and JSON can escape, can't be sent.
        said = {"role": "assistant", "content": answer.encode(errors="replace").decode()}
        again = {
            "role": "user",
            "content": f"That answer can't be used: {problem}\nAnswer once more, with the whole "
            "JSON object and nothing else.",
        }
        return replace(self, messages=(*self.messages, said, again))

    def body(self, dialect: Dialect) -> bytes:
        """Return the body of a chat completion, as JSON in UTF-8."""
        # Put together from what was encoded before: of thousands of requests most is the same.
        fields = [b'"model":' + _json(self.model)]
        fields.append(
            b'"messages":[' + b",".join(_sent(each, dialect) for each in self.messages) + b"]"
        )
        fields.append(b'"%s":%d' % (dialect.limit_field.encode(), self.max_output_tokens))
        if dialect.takes_temperature and self.temperature is not None:
            fields.append(b'"temperature":' + _json(self.temperature))
        if dialect.response_format == "json_object":
            fields.append(b'"response_format":{"type":"json_object"}')
        elif dialect.response_format == "json_schema":
            fields.append(b'"response_format":' + self.form.encoded)
        return b"{" + b",".join(fields) + b"}"
