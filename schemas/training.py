"""training: what `earshot grpo export` is told, and the rows, plan and losses that it writes.

A training row is flat: no key depends on data, and the truth is one canonical JSON string, since
Arrow fills nested keys that differ by row with nulls and every trainer breaks on them differently.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import INTERVALS, STRINGS, Frozen, Interval, Record, list_of, opt, req
from earshot.schemas.ledger import Status
from earshot.schemas.question import Branch, Task
from earshot.schemas.tube import BoxSpaceName

DialectName = Literal["verl", "ms-swift", "trl"]
ProfileName = Literal["qwen2_5_vl", "qwen3_vl", "qwen2_5_omni"]
Objective = Literal["grpo", "sft"]

ANSWER_SPEC = "earshot/1"
"""The grammar of CONTRACTS 6, as `earshot.rewards` parses it."""


_DEAF: dict[str, str] = {
    "verl": "verl 0.9.1 reads no Qwen2.5-Omni: it knows no such processor, and hands sound on as a "
    "path, which the processor refuses",
    "trl": "TRL 1.16 reads no sound: a film is images there",
}


class ExportConfig(Frozen):
    """How a release becomes training data."""

    dialect: DialectName = Field(description="whose files to write")
    profile: ProfileName = Field(description="the model family: how it resizes and writes boxes")
    objective: Objective = Field("grpo", description="sft: the right answer stands in the row")
    split: Literal["train", "validation"] = Field(
        "train", description="which questions; test is for evaluation and is refused"
    )
    on_fault: Literal["drop", "stop"] = Field(
        "drop", description="what a video does that is missing, another one, or can't be decoded"
    )
    check_media: bool = Field(
        True, description="decode every video; without it the release is believed"
    )
    fps: float = Field(2.0, gt=0, description="frames a second that the model is shown")
    min_frames: int = Field(4, ge=2, description="of a video, at least")
    max_frames: int = Field(64, ge=2, le=300, description="of a video, at most")
    min_frame_tokens: int = Field(16, ge=1, description="a frame is enlarged to this many")
    max_frame_tokens: int | None = Field(
        None,
        ge=1,
        le=768,
        description="a frame is shrunk to this many; default 256, where frames are images 128, "
        "since an image takes twice the tokens of a frame in a video",
    )
    completion_tokens: int = Field(1024, ge=16, description="of a completion, at most")
    thinking_tokens: int = Field(0, ge=0, description="of those, kept free for thinking")
    over_budget: Literal["coarsen", "drop"] = Field(
        "coarsen", description="what becomes of a question whose answer needs more tokens"
    )
    max_step_s: float = Field(5.0, ge=1, description="the coarsest grid that is asked")
    batch_prompts: int = Field(
        24, ge=1, description="prompts a batch, all ranks together; files hold whole batches"
    )
    ranks: int = Field(1, ge=1, description="processes that share a batch")
    generations: int = Field(6, ge=2, description="completions a prompt, G of GRPO")
    epochs: int = Field(1, ge=1, description="how often a prompt comes; the order differs")
    quotas: dict[Task, int] = Field(
        default_factory=dict,
        description="prompts a task and batch; default: as the tasks are represented",
    )
    zero_variance: Literal["keep", "drop"] = Field(
        "keep",
        description="what becomes of a prompt whose stored rollouts (two at least) all got one "
        "reward: its group has no advantage, so that it teaches nothing",
    )
    curriculum_bins: int = Field(
        0, ge=0, description="parts of an epoch, from easy to hard by stored rollouts; 0: no order"
    )
    seed: int = Field(42, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.profile == "qwen2_5_omni" and self.dialect in _DEAF:
            raise ValueError(
                f"{_DEAF[self.dialect]}; expected dialect ms-swift, which hears, or a model that "
                "sees alone"
            )
        if self.batch_prompts % self.ranks:
            raise ValueError(
                f"batch_prompts {self.batch_prompts} over {self.ranks} ranks: expected a multiple"
            )
        if self.quotas and sum(self.quotas.values()) != self.batch_prompts:
            raise ValueError(
                f"quotas {self.quotas} make {sum(self.quotas.values())} prompts a batch; expected "
                f"batch_prompts, {self.batch_prompts}"
            )
        if any(quota < 0 for quota in self.quotas.values()):
            raise ValueError(f"quotas {self.quotas}: expected 0 or more")
        if self.min_frames > self.max_frames:
            raise ValueError(
                f"max_frames {self.max_frames}: expected at least min_frames, {self.min_frames}"
            )
        if self.min_frame_tokens > self.frame_tokens:
            raise ValueError(
                f"max_frame_tokens {self.frame_tokens}: expected at least min_frame_tokens, "
                f"{self.min_frame_tokens}; processors refuse less"
            )
        if self.thinking_tokens >= self.completion_tokens:
            raise ValueError(
                f"thinking_tokens {self.thinking_tokens} leaves nothing of completion_tokens "
                f"{self.completion_tokens}"
            )
        return self

    @property
    def answer_budget(self) -> int:
        """Tokens that an answer may have."""
        return self.completion_tokens - self.thinking_tokens

    @property
    def wants_difficulty(self) -> bool:
        """Whether stored rollouts are needed."""
        return self.zero_variance == "drop" or self.curriculum_bins > 0

    @property
    def frame_tokens(self) -> int:
        """Visual tokens of a frame, at most."""
        return self.max_frame_tokens or (128 if self.dialect == "trl" else 256)


class TrainingBox(Frozen):
    """A box in parts of the displayed frame at a time."""

    t_s: float
    x1: float
    y1: float
    x2: float
    y2: float


class TrainingObject(Frozen):
    """One instance; its absent times have no box."""

    name: str
    boxes: tuple[TrainingBox, ...]


_BOX = pa.struct([req(name, pa.float64()) for name in ("t_s", "x1", "y1", "x2", "y2")])
_OBJECTS = list_of(pa.struct([req("name", pa.string()), req("boxes", list_of(_BOX))]))


class TrainingRow(Record):
    """One prompt of a model that is trained, before any trainer's dialect."""

    TABLE: ClassVar[str] = "rows"
    KEY: ClassVar[tuple[str, ...]] = ("sample_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("sample_id", pa.string()),
            req("release", pa.string()),
            req("video_id", pa.string()),
            req("video_uri", pa.string()),
            req("video_path", pa.string()),
            req("video_sha256", pa.string()),
            req("task", pa.string()),
            opt("branch", pa.string()),
            req("split", pa.string()),
            req("system_prompt", pa.string()),
            req("question", pa.string()),
            req("answer", pa.string()),
            req("answer_spec", pa.string()),
            req("options", STRINGS),
            req("duration_s", pa.float64()),
            req("native_fps", pa.float64()),
            req("width", pa.int32()),
            req("height", pa.int32()),
            req("n_frames", pa.int64()),
            req("has_audio", pa.bool_()),
            req("clip_start_s", pa.float64()),
            req("clip_end_s", pa.float64()),
            req("gt_events", INTERVALS),
            req("gt_objects", _OBJECTS),
            req("truth_json", pa.string()),
            req("box_space", pa.string()),
            req("model_width", pa.int32()),
            req("model_height", pa.int32()),
            req("grid_step_s", pa.float64()),
            req("frames_fps", pa.float64()),
            req("frame_indices", list_of(pa.int32())),
            req("vision_tokens", pa.int32()),
            req("vision_tokens_profile", pa.string()),
            req("answer_tokens", pa.int32()),
            opt("n_rollouts", pa.int32()),
            opt("reward_mean", pa.float64()),
            opt("reward_std", pa.float64()),
        ]
    )

    sample_id: str = Field(description="the question's id")
    release: str
    video_id: str
    video_uri: str = Field(description="as the release has it")
    video_path: str = Field(description="absolute; what the trainer opens")
    video_sha256: str = Field(description="of the release's file")
    task: Task
    branch: Branch | None
    split: str
    system_prompt: str
    question: str
    answer: str = Field(description="the truth, rendered: what scores 1")
    answer_spec: str
    options: tuple[str, ...] = Field(description="names to choose from; empty: a free answer")
    duration_s: float
    native_fps: float
    width: int = Field(description="of the file, displayed")
    height: int
    n_frames: int
    has_audio: bool
    clip_start_s: float
    clip_end_s: float
    gt_events: tuple[Interval, ...] = Field(description="the intervals of the truth")
    gt_objects: tuple[TrainingObject, ...] = Field(description="its boxes in parts of the frame")
    truth_json: str = Field(description="CONTRACTS 7, in `box_space`: the one thing to score by")
    box_space: BoxSpaceName
    model_width: int = Field(description="of a frame as the model sees it")
    model_height: int
    grid_step_s: float
    frames_fps: float = Field(description="shown frames a second: their number / duration")
    frame_indices: tuple[int, ...] = Field(description="which frames of the file are shown")
    vision_tokens: int = Field(description="an estimate: it differs between processor versions")
    vision_tokens_profile: str = Field(description="by which rule")
    answer_tokens: int = Field(description="an estimate, rather too high")
    n_rollouts: int | None = Field(None, description="stored ones; null: none are known")
    reward_mean: float | None = None
    reward_std: float | None = Field(None, description="of the population")


