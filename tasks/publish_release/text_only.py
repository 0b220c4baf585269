"""A language model that reads the questions and sees no video (CONTRACTS 8): what words give away.

Takes test questions and an endpoint, gives rows for the card and for the gate `blind`. Answers are
kept in the workspace's request cache: publishing again asks nothing again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from pydantic import BaseModel, ConfigDict

from earshot.errors import ReleaseError
from earshot.prompts.answering import answer_prompt
from earshot.prompts.texts import read_prompt
from earshot.rewards.metrics import mean_values
from earshot.schemas.base import digest_of
from earshot.schemas.config import LlmConfig
from earshot.schemas.question import Task
from earshot.store.requests import request_store
from earshot.store.stage import Estimate
from earshot.tasks.llm.ask import AnswerForm, Ask
from earshot.tasks.llm.estimate import Estimator
from earshot.tasks.llm.rounds import Chat, Group, Settled, estimate, settle
from earshot.tasks.publish_release.baselines import TEXT_ONLY, Baseline, Metric
from earshot.tasks.score_answers.groups import measure_as
from earshot.tasks.score_answers.read import Asked

STEP = "text_only"
METRICS: dict[Task, tuple[Metric, ...]] = {
    "temporal": ("m_tIoU",),
    "spatial": ("object_f1", "m_vIoU"),
    "spatio_temporal": ("m_tIoU", "m_vIoU"),
}
_UNSEEN = Asked(
    question_id="", video_id="", split="test", task="temporal", branch=None, question="?" * 200,
    answer="", truth_json="", box_space="norm", span_s=None, step_s=1.0, duration_s=60.0,
    size_px=(1920, 1080), labels=(), n_events=0,
)  # fmt: skip
"""What a question is taken for that isn't made yet: those of the packs are shorter."""


class _Guess(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    completion: str


FORM = AnswerForm.of("guess", _Guess)


@dataclass(frozen=True)
class TextOnly:
    """Whom to ask.

    Args:
        llm: the model, and how it is reached.
        folder: of the request cache.
    """

    llm: LlmConfig
    folder: Path

    def rows(self, test: Iterable[Asked], most: int) -> tuple[Baseline, ...]:
        """Return the scores of the answers to at most `most` questions of each task.

        Which ones is decided by their ids. A question that the model gives no answer to scores 0
        and is counted.

        Raises:
            ReleaseError: answers are still to come: a batch is not over, or the budget is spent.
            EndpointError: if the endpoint refuses every request.
        """
        chosen = _sample(test, most)
        groups = self._groups(chosen)
        settled = {each.group.video_id: each for each in settle(groups, self.llm, self.folder)}
        _refuse_open(settled.values())
        completions = {
            name: each.answers[0].value if each.trouble is None else None
            for name, each in settled.items()
        }
        counts = Counter(one.task for one in chosen)
        return tuple(
            row
            for task in METRICS
            if counts[task]
            for row in self._rows(task, [one for one in chosen if one.task == task], completions)
        )

    def estimate(self, test: Iterable[Asked], most: int) -> Estimate:
        """Return what `rows` will cost: what the cache answers is no call."""
        return estimate(self._groups(_sample(test, most)), STEP, self.llm, self.folder)

    def estimate_unseen(self, calls: int) -> Estimate:
        """Return at most what so many calls will cost about questions that aren't made yet."""
        longest = max(
            ask_about(replace(_UNSEEN, task=task), self.llm).text_bytes for task in METRICS
        )
        estimator = Estimator.of(request_store(self.folder), STEP, self.llm)
        return estimator.estimate(self.llm, calls, calls * longest)

    def _groups(self, chosen: Sequence[Asked]) -> list[Group[str]]:
        return [
            Group(one.question_id, (Chat(one.question_id, ask_about(one, self.llm), _read),))
            for one in chosen
        ]

    def _rows(
        self, task: Task, questions: Sequence[Asked], completions: dict[str, str | None]
    ) -> Iterator[Baseline]:
        said = {one.question_id: completions[one.question_id] for one in questions}
        means = mean_values(
            measure_as("strict", task, said[one.question_id], one.truth_json).values
            for one in questions
        )
        silent = sum(completion is None for completion in said.values())
        without = f", no answer to {silent} of them" if silent else ""
        for metric in METRICS[task]:
            yield Baseline(
                task=task,
                name=TEXT_ONLY,
                answer=f"{self.llm.model} reads the question and sees no video{without}",
                score=means.get(metric),
                n_scored=len(questions),
                n_searched=0,
                metric=metric,
            )


def ask_about(one: Asked, llm: LlmConfig) -> Ask:
    """Return the request about a question: what a model is told that sees the video, without it."""
    width, height = one.size_px
    form = Template(answer_prompt(one.task, one.box_space)).substitute(width=width, height=height)
    about = f"The video is {one.duration_s:.1f} s long, {width} x {height} pixels."
    messages = (
        {"role": "system", "content": f"{form}\n\n{read_prompt('text_only').text}"},
        {"role": "user", "content": f"{about}\n{one.question}"},
    )
    return Ask.make(STEP, llm, messages, FORM)


def _read(text: str) -> str:
    return _Guess.model_validate_json(text).completion


def _sample(test: Iterable[Asked], most: int) -> list[Asked]:
    """Return of each task the questions with the lowest hashes, so many at most."""
    lowest: dict[Task, list[tuple[int, Asked]]] = {}
    for one in test:
        heap = lowest.setdefault(one.task, [])
        entry = (-int(digest_of([STEP, one.question_id])[:16], 16), one)
        if len(heap) < most:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    return [one for task in METRICS for _, one in sorted(lowest.get(task, []), reverse=True)]


def _refuse_open(settled: Iterable[Settled[str]]) -> None:
    waiting = [
        each.trouble for each in settled if each.trouble and each.trouble.status == "waiting"
    ]
    if waiting:
        raise ReleaseError(
            f"{len(waiting)} text-only answers for the card are not there: {waiting[0].message}. "
            "Publish again when they are, or set release.text_only_questions = 0"
        )
