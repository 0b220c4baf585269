"""Writes what a model is asked: the system prompt of `prompts/answer.md`, the frames, the question.

Takes a question and frames, gives chat messages. The truth is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from earshot.schemas.question import Task
from earshot.tasks.score_answers.read import Asked

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletionContentPartParam,
        ChatCompletionMessageParam,
    )

_WHERE = "<where>\ntime: [left, top, right, bottom]\ntime: [left, top, right, bottom]\n</where>"
_FORMS: dict[Task, str] = {
    "temporal": "<answer>\n<object>name</object>\n<when>[start, end]</when>\n</answer>",
    "spatial": (
        f"<answer>\n<object>name</object>\n{_WHERE}\n</answer>\n\n"
        "with one <object> and its <where> for each object. If there is none:\n\n"
        "<answer>\n<object>none</object>\n</answer>"
    ),
    "spatio_temporal": (
        f"<answer>\n<object>name</object>\n<when>[start, end]</when>\n{_WHERE}\n</answer>"
    ),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame as it is sent: its time in seconds and a data URL of a JPEG."""

    time_s: float
    url: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of `prompts/answer.md` and its version."""

    version: str
    text: str


@cache
def load_prompt() -> Prompt:
    """Return the system prompt; its first line is `version: N`."""
    text = resources.files("earshot.prompts").joinpath("answer.md").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    return Prompt(head.removeprefix("version:").strip(), body.strip())


def system_prompt(asked: Asked) -> str:
    """Return the system prompt for a question's task and box space (CONTRACTS 6)."""
    return Template(load_prompt().text).substitute(
        form=_FORMS[asked.task], space=_space_words(asked)
    )


def messages(asked: Asked, frames: tuple[Shown, ...]) -> list[ChatCompletionMessageParam]:
    """Return the system prompt, then the frames, each behind its time, then the question."""
    width, height = asked.size_px
    opening = f"The video is {asked.duration_s:.1f} s long, {width} x {height} pixels."
    parts: list[ChatCompletionContentPartParam] = [{"type": "text", "text": opening}]
    for frame in frames:
        parts.append({"type": "text", "text": f"{frame.time_s:.1f} s"})
        parts.append({"type": "image_url", "image_url": {"url": frame.url}})
    parts.append({"type": "text", "text": asked.question})
    return [
        {"role": "system", "content": system_prompt(asked)},
        {"role": "user", "content": parts},
    ]


def _space_words(asked: Asked) -> str:
    width, height = asked.size_px
    if asked.box_space == "norm":
        return "parts of the frame, from 0 to 1 with three decimals: [0.120, 0.300, 0.455, 0.980]"
    return f"whole pixels of a frame of {width} x {height}: [31, 72, 117, 235]"