class PlanRow(Record):
    """Where a prompt stands: files hold the rows in the order of this table."""

    TABLE: ClassVar[str] = "plan"
    KEY: ClassVar[tuple[str, ...]] = ("epoch", "batch", "rank", "slot")
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("epoch", pa.int32()),
            req("batch", pa.int32()),
            req("rank", pa.int32()),
            req("slot", pa.int32()),
            req("sample_id", pa.string()),
            req("vision_tokens", pa.int32()),
        ]
    )

    epoch: int
    batch: int = Field(description="from 0 in each epoch")
    rank: int
    slot: int = Field(description="position on its rank within the batch")
    sample_id: str
    vision_tokens: int


class DifficultyRow(Record):
    """What the stored rollouts of a prompt were worth."""

    TABLE: ClassVar[str] = "difficulty"
    KEY: ClassVar[tuple[str, ...]] = ("sample_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("sample_id", pa.string()),
            req("rollouts", pa.int32()),
            req("reward_mean", pa.float64()),
            req("reward_variance", pa.float64()),
            req("pass_rate", pa.float64()),
            req("reward_min", pa.float64()),
            req("reward_max", pa.float64()),
        ]
    )

    sample_id: str
    rollouts: int
    reward_mean: float
    reward_variance: float = Field(description="of the population; exactly 0 where all are equal")
    pass_rate: float = Field(description="share of rollouts at or above the reward that passes")
    reward_min: float
    reward_max: float

    @property
    def is_flat(self) -> bool:
        """Whether all of at least two rollouts got one reward."""
        return self.rollouts > 1 and self.reward_min == self.reward_max


