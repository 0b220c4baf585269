"""Writes what a model is asked: the release's system prompt, the frames, the question.

Takes a question and frames, gives chat messages. The truth is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

from earshot.schemas.release import SystemPrompts
from earshot.tasks.score_answers.read import Asked

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletionContentPartParam,
        ChatCompletionMessageParam,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame as it is sent: its time in seconds and a data URL of a JPEG."""

    time_s: float
    url: str


def system_prompt(asked: Asked, prompts: SystemPrompts) -> str:
    """Return the system prompt for a question's task, box space and frame."""
    width, height = asked.size_px
    text = Template(prompts.texts[prompts.key(asked.task, asked.box_space)])
    return text.substitute(width=width, height=height)


def messages(
    asked: Asked, frames: tuple[Shown, ...], prompts: SystemPrompts
) -> list[ChatCompletionMessageParam]:
    """Return the system prompt, then the frames, each behind its time, then the question."""
    width, height = asked.size_px
    opening = f"The video is {asked.duration_s:.1f} s long, {width} x {height} pixels."
    parts: list[ChatCompletionContentPartParam] = [{"type": "text", "text": opening}]
    for frame in frames:
        parts.append({"type": "text", "text": f"{frame.time_s:.1f} s"})
        parts.append({"type": "image_url", "image_url": {"url": frame.url}})
    parts.append({"type": "text", "text": asked.question})
    return [
        {"role": "system", "content": system_prompt(asked, prompts)},
        {"role": "user", "content": parts},
    ]
