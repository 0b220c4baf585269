"""state: what a stage last did with one video, and every part of the key it did it under.

`earshot plan` compares the parts to say why a video is stale: code, config, prompt, model or input.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from earshot.schemas.base import INSTANT, Instant, Record, opt, req
from earshot.schemas.ledger import Status


class StageState(Record):
    """One video in one stage, as committed with a part."""

    TABLE: ClassVar[str] = "states"
    KEY: ClassVar[tuple[str, ...]] = ("stage", "video_id", "key")
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("stage", pa.string()),
            req("video_id", pa.string()),
            req("key", pa.string()),
            req("stage_version", pa.string()),
            req("config_digest", pa.string()),
            opt("prompt_digest", pa.string()),
            opt("model_digest", pa.string()),
            req("input_digest", pa.string()),
            req("status", pa.string()),
            opt("reason_code", pa.string()),
            req("n_items", pa.int32()),
            req("item_counts", pa.string()),
            req("attempts", pa.int32()),
            req("seconds", pa.float64()),
            req("build_id", pa.string()),
            req("run_id", pa.string()),
            req("at", INSTANT),
            req("views", pa.string()),
            req("view_digests", pa.string()),
        ]
    )

    stage: str
    video_id: str
    key: str
    stage_version: str
    config_digest: str
    prompt_digest: str | None
    model_digest: str | None
    input_digest: str
    status: Status
    reason_code: str | None
    n_items: int = Field(ge=0, description="items of the stage's kind that had to be accounted for")
    item_counts: str = Field(description="what became of them: `done=3 filtered/over_limit=1`")
    attempts: int = Field(ge=1)
    seconds: float = Field(ge=0)
    build_id: str
    run_id: str
    at: Instant
    views: str = Field(description="names of what later stages read of the rows: store.keys.View")
    view_digests: str = Field(description="their digests, one after the other")
