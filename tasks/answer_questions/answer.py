"""Asks a model every question of a release that has no answer yet, a bounded number at a time.

Takes a release and an endpoint, appends to a predictions file that `score_answers` reads. A run
that was stopped goes on where it left off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from earshot.errors import EarshotError, InputError, ItemError
from earshot.schemas.release import SystemPrompts
from earshot.tasks.answer_questions.answers_file import AnswersFile
from earshot.tasks.answer_questions.endpoint import Endpoint, Patience
from earshot.tasks.answer_questions.pictures import Media, Pictures, find_media
from earshot.tasks.answer_questions.prompt import messages
from earshot.tasks.score_answers.read import Asked, read_release
from earshot.tasks.score_answers.record import SplitName


@dataclass(frozen=True)
class Asking:
    """Whom to ask, and what to show.

    Attributes:
        endpoint: base address, such as http://127.0.0.1:8000/v1.
        frames_fps: frames a second of the video.
        max_frames: at most so many of a video, evenly apart; 0 = the question alone, blind.
        in_flight: questions asked at a time.
    """

    endpoint: str
    model: str
    frames_fps: float = 1.0
    max_frames: int = 64
    in_flight: int = 8
    patience: Patience = field(default_factory=Patience)


@dataclass
class Answered:
    """What became of the questions: `asked = answered + failed`; `before` had an answer."""

    questions: int
    before: int
    answered: int = 0
    failed: int = 0
    missing_media: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def answer_questions(
    release: Path,
    out: Path,
    asking: Asking,
    media_root: Path | None = None,
    split: SplitName = "test",
    cache: Path | None = None,
) -> Answered:
    """Ask what is missing in `out` and append the answers, each as soon as it is there.

    Args:
        release: folder with a `manifest.json`.
        out: predictions file, rows of `question_id, completion` and more.
        asking: whom to ask, and what to show.
        media_root: what relative uris of `media.parquet` start from.
        split: which questions, or `all`.
        cache: folder for fetched videos; default: the user's cache folder.

    Raises:
        InputError: the release can't be used, or `out` has answers of another model.
        EarshotError: the endpoint refuses every question.
    """
    benchmark = read_release(release)
    questions = tuple(benchmark.of_split(split))
    prompts = benchmark.system_prompts
    if prompts is None:
        raise InputError(
            f"{release} has no system prompts: expected them in its manifest, where earshot 0.1 "
            "writes them; publish the release anew"
        )
    with AnswersFile(out, asking.model, prompts.version) as file:
        done = file.done({one.question_id for one in questions})
        todo = [one for one in questions if one.question_id not in done]
        media = Media({}, {})
        if asking.max_frames and todo:
            cache = cache or user_cache_path("earshot")
            media = find_media(release, {one.video_id for one in todo}, media_root, cache)
        result = Answered(len(questions), len(done), missing_media=dict(media.faults))
        asyncio.run(_Round(asking, prompts, file, media, result).ask_all(todo))
    return result


class _Round:
    """One run over the questions that are left."""

    def __init__(
        self,
        asking: Asking,
        prompts: SystemPrompts,
        file: AnswersFile,
        media: Media,
        result: Answered,
    ) -> None:
        self._asking = asking
        self._prompts = prompts
        self._file = file
        self._result = result
        self._pictures = Pictures(media, asking.frames_fps, asking.max_frames, asking.in_flight)
        self._stopped: EarshotError | None = None

    async def ask_all(self, todo: Sequence[Asked]) -> None:
        left = deque(todo)
        asking = self._asking
        async with (
            Endpoint(asking.endpoint, asking.model, asking.patience) as endpoint,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(min(asking.in_flight, len(left))):
                group.create_task(self._work(left, endpoint))
        if self._stopped is not None:
            raise self._stopped

    async def _work(self, left: deque[Asked], endpoint: Endpoint) -> None:
        while left and self._stopped is None:
            await self._ask(left.popleft(), endpoint)

    async def _ask(self, one: Asked, endpoint: Endpoint) -> None:
        try:
            frames = await self._pictures.of(one.video_id)
            reply = await endpoint.ask(messages(one, frames, self._prompts))
        except ItemError as error:
            self._result.failed += 1
            self._result.errors.append(f"{one.question_id}: {error}")
            self._file.write_failure(one.question_id, str(error))
        except EarshotError as error:
            self._stopped = error
        else:
            self._result.answered += 1
            self._file.write_answer(one.question_id, reply.text, reply.finish_reason)
