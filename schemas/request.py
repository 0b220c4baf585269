"""request: what a flow or the command line asks a build to do; Prefect shows it as a form."""

from __future__ import annotations

from pydantic import Field

from earshot.schemas.base import Frozen
from earshot.schemas.config import Config


class BuildRequest(Frozen):
    """One build over one workspace."""

    workspace: str = Field(description="workspace folder; absolute where a worker runs the flow")
    input: str | None = Field(
        None,
        description="manifest or annotation file; empty: go on with the workspace's latest build",
    )
    input_kind: str | None = Field(None, description="the input's format; empty: found out")
    media_root: str | None = Field(
        None, description="folder or URL of the videos; empty: where the input lies"
    )
    config: Config = Field(Config(), description="settings; used with an input only")
    start: str | None = Field(None, description="first stage that may run")
    end: str | None = Field(None, description="last stage that may run")
    only: str | None = Field(None, description="this stage alone")
    force: tuple[str, ...] = Field((), description="stages that are computed again")
    reopen: tuple[str, ...] = Field(
        (), description="videos or events that people inspect again; their earlier verdicts end"
    )
    items: tuple[str, ...] = Field((), description="these videos alone; empty: all")
    publish: bool = Field(True, description="publish a release at the end")
    run_id: str | None = Field(None, description="set by the command line; empty: a new one")
