"""What a model is asked about one video, and the rules that its captions have to keep.

Takes a video, its labelled events and its frames; gives the request, or captions from an answer.
The request's digest speaks of the file's sha256 and the times of the frames, not of their bytes: an
answer stays an answer when another library writes JPEGs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from earshot.prompts.texts import PromptText, read_prompt
from earshot.schemas.base import digest_of
from earshot.schemas.config import CaptionsConfig, LlmConfig
from earshot.schemas.manifest import RawEvent
from earshot.schemas.video import Video
from earshot.tasks.llm.ask import AnswerForm, AnswerModel, Ask, Message
from earshot.tasks.llm.dialogue import BrokenRuleError

STEP = "caption"
#: Part of the stage's key: raise it when answers are read in another way. It costs no request.
VERSION = "2"
MAX_CAPTIONS, MAX_CHARACTERS = 40, 600
# Frames are shown with one decimal.
TOLERANCE_S = 0.1


class WrittenCaption(AnswerModel):
    """One caption of an answer."""

    start_s: float
    end_s: float
    text: str


class Answer(AnswerModel):
    """What a model writes about one video."""

    captions: tuple[WrittenCaption, ...]


FORM = AnswerForm.of("video_captions", Answer)


@dataclass(frozen=True)
class Shown:
    """What is sent of a video: frames by time, and its sound; None: only their places are known."""

    frames: Mapping[float, str] | None = None
    sound: str | None = None


def prompt() -> PromptText:
    """Return the instructions."""
    return read_prompt("caption_videos")


def key_digest() -> str:
    """Return the digest of what decides how a video is asked about and its answer read."""
    return digest_of([VERSION, prompt().digest, FORM.digest])


def frame_times(duration_s: float, config: CaptionsConfig) -> tuple[float, ...]:
    """Return the times of the frames that are sent: `generate_fps`, or fewer evenly apart."""
    count = min(max(round(duration_s * config.generate_fps), 1), config.generate_frames)
    return tuple(round((index + 0.5) * duration_s / count, 1) for index in range(count))


def ask_about(
    video: Video,
    events: Sequence[RawEvent],
    config: CaptionsConfig,
    llm: LlmConfig,
    shown: Shown = Shown(),
) -> Ask:
    """Return the request about a video; without `shown` it can be looked up, not sent."""
    place = f"{video.sha256} {config.generate_px}"
    parts: list[dict[str, Any]] = [{"type": "text", "text": f"{_about(video, events)}\nFrames:"}]
    for time_s in dict.fromkeys(frame_times(video.duration_s, config)):
        url = shown.frames[time_s] if shown.frames else ""
        parts.append({"type": "text", "text": f"{time_s:.1f} s"})
        parts.append(
            {"type": "image_url", "image_url": {"url": url}, "stands_for": f"{place} {time_s}"}
        )
    if config.generate_audio and video.has_audio:
        sound = {"data": shown.sound or "", "format": "wav"}
        parts.append({"type": "input_audio", "input_audio": sound, "stands_for": f"{place} sound"})
    messages: tuple[Message, ...] = (
        {"role": "system", "content": prompt().text},
        {"role": "user", "content": tuple(parts)},
    )
    return Ask.make(STEP, llm, messages, FORM)


def _about(video: Video, events: Sequence[RawEvent]) -> str:
    lines = [f"The video is {video.duration_s:.1f} s long."]
    for event in events:
        times = " and ".join(f"{s.start_s} to {s.end_s} s" for s in event.segments)
        lines.append(f'Event that is heard: "{event.label}", {times}')
    return "\n".join(lines)


def read_captions(text: str, duration_s: float) -> tuple[WrittenCaption, ...]:
    """Return the captions of an answer, in order of time.

    Raises:
        BrokenRuleError: naming what is wrong.
    """
    try:
        captions = Answer.model_validate_json(text).captions
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BrokenRuleError(f"{where}: {first['msg']}") from None
    if len(captions) > MAX_CAPTIONS:
        raise BrokenRuleError(f"{len(captions)} captions: expected at most {MAX_CAPTIONS}")
    read = [_checked(at, each, duration_s) for at, each in enumerate(captions)]
    return tuple(sorted(read, key=lambda each: (each.start_s, each.end_s)))


def _checked(at: int, caption: WrittenCaption, duration_s: float) -> WrittenCaption:
    start_s, end_s = caption.start_s, caption.end_s
    words = " ".join(caption.text.split())
    if not words or len(words) > MAX_CHARACTERS:
        raise BrokenRuleError(
            f"captions.{at}.text has {len(words)} characters: expected 1 to {MAX_CHARACTERS}"
        )
    if start_s < -TOLERANCE_S or end_s > duration_s + TOLERANCE_S:
        raise BrokenRuleError(
            f"captions.{at} [{start_s:g}, {end_s:g}] lies outside of the video: 0 to "
            f"{duration_s:g} s"
        )
    start_s, end_s = max(start_s, 0.0), min(end_s, duration_s)
    if not start_s < end_s:
        raise BrokenRuleError(
            f"captions.{at} [{caption.start_s:g}, {caption.end_s:g}]: start must be below end"
        )
    return WrittenCaption(start_s=start_s, end_s=end_s, text=words)