class DifficultyUse(Frozen):
    """Which rollouts an export went by."""

    digest: str = Field(description="sha256 of the table's values")
    measured: int = Field(description="questions that have rollouts")
    unmeasured: int = Field(description="questions without; they stay, in the middle of the order")


class DroppedRow(Record):
    """A question that is not in the files, and why; codes of `schemas.ledger.REASONS`."""

    TABLE: ClassVar[str] = "training_dropped"
    KEY: ClassVar[tuple[str, ...]] = ("sample_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("sample_id", pa.string()),
            req("video_id", pa.string()),
            req("task", pa.string()),
            req("status", pa.string()),
            req("reason_code", pa.string()),
            req("message", pa.string()),
        ]
    )

    sample_id: str
    video_id: str
    task: Task
    status: Status
    reason_code: str
    message: str


class ExportManifest(Frozen):
    """The content of an export's `manifest.json`, written last: in = planned + dropped."""

    v: Literal[1] = 1
    release: str
    release_pin: str = Field(description="sha256 of the release's manifest")
    code_version: str
    prompt_version: str
    config: ExportConfig
    questions: int = Field(description="of the split")
    prompts: int = Field(description="that stand in the plan")
    rows: int = Field(description="of the files: a prompt an epoch")
    dropped: dict[str, int] = Field(description="reason code -> questions in no epoch")
    left_out: tuple[int, ...] = Field(description="an epoch: usable prompts that filled no batch")
    grid_steps: dict[str, int] = Field(description="seconds between asked times -> prompts")
    quotas: dict[Task, int]
    batches: int = Field(description="an epoch")
    difficulty: DifficultyUse | None = Field(None, description="null: none was given")
    plan_digest: str
    worst_rank: float = Field(description="mean over batches of largest / mean tokens of a rank")
    reward_weights: dict[str, dict[str, float]]
    files: dict[str, str] = Field(description="name -> sha256")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        out = self.prompts + sum(self.dropped.values())
        if out != self.questions:
            raise ValueError(f"{self.questions} questions in but {out} accounted for")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return self.model_dump(mode="json")
