"""What a flow run shows on its page: a table of counts, a summary, links."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from earshot.store.ledger import StageCount
from earshot.tasks.build import Report
from earshot.tasks.pipeline import Run


def show_counts(run: Run, counts: list[StageCount]) -> None:
    """Put the table of stages on the page of the flow run."""
    rows = []
    for count in counts:
        row = count.to_json()
        reasons = ", ".join(f"{code} {n}" for code, n in row.pop("reasons").items())
        rows.append({**row, "reasons": reasons})
    create_table_artifact(rows, key="stages", description=f"build {run.session.build.build_id}")


def show_report(run: Run, report: Report) -> None:
    """Put the summary and the link to the release on the page of the flow run."""
    lines = [f"# Build {report.build_id}", "", f"- input: `{run.session.build.input_uri}`"]
    lines += [f"- {line}" for line in report.lines()]
    create_markdown_artifact("\n".join(lines), key="summary", description="what the build made")
    if report.publication:
        folder = Path(report.publication.folder)
        create_link_artifact(folder.as_uri(), key="release", link_text=folder.name)
