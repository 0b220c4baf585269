"""Makes the training rows of one video's questions, one at a time, or says why one is none.

Takes a clip and questions of a release; gives rows, coarser grids and refusals. Whatever is not
ordinary ends here; `ordinary.py` makes the others by columns, the same.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from earshot.errors import InputError
from earshot.geometry.spaces import NORM, BoxSpace
from earshot.prompts.answering import train_prompt
from earshot.prompts.tokens import count_tokens
from earshot.rewards import score
from earshot.schemas.base import Interval
from earshot.schemas.training import (
    ANSWER_SPEC,
    DifficultyRow,
    ExportConfig,
    TrainingBox,
    TrainingObject,
    TrainingRow,
)
from earshot.schemas.truth import Truth
from earshot.tasks.grpo.footage import Clip
from earshot.tasks.grpo.profiles import PROFILES, profile_text, see
from earshot.tasks.grpo.truths import UntellableError, coarser, in_space, read_truth, render
from earshot.tasks.releases.release import Release

MEDIA_TAGS = ("<image>", "<video>", "<audio>")
_SLACK_S = 1e-6


class Maker:
    """Makes the rows of one video.

    Raises:
        UntellableError: the model can't be shown the video.
    """

    def __init__(self, release: Release, clip: Clip, config: ExportConfig) -> None:
        self.release, self.clip, self.config = release, clip, config
        self.profile = PROFILES[config.profile]
        self.has_images = config.dialect == "trl"
        self.has_sound = self.profile.hears and clip.has_audio
        try:
            self.seen = see(
                self.profile, config, n_frames=clip.n_frames, fps=clip.fps, width=clip.width,
                height=clip.height,
            )  # fmt: skip
        except ValueError as error:
            raise UntellableError("sparse_frames", f"{clip.path.name}: {error}") from error

    def row(self, question: dict[str, Any], hard: DifficultyRow | None) -> TrainingRow:
        """Return the row of a question.

        Raises:
            UntellableError: it can't be told.
            InputError: its truth is none: the release is damaged.
        """
        if found := [tag for tag in MEDIA_TAGS if tag in question["question"]]:
            raise UntellableError("media_tag", f"{found[0]} in {question['question']!r}")
        if hard is not None and hard.is_flat and self.config.zero_variance == "drop":
            raise UntellableError(
                "zero_variance", f"{hard.rollouts} rollouts, each worth {hard.reward_mean:g}"
            )
        published = _published(question)
        native = (self.clip.width, self.clip.height)
        whole = in_space(published, self.space, native)
        truth, answer, tokens = self._fitting(whole)
        truth_json = truth.canonical()
        scored = score(truth.task, answer, truth_json)
        # Two parts of earshot disagree if the right answer is not right: no row may say so.
        if scored.total != 2:
            raise RuntimeError(
                f"{question['question_id']}: its own answer scores {scored}; report it as a bug"
            )
        return TrainingRow(
            **self.common,
            frame_indices=self.seen.frame_indices,
            sample_id=question["question_id"],
            video_id=question["video_id"],
            task=truth.task,
            branch=truth.branch,
            split=question["split"],
            system_prompt=train_prompt(
                truth.task, self.space.kind, self.seen.size_px, truth.grid.step_s, self.told
            ),
            question=question["question"],
            answer=answer,
            options=tuple(question.get("options", ())),
            gt_events=tuple(Interval(start_s=a, end_s=b) for a, b in truth.intervals),
            gt_objects=_objects(published, native),
            truth_json=truth_json,
            grid_step_s=truth.grid.step_s,
            answer_tokens=tokens,
            n_rollouts=hard and hard.rollouts,
            reward_mean=hard and hard.reward_mean,
            reward_std=hard and math.sqrt(hard.reward_variance),
        )

    @cached_property
    def space(self) -> BoxSpace:
        """The space of the boxes that the model writes."""
        kind = self.profile.box_space
        return BoxSpace(kind, *self.seen.size_px) if kind == "resized_px" else BoxSpace(kind)

    @cached_property
    def common(self) -> dict[str, Any]:
        """What all rows of the video have in common beside its frames, by column."""
        clip, seen = self.clip, self.seen
        return {
            "release": self.release.name,
            "video_uri": clip.uri,
            "video_path": clip.absolute,
            "video_sha256": clip.sha256,
            "answer_spec": ANSWER_SPEC,
            "duration_s": clip.duration_s,
            "native_fps": clip.fps,
            "width": clip.width,
            "height": clip.height,
            "n_frames": clip.n_frames,
            "has_audio": clip.has_audio,
            "clip_start_s": 0.0,
            "clip_end_s": clip.duration_s,
            "box_space": self.profile.box_space,
            "model_width": seen.size_px[0],
            "model_height": seen.size_px[1],
            "frames_fps": round(seen.count / clip.duration_s, 6),
            "vision_tokens": seen.tokens,
            "vision_tokens_profile": profile_text(self.profile, self.config),
        }

    @cached_property
    def told(self) -> str:
        """The sentence on what the model is given."""
        length = f"It is {self.clip.duration_s:.1f} s long;"
        count = self.seen.count
        if self.config.dialect == "trl":
            times = ", ".join(f"{time:.1f}" for time in self.seen.times_s(self.clip.fps))
            return f"{length} the {count} pictures are its frames at {times} seconds."
        sound = " and hear its sound" if self.has_sound else ""
        return f"{length} you see {count} frames of it, evenly apart{sound}."

    def _fitting(self, truth: Truth) -> tuple[Truth, str, int]:
        """Return the finest truth that the frames show and the completion holds, its answer."""
        first: UntellableError | None = None
        for times in self._grids(truth):
            try:
                asked = coarser(truth, times)
                self._check_frames(asked)
                answer = render(asked)
                return asked, answer, self._checked_tokens(answer)
            except UntellableError as fault:
                first = first or fault
        assert first is not None
        raise first

    def _grids(self, truth: Truth) -> range:
        if truth.task == "temporal" or self.config.over_budget == "drop":
            return range(1, 2)
        return range(1, max(int(self.config.max_step_s / truth.grid.step_s), 1) + 1)

    def _check_frames(self, truth: Truth) -> None:
        """Raise where the model would be asked of a moment that it is not shown."""
        if truth.task == "temporal" or not truth.grid.times_s:
            return
        shown = np.array(self.seen.times_s(self.clip.fps))
        asked = np.array(truth.grid.times_s)
        gap = float(np.abs(asked[:, None] - shown[None]).min(axis=1).max())
        if gap > truth.grid.step_s / 2 + _SLACK_S:
            raise UntellableError(
                "sparse_frames",
                f"a time asked is {gap:.2f} s from the nearest of {len(shown)} frames; expected "
                f"at most {truth.grid.step_s / 2:g} s",
            )

    def _checked_tokens(self, answer: str) -> int:
        tokens, budget = count_tokens(answer), self.config.answer_budget
        if tokens > budget:
            raise UntellableError(
                "over_budget", f"the answer needs about {tokens} tokens of {budget}"
            )
        return tokens


def _published(question: dict[str, Any]) -> Truth:
    try:
        return read_truth(question["truth_json"])
    except ValidationError as error:
        raise InputError(
            f"{question['question_id']}: its truth can't be read: {error}; expected the truth that "
            "earshot publishes. `earshot release verify` says what else differs; pull it again"
        ) from error


def _objects(truth: Truth, native_px: tuple[int, int]) -> tuple[TrainingObject, ...]:
    """Return the boxes of a truth in parts of the frame, an entry an instance."""
    parts = truth if truth.box_space == "norm" else in_space(truth, NORM, native_px)
    found = []
    for thing in parts.objects:
        for tube in thing.tubes:
            boxes = tuple(
                TrainingBox(t_s=row[0], x1=row[1], y1=row[2], x2=row[3], y2=row[4])
                for row in tube.boxes
                if len(row) == 5
            )
            found.append(TrainingObject(name=thing.name, boxes=boxes))
    return tuple(found)
