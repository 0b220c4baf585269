"""release: the manifest of an immutable folder, and the tables that only a release has.

Records alone; `earshot.tasks.publish_release` fills and writes them. A folder without
`manifest.json` is no release.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from earshot.schemas.base import Frozen, Record, opt, req
from earshot.schemas.build import Build
from earshot.schemas.config import GateName
from earshot.schemas.ledger import ItemKind, Status
from earshot.schemas.question import Split, Task

MANIFEST = "manifest.json"


class FileEntry(Frozen):
    """One file of a release, as it has to be found again."""

    path: str = Field(description="relative to the release's folder, with forward slashes")
    sha256: str
    bytes: int = Field(ge=0)
    rows: int | None = Field(None, description="of a Parquet file; null for any other")


class LedgerCount(Frozen):
    """How the items of one kind fared in one stage; the counts add up or it is an error."""

    stage: str
    item_kind: ItemKind
    total: int = Field(ge=0, description="items that went in")
    done: int = Field(0, ge=0)
    filtered: int = Field(0, ge=0)
    rejected: int = Field(0, ge=0)
    quarantined: int = Field(0, ge=0)
    waiting: int = Field(0, ge=0)
    reasons: dict[str, int] = Field(
        default_factory=dict, description="reason code of schemas.ledger.REASONS -> items"
    )

    @model_validator(mode="after")
    def _reconciles(self) -> Self:
        out = self.done + self.filtered + self.rejected + self.quarantined + self.waiting
        if out != self.total:
            raise ValueError(
                f"{self.stage}/{self.item_kind}: {self.total} items in but {out} accounted for; "
                "in = done + filtered + rejected + quarantined + waiting (CONTRACTS 2)"
            )
        return self


class GateCount(Frozen):
    """What one gate found in a release that was published."""

    gate: GateName
    found: int = Field(ge=0, description="offenders, or blind answers over their limit")
    limit: int = Field(ge=0, description="how many it lets through")


class RewardWeights(Frozen):
    """Weights of the score dimensions in `total`, mode `strict` (CONTRACTS 7)."""

    format: float = 1.0
    temporal_temporal: float = 1.0
    spatial_object: float = 0.5
    spatial_spatial: float = 0.5
    spatio_temporal_temporal: float = 0.5
    spatio_temporal_spatial: float = 0.5


class SystemPrompts(Frozen):
    """What a model is told before each question: part of a release, so that all are asked alike."""

    version: str = Field(description="of prompts/answer.md")
    texts: dict[str, str] = Field(
        description="task/box_space -> text; $width and $height stand for the frame's pixels"
    )

    @staticmethod
    def key(task: str, box_space: str) -> str:
        """Return the key of a text."""
        return f"{task}/{box_space}"


class ReleaseCost(Frozen):
    """What the answers of language models that the rows rest on took, over all builds."""

    tokens: int = Field(ge=0)
    usd: float | None = Field(ge=0, description="null where a price is not known")
    usd_per_question: float | None = Field(ge=0, description="null without question or price")


class PreviousRelease(Frozen):
    """The version that a release follows."""

    version: int = Field(ge=1)
    content_digest: str
    manifest_sha256: str


class ReleaseManifest(Frozen):
    """The content of `manifest.json`, written last."""

    v: Literal[1] = 1
    name: str
    version: int = Field(ge=1)
    semver: str = Field(description="what the version changes, as docs/releases.md says")
    published_at: datetime
    content_digest: str = Field(description="of all rows, schemas and the licence; of no time")
    licence: str
    questions: dict[str, dict[str, int]] = Field(description="split -> task -> questions")
    inspected_by: dict[str, int] = Field(description="human or automatic -> questions")
    files: tuple[FileEntry, ...]
    schemas: dict[str, str] = Field(description="table -> sha256 of its Arrow schema")
    code_version: str
    build: Build
    upstream: dict[str, str] = Field(description="what the rows were made from -> digest")
    reward_weights: RewardWeights
    system_prompts: SystemPrompts
    ledger: tuple[LedgerCount, ...]
    cost: ReleaseCost | None = Field(None, description="null: no language model was asked")
    gates: tuple[GateCount, ...] = Field((), description="one row a gate")
    warnings: tuple[str, ...]
    previous: PreviousRelease | None
    manifest_digest: str = Field(
        "", description="digest of all other fields: one flipped bit in this file shows, too"
    )


class ManifestHead(Frozen):
    """What a later version reads of an earlier manifest, whatever else that one says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1]
    name: str
    version: int
    content_digest: str
    files: tuple[FileEntry, ...]
    system_prompts: SystemPrompts | None = None
    published_at: datetime | None = None
    semver: str = ""
    licence: str = ""
    questions: dict[str, dict[str, int]] = Field(default_factory=dict)
    inspected_by: dict[str, int] = Field(default_factory=dict)
    code_version: str = ""
    warnings: tuple[str, ...] = ()
    previous: PreviousRelease | None = None


class Media(Record):
    """What a re-downloaded video file has to match; the videos themselves are not in a release."""

    TABLE: ClassVar[str] = "media"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("uri", pa.string()),
            req("sha256", pa.string()),
            req("bytes", pa.int64()),
            req("duration_s", pa.float64()),
            req("n_frames", pa.int64()),
            req("fps", pa.float64()),
            req("width", pa.int32()),
            req("height", pa.int32()),
            opt("frame_fingerprint", pa.string()),
            opt("licence", pa.string()),
            opt("source", pa.string()),
        ]
    )

    video_id: str
    uri: str
    sha256: str
    bytes: int
    duration_s: float
    n_frames: int
    fps: float
    width: int
    height: int
    frame_fingerprint: str | None
    licence: str | None
    source: str | None


class Absent(Record):
    """A source video that no question of the release is about, and why."""

    TABLE: ClassVar[str] = "absent"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("stage", pa.string()),
            req("status", pa.string()),
            opt("reason_code", pa.string()),
            opt("message", pa.string()),
        ]
    )

    video_id: str
    stage: str = Field(description="where its way ended")
    status: Status
    reason_code: str | None
    message: str | None


class Dropped(Record):
    """A question that was made and is not published, and why: a ledger row of the release."""

    TABLE: ClassVar[str] = "dropped"
    KEY: ClassVar[tuple[str, ...]] = ("question_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("question_id", pa.string()),
            req("video_id", pa.string()),
            req("task", pa.string()),
            req("reason_code", pa.string()),
            req("message", pa.string()),
        ]
    )

    question_id: str
    video_id: str
    task: Task
    reason_code: str = Field(description="of schemas.ledger.REASONS")
    message: str


class SplitAssignment(Record):
    """The split of a video for good: later versions inherit it, also while it has no question."""

    TABLE: ClassVar[str] = "splits"
    KEY: ClassVar[tuple[str, ...]] = ("video_id",)
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("video_id", pa.string()),
            req("split", pa.string()),
            opt("split_group", pa.string()),
            req("sha256", pa.string()),
            opt("frame_fingerprint", pa.string()),
            req("since_version", pa.int32()),
        ]
    )

    video_id: str
    split: Split
    split_group: str | None
    sha256: str = Field(description="of the video file: a renamed copy keeps its split")
    frame_fingerprint: str | None = Field(None, description="by which near duplicates join it")
    since_version: int = Field(ge=1, description="the first version with a question about it")
