"""build: what one run of the pipeline computes with: config, stage versions, input, and where.

A stage's current rows are those whose key the build computes (CONTRACTS 2, "Current rows").
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from earshot.schemas.base import Frozen
from earshot.schemas.config import Config


class Build(Frozen):
    """The content of `builds/<build_id>.json`."""

    build_id: str
    at: datetime
    code_version: str
    input_uri: str = Field(description="the manifest, as given")
    input_base: str = Field(description="where the manifest's relative uris start")
    input_digest: str = Field(description="sha256 of the manifest's rows")
    stages: dict[str, str] = Field(description="stage name -> version")
    config: Config
