"""Flow `export-grpo`: a release as the batches of a trainer."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact

from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.export import export
from earshot.tasks.releases import Release


@flow(name="export-grpo")
def export_grpo(
    release: str, media_root: str, out: str, config: ExportConfig, difficulty: str | None = None
) -> None:
    """Export, and put what became of the questions on the page of the flow run; absolute paths."""
    measured = None if difficulty is None else Path(difficulty)
    manifest = export(Release(release), media_root, out, config, measured)
    rows = [{"what": "prompts", "questions": manifest.prompts}]
    rows += [{"what": code, "questions": count} for code, count in manifest.dropped.items()]
    create_table_artifact(rows, key="export", description=f"plan {manifest.plan_digest[:12]}")
