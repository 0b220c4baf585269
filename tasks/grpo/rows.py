"""Neutral training rows of a release's questions, or why a question is none.

Takes a release and its footage; gives rows sorted by id, and a dropped row for every other
question: in = rows + dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from earshot.errors import InputError, ItemError
from earshot.geometry.spaces import NORM, BoxSpace
from earshot.prompts.answering import train_prompt
from earshot.prompts.tokens import count_tokens
from earshot.rewards import score
from earshot.schemas.base import Interval
from earshot.schemas.ledger import REASONS
from earshot.schemas.training import (
    ANSWER_SPEC,
    DifficultyUse,
    DroppedRow,
    ExportConfig,
    TrainingBox,
    TrainingObject,
    TrainingRow,
)
from earshot.schemas.truth import Truth
from earshot.tasks.grpo.difficulty import Known
from earshot.tasks.grpo.footage import Clip, Footage
from earshot.tasks.grpo.profiles import PROFILES, profile_text, see
from earshot.tasks.grpo.truths import (
    UntellableError,
    coarser,
    in_space,
    read_truth,
    render,
)
from earshot.tasks.releases.release import Release

MEDIA_TAGS = ("<image>", "<video>", "<audio>")
_COLUMNS = (
    "question_id", "video_id", "split", "task", "branch", "question", "truth_json",
)  # fmt: skip
_SLACK_S = 1e-6


@dataclass
class Made:
    """The rows of an export, what was dropped, and the files beside them.

    Attributes:
        frames: video_id -> JPEG files of its seen frames, where the dialect shows images.
        sounds: video_id -> name of its WAV file in the export, where the dialect carries sound.
    """

    rows: list[TrainingRow] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    frames: dict[str, list[Path]] = field(default_factory=dict)
    sounds: dict[str, str] = field(default_factory=dict)

    measured: int = 0

    def difficulty(self, known: Known) -> DifficultyUse | None:
        """Return which rollouts it went by; None where none were given."""
        if known.digest is None:
            return None
        return DifficultyUse(
            digest=known.digest,
            measured=self.measured,
            unmeasured=self.questions - self.measured,
        )

    @property
    def questions(self) -> int:
        """How many went in."""
        return len(self.rows) + len(self.dropped)


def make_rows(
    release: Release,
    footage: Footage,
    config: ExportConfig,
    out: Path,
    scratch: Path,
    known: Known,
) -> Made:
    """Return the rows of the questions of a split.

    Args:
        release: to export.
        footage: its videos.
        config: how.
        out: folder of the export; sound goes to `out/audio`.
        scratch: folder for frames that are embedded later.
        known: what stored rollouts say.

    Raises:
        InputError: a video is at fault and `on_fault` is stop.
        ReleaseError: the release has no such split.
    """
    made = Made()
    held_back = _held_back(release)
    # Releases from before there was a choice have no options.
    columns = [name for name in (*_COLUMNS, "options") if name in release.schema().names]
    table = release.read(split=config.split, columns=columns)
    asked = sorted(table.to_pylist(), key=lambda row: (row["video_id"], row["question_id"]))
    for number, (video_id, rows) in enumerate(groupby(asked, key=lambda row: row["video_id"])):
        questions = list(rows)
        made.measured += sum(known.find(row["question_id"]) is not None for row in questions)
        if video_id in held_back:
            fault = ItemError("evaluation_only", f"{video_id} is in the test split")
            made.dropped += [_dropped(row, fault) for row in questions]
            continue
        try:
            maker = _Maker(release, footage.open(video_id), config, known)
            kept = list(maker.rows(questions, made.dropped))
            if kept:
                _write_media(footage, maker, made, video_id, number, out, scratch)
        except ItemError as fault:
            _stop(fault, video_id, config)
            dealt = {row.sample_id for row in made.dropped}
            left = [row for row in questions if row["question_id"] not in dealt]
            made.dropped += [_dropped(row, fault) for row in left]
        else:
            made.rows += kept
    made.rows.sort(key=lambda row: row.sample_id)
    return made


def _held_back(release: Release) -> frozenset[str]:
    """Return the videos that are for evaluation, whatever split a question of theirs says."""
    rows = release.read("splits", columns=["video_id", "split"], filters=[("split", "=", "test")])
    return frozenset(rows["video_id"].to_pylist())


def _stop(fault: ItemError, video_id: str, config: ExportConfig) -> None:
    if config.on_fault == "stop" and REASONS[fault.code].status == "quarantined":
        raise InputError(
            f"{video_id}: {fault} ({fault.code}). {REASONS[fault.code].remedy} Or leave out such "
            "videos with --on-fault drop"
        ) from fault


def _write_media(
    footage: Footage,
    maker: _Maker,
    made: Made,
    video_id: str,
    number: int,
    out: Path,
    scratch: Path,
) -> None:
    if maker.config.dialect == "trl":
        folder = scratch / f"{number:06d}"
        made.frames[video_id] = footage.write_frames(maker.clip, maker.seen, folder)
    elif maker.has_sound:
        made.sounds[video_id] = f"audio/{number:06d}.wav"
        footage.write_sound(maker.clip, out / made.sounds[video_id])


class _Maker:
    """Makes the rows of one video."""

    def __init__(self, release: Release, clip: Clip, config: ExportConfig, known: Known) -> None:
        self.release, self.clip, self.config, self.known = release, clip, config, known
        self.profile = PROFILES[config.profile]
        self.has_sound = self.profile.hears and clip.has_audio and config.dialect != "trl"
        try:
            self.seen = see(
                self.profile, config, n_frames=clip.n_frames, fps=clip.fps, width=clip.width,
                height=clip.height,
            )  # fmt: skip
        except ValueError as error:
            raise UntellableError("sparse_frames", f"{clip.path.name}: {error}") from error
        width, height = self.seen.size_px
        if self.profile.box_space == "resized_px":
            self.space = BoxSpace("resized_px", width, height)
        else:
            self.space = BoxSpace(self.profile.box_space)

    def rows(
        self, questions: list[dict[str, Any]], dropped: list[DroppedRow]
    ) -> Iterator[TrainingRow]:
        """Yield a row a question; what can't be told is appended to `dropped`."""
        for question in questions:
            try:
                yield self._row(question)
            except UntellableError as fault:
                dropped.append(_dropped(question, fault))

    def _row(self, question: dict[str, Any]) -> TrainingRow:
        if found := [tag for tag in MEDIA_TAGS if tag in question["question"]]:
            raise UntellableError("media_tag", f"{found[0]} in {question['question']!r}")
        hard = self.known.find(question["question_id"])
        if hard is not None and hard.is_flat and self.config.zero_variance == "drop":
            raise UntellableError(
                "zero_variance", f"{hard.rollouts} rollouts, each worth {hard.reward_mean:g}"
            )
        published = read_truth(question["truth_json"])
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
            sample_id=question["question_id"],
            release=self.release.name,
            video_id=question["video_id"],
            video_uri=self.clip.uri,
            video_path=str(self.clip.path.absolute()),
            video_sha256=self.clip.sha256,
            task=truth.task,
            branch=truth.branch,
            split=question["split"],
            system_prompt=train_prompt(
                truth.task, self.space.kind, self.seen.size_px, truth.grid.step_s, self._told()
            ),
            question=question["question"],
            answer=answer,
            answer_spec=ANSWER_SPEC,
            options=tuple(question.get("options", ())),
            duration_s=self.clip.duration_s,
            native_fps=self.clip.fps,
            width=self.clip.width,
            height=self.clip.height,
            n_frames=self.clip.n_frames,
            has_audio=self.clip.has_audio,
            clip_start_s=0.0,
            clip_end_s=self.clip.duration_s,
            gt_events=tuple(Interval(start_s=a, end_s=b) for a, b in truth.intervals),
            gt_objects=_objects(published, native),
            truth_json=truth_json,
            box_space=self.space.kind,
            model_width=self.seen.size_px[0],
            model_height=self.seen.size_px[1],
            grid_step_s=truth.grid.step_s,
            frames_fps=round(len(self.seen.frame_indices) / self.clip.duration_s, 6),
            frame_indices=self.seen.frame_indices,
            vision_tokens=self.seen.tokens,
            vision_tokens_profile=profile_text(self.profile, self.config),
            answer_tokens=tokens,
            n_rollouts=hard and hard.rollouts,
            reward_mean=hard and hard.reward_mean,
            reward_std=hard and math.sqrt(hard.reward_variance),
        )

    def _told(self) -> str:
        """Return the sentence on what the model is given."""
        length = f"It is {self.clip.duration_s:.1f} s long;"
        count = len(self.seen.frame_indices)
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
        tokens = count_tokens(answer)
        budget = self.config.completion_tokens - self.config.thinking_tokens
        if tokens > budget:
            raise UntellableError(
                "over_budget", f"the answer needs about {tokens} tokens of {budget}"
            )
        return tokens


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


def _dropped(question: dict[str, Any], fault: ItemError) -> DroppedRow:
    return DroppedRow(
        sample_id=question["question_id"],
        video_id=question["video_id"],
        task=question["task"],
        status=REASONS[fault.code].status,
        reason_code=fault.code,
        message=str(fault),
    )
